//! What the example contracts' pages say that a command prints, it prints.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Place;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A command of a page, or a definition that its later commands use, with the lines that it prints.
struct Step {
    command: String,
    printed: String,
}

/// The steps of all blocks marked `console` on a page.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_inside = false;
    for line in page.lines() {
        match line {
            "```console" => is_inside = true,
            "```" => is_inside = false,
            _ if !is_inside => {}
            line => match line.strip_prefix("$ ") {
                Some(command) => {
                    steps.push(Step { command: command.to_owned(), printed: String::new() });
                }
                None => {
                    let step = steps.last_mut().expect("a block begins with a command");
                    step.printed.push_str(line);
                    step.printed.push('\n');
                }
            },
        }
    }
    steps
}

/// Is this `name=value` or `name() { .. }`?
fn is_definition(command: &str) -> bool {
    let after = command.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric());
    after.starts_with('=') || after.starts_with("()")
}

/// Runs a page's commands one after the other in a directory of its own, as a reader would from the repository's root.
fn check(page: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap();
    let place = Place::new();
    std::os::unix::fs::symlink(root.join("examples"), place.path().join("examples")).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_supervm")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut definitions = String::new();
    let steps = steps(&std::fs::read_to_string(page).unwrap());
    assert!(!steps.is_empty(), "{} has no commands", page.display());
    for Step { command, printed } in steps {
        if is_definition(&command) {
            definitions.push_str(&format!("{command}\n"));
            continue;
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("{definitions}exec 2>&1\n{command}")]);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SUPERVM_") {
                shell.env_remove(name);
            }
        }
        let ran = shell.current_dir(place.path()).env("PATH", &path).output().unwrap();
        let output = String::from_utf8(ran.stdout).unwrap();
        assert_eq!(output, printed, "{}: {command}", page.display());
    }
}

fn page(contract: &str) -> PathBuf {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/contracts");
    examples.join(contract).join("README.md")
}

#[test]
fn the_page_of_the_token_shows_what_its_commands_print() {
    check(&page("token"));
}

#[test]
fn the_page_of_the_amm_shows_what_its_commands_print() {
    check(&page("amm"));
}

#[test]
fn the_page_of_the_registry_shows_what_its_commands_print() {
    check(&page("registry"));
}

#[test]
fn the_page_of_the_multisig_shows_what_its_commands_print() {
    check(&page("multisig"));
}

#[test]
fn the_page_of_the_payments_shows_what_its_commands_print() {
    check(&page("payments"));
}
