//! The program's arguments, exit codes and output.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output, Stdio};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_supervm-conformance")).args(arguments).output().unwrap()
}

/// Checks that `arguments` are wrong usage and that the message has `part`.
fn expect_usage(arguments: &[&str], part: &str) {
    let output = program(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    assert!(text.contains(part), "{arguments:?}: {text}");
}

#[test]
fn list_prints_one_case_a_line_with_the_id_first() {
    let output = program(&["list"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let ids: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    let manifest: Vec<_> = include_str!("../cases.txt").lines().collect();
    assert_eq!(ids, manifest);
    assert!(text.contains("8,9 "), "clauses are listed");
}

#[test]
fn list_of_a_prefix_has_its_cases_alone() {
    let text = String::from_utf8(program(&["list", "--case", "scan.prefix."]).stdout).unwrap();
    assert!(text.lines().count() > 10);
    assert!(text.lines().all(|line| line.starts_with("scan.prefix.")), "{text}");
}

#[test]
fn an_unknown_backend_is_wrong_usage_and_is_named() {
    expect_usage(&["run", "--backend", "nothing"], "unknown storage backend \"nothing\"");
}

#[test]
fn a_missing_library_is_wrong_usage_and_is_named() {
    expect_usage(&["run", "--plugin", "/nowhere/libx.so"], "/nowhere/libx.so");
}

#[test]
fn a_prefix_without_cases_is_wrong_usage() {
    expect_usage(
        &["run", "--backend", "x", "--case", "no.such"],
        "no case begins with \"no.such\"",
    );
}

#[test]
fn a_report_of_another_kind_is_wrong_usage() {
    expect_usage(&["run", "--backend", "x", "--report", "a.html"], ".json, .xml or .md");
}

#[test]
fn replay_needs_a_seed() {
    expect_usage(&["replay", "--backend", "x"], "--seed");
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_supervm-conformance"));
    let mut child =
        command.arg("list").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
