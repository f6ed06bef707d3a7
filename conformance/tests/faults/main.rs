//! The suite is tested on a backend that is sound, and on the same backend with one fault at a time.
//!
//! Each fault is a mistake that a backend can make and that reached users somewhere. The table says which case has to catch it.

mod backend;
mod config;
mod fault;
mod log;
mod pins;
mod system;
mod view;

use fault::Fault;
use libtest_mimic::{Arguments, Failed, Trial};
use supervm_conformance::{Case, Outcome, Run, Target, cases, take_over_if_child};

/// Seconds that a case may take on a faulty backend.
const DEADLINE_SECONDS: u64 = 20;

/// How the ids of the cases begin that fill a disk.
const FULL_DISK_CASES: &str = "faults.disk_full.";

/// Each fault and the cases that have to catch it.
const CAUGHT: &str = include_str!("caught.txt");

/// One line of the table: the fault, the case, and the word of the outcome.
fn caught() -> Vec<(Fault, &'static str, &'static str)> {
    let (mut table, mut of) = (Vec::new(), None);
    for line in CAUGHT.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some((name, _)) = line.split_once(": ") {
            of = Fault::ALL.iter().copied().find(|fault| fault.name() == name);
            assert!(of.is_some(), "there is no fault {name}");
        } else if let (Some(fault), Some((id, word))) = (of, line.trim().split_once(' ')) {
            table.push((fault, id, word));
        } else {
            panic!("a malformed line in caught.txt: {line}");
        }
    }
    table
}

fn main() {
    take_over_if_child();
    system::run_if_runner();
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("a_sound_backend_passes_every_case", sound_passes),
        Trial::test("every_fault_is_in_the_table", every_fault_is_in_the_table),
        Trial::test("no_executed_case_is_a_failure", nothing_executed_fails),
        Trial::test("a_seed_repeats_a_run", a_seed_repeats),
        Trial::test("reports_tell_failed_crashed_timed_out_and_skipped_apart", reports),
        Trial::test("a_wrong_option_is_refused_before_any_case", wrong_option),
        Trial::test("root_skips_no_fault_of_the_system", system::root_skips_no_fault),
        Trial::test("a_limit_on_files_stands_for_a_full_disk", system::limit_stands_for_full_disk),
        Trial::test("an_ended_run_leaves_no_child", system::an_ended_run_leaves_no_child),
    ];
    trials.extend(caught().into_iter().map(|(fault, id, word)| {
        let name = format!("{}_is_caught_by_{}", fault.name(), id.replace('.', "_"));
        Trial::test(name, move || is_caught(run_of(fault), id, word))
    }));
    let of_full_disks = caught().into_iter().filter(|(_, id, _)| id.starts_with(FULL_DISK_CASES));
    trials.extend(of_full_disks.map(|(fault, id, word)| {
        let case = id.replace('.', "_");
        let name = format!("{}_is_caught_by_{case}_with_a_limit_on_files", fault.name());
        Trial::test(name, move || is_caught(Run { limits_files: true, ..run_of(fault) }, id, word))
    }));
    libtest_mimic::run(&arguments, trials).exit();
}

fn target(fault: Fault) -> Target {
    Target::linked("reference").with_options(format!("fault = \"{}\"", fault.name()))
}

fn run_of(fault: Fault) -> Run {
    let mut run = Run::new(target(fault));
    run.jobs = 1;
    run
}

fn case(id: &str) -> Result<&'static Case, Failed> {
    cases().find(|case| case.id == id).ok_or_else(|| format!("there is no case {id}").into())
}

fn is_caught(mut run: Run, id: &str, word: &str) -> Result<(), Failed> {
    let case = case(id)?;
    run.deadline_seconds = Some(case.deadline_seconds.max(DEADLINE_SECONDS));
    if word == "timed_out" {
        run.deadline_seconds = Some(3);
    }
    let report = run.execute(&[case], |_| ()).map_err(|error| error.to_string())?;
    let outcome = &report.cases[0].outcome;
    if outcome.word() != word || outcome.message().is_empty() || report.certificate.passed {
        return Err(format!("expected {word} with a message, found {outcome:?}").into());
    }
    Ok(())
}

fn sound_passes() -> Result<(), Failed> {
    let all: Vec<_> = cases().collect();
    let run = Run::new(target(Fault::None));
    let report = run.execute(&all, |_| ()).map_err(|error| error.to_string())?;
    let failures = report.cases.iter().filter(|case| case.outcome.is_failure());
    let failures: Vec<_> =
        failures.map(|case| format!("{}: {:?}", case.id, case.outcome)).collect();
    if !failures.is_empty() {
        return Err(format!("seed {}:\n{}", run.seed, failures.join("\n")).into());
    }
    let counts = report.certificate.counts;
    let total = counts.passed + counts.skipped;
    if !report.certificate.passed || !report.certificate.complete || total != all.len() as u64 {
        return Err(format!("the certificate is wrong: {:?}", report.certificate).into());
    }
    let silent = report
        .cases
        .iter()
        .find(|case| matches!(&case.outcome, Outcome::Skipped(reason) if reason.trim().is_empty()));
    silent.map_or(Ok(()), |case| Err(format!("{} is skipped without a reason", case.id).into()))
}

fn every_fault_is_in_the_table() -> Result<(), Failed> {
    let missing = Fault::ALL.iter().find(|fault| {
        **fault != Fault::None && !caught().iter().any(|(caught, _, _)| caught == *fault)
    });
    missing.map_or(Ok(()), |fault| Err(format!("{} is caught by no case", fault.name()).into()))
}

fn nothing_executed_fails() -> Result<(), Failed> {
    // The sound backend declares compact, so the only selected case is skipped.
    let skipped = case("honesty.undeclared.compact")?;
    let report = run_of(Fault::None).execute(&[skipped], |_| ()).map_err(|e| e.to_string())?;
    let (counts, passed) = (report.certificate.counts, report.certificate.passed);
    if counts.skipped != 1 || counts.executed() != 0 || passed {
        return Err(format!("counts {counts:?}, passed: {passed}").into());
    }
    Ok(())
}

fn a_seed_repeats() -> Result<(), Failed> {
    let mut run = run_of(Fault::OverwriteAfterReadIsLost);
    run.seed = 42;
    let found = || -> Result<String, Failed> {
        let report = run.execute(&[case("model.short_episodes")?], |_| ());
        let report = report.map_err(|error| error.to_string())?;
        Ok(report.cases[0].outcome.message().to_owned())
    };
    let (first, second) = (found()?, found()?);
    let shrunk = first.contains("shrunk to") && first.contains("seed 42");
    if first != second || !shrunk {
        return Err(format!("two runs of seed 42:\n{first}\n{second}").into());
    }
    Ok(())
}

fn reports() -> Result<(), Failed> {
    let mut run = run_of(Fault::AbortsOnALargeValue);
    run.seed = 7;
    let selected = ["limits.value.largest", "honesty.undeclared.compact", "point.get.after_put"];
    let selected = selected.iter().map(|id| case(id)).collect::<Result<Vec<_>, _>>()?;
    let report = run.execute(&selected, |_| ()).map_err(|error| error.to_string())?;
    let (json, junit, markdown) = (report.to_json(), report.to_junit(), report.to_markdown());
    for (text, parts) in [
        (
            &json,
            &["\"crashed\": 1", "\"skipped\": 1", "\"seed\": 7", "\"complete\": false", "SIGABRT"]
                [..],
        ),
        (
            &junit,
            &[
                "errors=\"1\"",
                "failures=\"0\"",
                "skipped=\"1\"",
                "<error type=\"crashed\"",
                "SIGABRT",
            ],
        ),
        (
            &markdown,
            &["reference", ": failed", "## Not passed", "SIGABRT", "## Skipped", "| seed | 7 |"],
        ),
    ] {
        if let Some(part) = parts.iter().find(|part| !text.contains(**part)) {
            return Err(format!("{part} is missing in\n{text}").into());
        }
    }
    Ok(())
}

fn wrong_option() -> Result<(), Failed> {
    let run = Run::new(Target::linked("reference").with_options("fualt = \"none\""));
    let refused = run.execute(&[case("point.get.after_put")?], |_| ());
    match refused {
        Err(error) if error.to_string().contains("fualt") => Ok(()),
        other => Err(format!("expected an error that names the option, found {other:?}").into()),
    }
}
