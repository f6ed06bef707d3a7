//! What is the same for every subcommand.

mod common;

use common::{Place, contract};

const SUBCOMMANDS: &[&[&str]] = &[
    &[],
    &["run"],
    &["demo"],
    &["plugin"],
    &["plugin", "list"],
    &["plugin", "new"],
    &["plugin", "check"],
    &["plugin", "inspect"],
    &["config"],
    &["config", "show"],
    &["config", "check"],
    &["db"],
    &["db", "get"],
    &["db", "put"],
    &["db", "delete"],
    &["db", "scan"],
    &["db", "stats"],
    &["db", "digest"],
    &["db", "history"],
    &["db", "blocks"],
    &["db", "verify"],
    &["db", "compact"],
    &["db", "prune"],
    &["db", "checkpoint"],
    &["db", "restore"],
    &["db", "export"],
    &["db", "import"],
    &["db", "convert"],
    &["db", "diff"],
    &["completions"],
];

#[test]
fn every_help_has_examples() {
    let place = Place::new();
    for subcommand in SUBCOMMANDS {
        let ran = place.run(&[*subcommand, &["--help"]].concat());
        assert_eq!(ran.code, 0, "{subcommand:?}");
        assert!(ran.stdout.contains("Examples:\n  "), "{subcommand:?}: {}", ran.stdout);
    }
}

#[test]
fn wrong_arguments_exit_with_2_and_say_so_on_stderr() {
    let place = Place::new();
    for arguments in
        [&["rum"][..], &["db", "get"], &["run", "--tier", "L9", "a", "b"], &["--nothing"]]
    {
        let ran = place.run(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{arguments:?}");
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
        let json = place.run(&[arguments, &["--json"]].concat());
        assert_eq!(json.code, 2);
        assert!(json.error()["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
}

#[test]
fn an_error_in_json_is_one_object_with_kind_and_details() {
    let place = Place::new();
    let ran = place.run(&["db", "digest", "--dir", "nowhere", "--json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    let error = ran.error();
    assert_eq!(error["kind"], "not-found");
    assert!(
        error["details"].as_array().unwrap().iter().any(|one| one["value"] == "nowhere"),
        "{error}"
    );
}

#[test]
fn completions_know_the_subcommands_of_every_shell() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = place.run(&["completions", shell]);
        assert_eq!(ran.code, 0);
        for word in ["run", "demo", "plugin", "config", "db", "digest"] {
            assert!(ran.stdout.contains(word), "{shell} {word}");
        }
    }
}

#[test]
fn log_lines_are_on_stderr_as_text_or_json() {
    let place = Place::new();
    let add = contract("add.wat");
    let run = ["run", "--tier", "L4", "--backend", "lmdb", &add, "add", "1", "2"];
    let quiet = place.run(&run);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (0, ""));
    let text = place.run(&[&run[..], &["-v"]].concat());
    assert!(text.stderr.contains("not for this backend"), "{}", text.stderr);
    assert_eq!(text.stdout, quiet.stdout);
    let json = place.run(&[&run[..], &["-v", "--log-format", "json"]].concat());
    for line in json.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["fields"]["message"].is_string(), "{line}");
    }
    assert!(json.stderr.contains("storage.options.quota_bytes"), "{}", json.stderr);
}

#[test]
fn colours_are_for_terminals_unless_they_are_forced_or_forbidden() {
    let place = Place::new();
    let add = contract("add.wat");
    let coloured = |variables: &[(&str, &str)]| {
        let mut command = place.command(&["run", &add, "add", "1", "2"]);
        let ran = common::Ran::new(command.envs(variables.iter().copied()).output().unwrap());
        ran.stdout.contains('\u{1b}')
    };
    assert!(!coloured(&[]));
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}
