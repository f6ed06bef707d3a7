//! The program's arguments, exit codes and output.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_supervm-conformance")).args(arguments).output().unwrap()
}

/// The memory backend's shared library, which cargo builds beside this test.
fn library() -> String {
    let test = std::env::current_exe().unwrap();
    let library = test.with_file_name("libsupervm_storage_memory.so");
    assert!(library.is_file(), "{} is missing", library.display());
    library.to_str().unwrap().to_owned()
}

/// The JSON report of a run that exits with `code`.
fn report(code: i32, arguments: &[&str]) -> Value {
    let output = program(&[arguments, &["--json", "--jobs", "1"]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap()
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
    let mut ids: Vec<_> = text.lines().map(|line| line.split(' ').next().unwrap()).collect();
    ids.sort_unstable();
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

#[test]
fn the_page_about_conformance_is_current() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/conformance.md");
    let output = program(&["document", "--check", page]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_outdated_page_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.md");
    std::fs::write(&page, "# Conformance\n\n## Backends\n").unwrap();
    let output = program(&["document", "--check", page.to_str().unwrap()]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("page.md is not what the cases say"), "{text}");
    let written = program(&["document", "--output", page.to_str().unwrap()]);
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    assert!(program(&["document", "--check", page.to_str().unwrap()]).status.success());
}

#[test]
fn what_is_no_report_of_a_run_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.json");
    std::fs::write(&file, "{}").unwrap();
    expect_usage(&["document", file.to_str().unwrap()], "not a JSON report of a run");
}

/// One run that several tests look at: loading a library that was not optimized takes a second.
fn selected_run() -> &'static Value {
    static RUN: OnceLock<Value> = OnceLock::new();
    RUN.get_or_init(|| {
        report(0, &["run", "--plugin", &library(), "--case", "multi_get.", "--seed", "77"])
    })
}

#[test]
fn a_run_of_a_prefix_has_its_cases_alone_and_is_no_whole_run() {
    let report = selected_run();
    let cases = report["cases"].as_array().unwrap();
    let ids: Vec<_> = cases.iter().map(|case| case["id"].as_str().unwrap()).collect();
    let manifest = include_str!("../cases.txt").lines();
    let expected: Vec<_> = manifest.filter(|id| id.starts_with("multi_get.")).collect();
    assert_eq!(ids, expected);
    assert!(cases.iter().all(|case| case["result"] == "passed"), "{cases:?}");
    assert_eq!(report["certificate"]["complete"], false);
    assert_eq!(report["certificate"]["passed"], true);
    assert_eq!(report["certificate"]["counts"]["passed"], ids.len());
}

#[test]
fn the_certificate_has_the_hash_of_the_library_that_was_run() {
    use sha2::{Digest, Sha256};
    let certificate = &selected_run()["certificate"];
    let digest = Sha256::digest(std::fs::read(library()).unwrap());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(certificate["sha256"], hex);
    assert_eq!(certificate["plugin"], "memory");
    assert_eq!(certificate["profile"], "core");
    let capabilities = certificate["capabilities"].as_array().unwrap();
    assert!(capabilities.contains(&"delete_range (simulated)".into()), "{capabilities:?}");
}

#[test]
fn a_seed_is_kept_and_replay_takes_it() {
    assert_eq!(selected_run()["certificate"]["seed"], 77);
    let replay = ["replay", "--plugin", &library(), "--case", "agreement.trace.like_the_model"];
    let report = report(0, &[&replay[..], &["--seed", "78"]].concat());
    assert_eq!(report["certificate"]["seed"], 78);
}

#[test]
fn runs_without_a_seed_have_different_ones() {
    let library = library();
    // A run without a case to run names its seed all the same, and is quick.
    let seed = || {
        let output =
            program(&["run", "--plugin", &library, "--case", "honesty.undeclared.snapshot"]);
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().find(|line| line.starts_with("seed ")).unwrap().to_owned()
    };
    assert_ne!(seed(), seed());
}

#[test]
fn a_run_that_executes_no_case_has_failed() {
    // The memory backend declares snapshots, so that they are not refused.
    let arguments = ["run", "--plugin", &library(), "--case", "honesty.undeclared.snapshot"];
    let output = program(&arguments);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("skipped  honesty.undeclared.snapshot: the backend declares"), "{text}");
    assert!(text.contains("failed: no case was executed"), "{text}");
}

#[test]
fn a_pipe_gets_a_line_a_case_and_the_certificate() {
    let output =
        program(&["run", "--plugin", &library(), "--seed", "5", "--case", "snapshot.two_"]);
    let text = String::from_utf8(output.stdout).unwrap();
    let begin = |wanted: &str| text.lines().filter(|line| line.starts_with(wanted)).count();
    assert_eq!(begin("passed   snapshot.two_"), 2, "{text}");
    assert_eq!((begin("seed          5"), begin("verdict       passed")), (1, 1), "{text}");
    assert!(!text.contains('\u{1b}'), "no escape sequences in a pipe: {text}");
}

#[test]
fn reports_are_written_in_every_format_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let [json, xml, markdown] =
        ["a.json", "a.xml", "a.md"].map(|name| dir.path().join(name).display().to_string());
    let output = program(&[
        "run",
        "--plugin",
        &library(),
        "--case",
        "point.get.after_put",
        "--report",
        &json,
        "--report",
        &xml,
        "--report",
        &markdown,
    ]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |path| std::fs::read_to_string(path).unwrap();
    let report: Value = serde_json::from_str(&read(json)).unwrap();
    assert_eq!(report["cases"][0]["id"], "point.get.after_put");
    assert!(
        read(xml).contains("<testcase classname=\"point operations\" name=\"point.get.after_put\"")
    );
    assert!(read(markdown).starts_with("# Conformance of memory "));
}

#[test]
fn an_option_that_the_backend_does_not_have_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    std::fs::write(&config, "no_such_option = 1\n").unwrap();
    expect_usage(
        &["run", "--plugin", &library(), "--config", config.to_str().unwrap(), "--case", "point."],
        "no_such_option",
    );
}
