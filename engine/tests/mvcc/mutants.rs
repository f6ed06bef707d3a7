//! Every mistake that can be switched on is caught by a test that is named here.
//!
//! The test runs itself once for each mistake: `SUPERVM_MUTANT` names the mistake, and the one test that has to fail is asked for by its name.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use supervm_engine::mvcc::MUTANTS;

/// A test that has not ended by then hangs, which is not how it is to fail.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Each mistake and the test that catches it.
const CAUGHT_BY: &[(&str, &str)] = &[
    ("publish-early", "races::no_transaction_sees_a_part_of_a_commit"),
    ("hole-after-conflict", "conflicts::a_refused_commit_leaves_nothing_and_takes_no_version"),
    (
        "pin-after-load",
        "races::a_transaction_that_begins_while_garbage_is_collected_sees_every_key",
    ),
    (
        "pins-are-shared",
        "gc::of_two_readers_of_one_version_the_second_keeps_it_when_the_first_ends",
    ),
    ("window-at-commit", "conflicts::the_conflict_check_begins_at_the_version_that_was_read"),
    ("policy-before-reader", "policies::a_reader_goes_before_versions_max"),
    ("unlink-held", "conflicts::a_written_cell_stays_findable_while_garbage_is_collected"),
    ("tombstone-too-early", "gc::a_deleted_key_leaves_when_nobody_sees_its_value"),
    ("equal-value-skipped", "conflicts::a_write_of_the_value_that_is_there_is_a_write"),
    ("phantoms", "scans::a_serializable_commit_fails_when_a_range_that_it_scanned_changed"),
    (
        "absent-reads-unchecked",
        "conflicts::a_serializable_commit_fails_when_a_key_that_it_found_absent_appeared",
    ),
    (
        "reads-unchecked",
        "anomalies::g2_item_write_skew_is_ruled_out_at_serializable_and_allowed_at_snapshot",
    ),
    ("restart-at-zero", "backend::what_was_committed_is_there_after_reopening_and_versions_go_on"),
    (
        "failed-write-published",
        "poisoning::what_a_failed_write_did_not_write_never_becomes_visible",
    ),
    ("evict-needed", "eviction::a_key_whose_older_version_a_reader_needs_stays"),
    (
        "rollback-keeps-overwrite",
        "savepoints::rolling_back_undoes_writes_overwrites_and_deletes_since_the_savepoint",
    ),
    ("sync-skipped", "group::a_durable_commit_is_synced_and_a_visible_one_is_not"),
];

/// How the test `name` ends with `mutant`.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed,
    Hung,
}

fn run(name: &str, mutant: Option<&str>) -> Outcome {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name]).stdout(Stdio::null()).stderr(Stdio::null());
    match mutant {
        Some(mutant) => command.env("SUPERVM_MUTANT", mutant),
        None => command.env_remove("SUPERVM_MUTANT"),
    };
    let mut child = command.spawn().unwrap();
    let deadline = Instant::now() + TIME_MAX;
    loop {
        match child.try_wait().unwrap() {
            Some(status) if status.success() => return Outcome::Passed,
            // What the test harness ends with when a test failed.
            Some(status) if status.code() == Some(101) => return Outcome::Failed,
            Some(status) => panic!("{name} with {mutant:?} ended with {status}"),
            None if deadline < Instant::now() => break,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    Outcome::Hung
}

fn exists(name: &str) -> bool {
    let listed = Command::new(std::env::current_exe().unwrap())
        .args(["--list", "--exact", name])
        .output()
        .unwrap();
    String::from_utf8_lossy(&listed.stdout).contains(&format!("{name}: test"))
}

#[test]
fn every_mistake_is_caught_by_its_test() {
    let mut wrong = Vec::new();
    for mutant in MUTANTS {
        let Some((_, test)) = CAUGHT_BY.iter().find(|(named, _)| named == mutant) else {
            wrong.push(format!("no test is named for {mutant}"));
            continue;
        };
        assert!(exists(test), "there is no test {test}");
        let sound = run(test, None);
        let mistaken = run(test, Some(mutant));
        println!("{mutant:<26} {mistaken:?}  {test}");
        if (&sound, &mistaken) != (&Outcome::Passed, &Outcome::Failed) {
            wrong.push(format!("{test}: {sound:?} without {mutant}, {mistaken:?} with it"));
        }
    }
    assert_eq!(CAUGHT_BY.len(), MUTANTS.len(), "a mistake is named that is none");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
