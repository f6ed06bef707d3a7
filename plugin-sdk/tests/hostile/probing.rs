//! Libraries whose code ends or stops the process that loads them: a child process does.

use super::*;
use std::path::PathBuf;
use supervm_plugin_sdk::load::Inspection;

fn probe(path: &Path, dir: &Dir, deadline: Duration) -> Inspection {
    let mut program = Command::new(&built().host);
    program.arg("probe");
    load::probe(program, path, dir.root(), None, deadline).unwrap()
}

fn constructor(dir: &Dir, code: &str) -> PathBuf {
    dir.compile("lib.so", &[&format!("-DCONSTRUCTOR={code}")])
}

#[test]
fn a_constructor_that_ends_or_stops_the_process_is_reported() {
    for (code, kind, how) in [
        ("abort()", ErrorKind::Internal, "the library's constructor aborted (SIGABRT)"),
        ("_exit(3)", ErrorKind::Internal, "the library's constructor exited with code 3"),
        ("exit(0)", ErrorKind::Internal, "the library's constructor exited with code 0"),
        ("*(volatile int *)0 = 0", ErrorKind::Internal, "was ended by SIGSEGV (signal 11)"),
        ("pause()", ErrorKind::Timeout, "constructor did not finish within 0.5 s"),
        // What it started is ended too: the pipe would stay open.
        ("fork();pause()", ErrorKind::Timeout, "constructor did not finish within 0.5 s"),
    ] {
        let dir = Dir::new();
        let path = constructor(&dir, code);
        let waits = kind == ErrorKind::Timeout;
        let deadline = if waits { Duration::from_millis(500) } else { load::PROBE_DEADLINE };
        let inspection = probe(&path, &dir, deadline);
        let report = inspection.failure().expect("it failed");
        assert_eq!(report.step, Step::Link, "{code}");
        let Outcome::Failed { kind: found, message } = &report.outcome else { panic!() };
        assert_eq!(*found, kind, "{message}");
        assert!(message.contains(how), "{code}: {message}");
        assert!(message.contains(&path.display().to_string()), "{message}");
        assert!(matches!(inspection.outcome(Step::Elf), Outcome::Ok { .. }));
        assert_eq!(*inspection.outcome(Step::AbiVersion), Outcome::NotReached);
        assert_eq!(inspection.descriptor, None);
    }
}

#[test]
fn a_probe_reports_what_an_inspection_does() {
    let dir = Dir::new();
    let good = dir.put("good.so", &built().plugin);
    let cut = dir.put("cut.so", &built().plugin[..9999]);
    let aborting = dir.put("aborting.so", &built().aborting);
    for path in [good, cut, aborting, dir.root().join("missing.so")] {
        let inspected = load::inspect(&path, dir.root(), None);
        assert_eq!(probe(&path, &dir, load::PROBE_DEADLINE), inspected);
        let json = serde_json::to_string(&inspected).unwrap();
        assert_eq!(serde_json::from_str::<Inspection>(&json).unwrap(), inspected);
        assert_eq!(inspected.failure().is_none(), inspected.descriptor.is_some());
        assert_eq!(inspected.steps.len(), Step::ALL.len());
    }
}

#[test]
fn a_probe_checks_the_pin() {
    let dir = Dir::new();
    let path = dir.put("lib.so", &built().plugin);
    let mut program = Command::new(&built().host);
    program.arg("probe");
    let inspection =
        load::probe(program, &path, dir.root(), Some("00"), load::PROBE_DEADLINE).unwrap();
    assert_eq!(inspection.failure().unwrap().step, Step::Pin);
}

#[test]
fn a_program_that_is_no_probe_is_an_error() {
    let dir = Dir::new();
    let path = dir.put("lib.so", &built().plugin);
    let outcome = load::probe(Command::new("true"), &path, dir.root(), None, load::PROBE_DEADLINE);
    let error = outcome.expect_err("it reports nothing");
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.to_string().contains("call probe_child"), "{error}");
}
