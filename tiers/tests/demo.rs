//! `supervm demo`, from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Place;

fn demo<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    report["demos"].as_array().unwrap().iter().find(|demo| demo["demo"] == name).unwrap()
}

#[test]
fn demo_2_returns_block_and_timestamp_and_emits_both_events() {
    let place = Place::new();
    let ran = place.run(&["demo", "2", "--once"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for expected in
        ["12345", "1704067200", "1704079545", "2 events", "UserAction", "BlockProcessed"]
    {
        assert!(ran.stdout.contains(expected), "{expected} in {}", ran.stdout);
    }
    let report = place.json(&["demo", "2"]);
    let two = demo(&report, "2");
    assert_eq!(two["result"], 1_704_079_545_i64);
    assert_eq!(two["events"], serde_json::json!(["UserAction", "BlockProcessed"]));
}

#[test]
fn demos_1_3_and_4_show_their_known_outcomes() {
    let place = Place::new();
    let text = |name| place.run(&["demo", name]).stdout;
    assert!(text("1").contains("add(7, 8) = 15"));
    assert!(
        text("3").contains("0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    assert!(
        text("3").contains("0x4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45")
    );
    assert!(text("4").contains("0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"));
}

#[test]
fn demo_5_ends_as_one_by_one_and_without_conflicts_when_it_is_planned() {
    let place = Place::new();
    let report = place.json(&["demo", "5"]);
    let five = demo(&report, "5");
    assert_eq!((&five["transfers"], &five["conflicts"]), (&100.into(), &149.into()));
    assert_eq!((&five["levels"], &five["retries_planned"]), (&6.into(), &0.into()));
    assert_eq!(five["success_rate"], 1.0);
    let text = place.run(&["demo", "5", "--once"]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    assert!(text.stdout.contains("pairs conflict"), "{}", text.stdout);
}

#[test]
fn demo_6_rolls_back_within_a_transaction_and_to_older_states() {
    let place = Place::new();
    let text = place.run(&["demo", "6", "--once"]);
    assert_eq!(text.code, 0, "{}", text.stderr);
    for expected in ["3 nested savepoints", "the checkpoint of block 2 was opened"] {
        assert!(text.stdout.contains(expected), "{}", text.stdout);
    }
    assert_eq!(demo(&place.json(&["demo", "6"]), "6")["accounts"], 1000);
}

#[test]
fn demo_7_runs_by_priority_and_counts_what_fails() {
    let place = Place::new();
    let report = place.json(&["demo", "7"]);
    let seven = demo(&report, "7");
    assert_eq!((&seven["tasks"], &seven["successful"]), (&2000.into(), &1900.into()));
    assert_eq!((&seven["failed"], &seven["success_rate"]), (&100.into(), &0.95.into()));
    assert!(seven["stolen"].as_u64().unwrap() > 0);
    let text = place.run(&["demo", "7", "--once"]).stdout;
    assert!(text.contains("256 tasks ran from priority 255 down to 0"), "{text}");
}

#[test]
fn demo_8_writes_reads_and_deletes_in_batches_that_are_all_or_nothing() {
    let place = Place::new();
    let report = place.json(&["demo", "8"]);
    let eight = demo(&report, "8");
    assert_eq!((&eight["keys"], &eight["keys_left"]), (&1000.into(), &500.into()));
    assert_eq!((&eight["failed"], &eight["events"]), (&1.into(), &3.into()));
    let text = place.run(&["demo", "8", "--once"]).stdout;
    assert!(text.contains("nothing of them stays"), "{text}");
}

#[test]
fn demo_9_keeps_the_sum_of_all_balances() {
    let place = Place::new();
    let report = place.json(&["demo", "9"]);
    let nine = demo(&report, "9");
    assert_eq!((&nine["transfers"], &nine["sum"]), (&2000.into(), &16_000.into()));
}

#[test]
fn demo_10_leaves_one_version_a_key() {
    let place = Place::new();
    let report = place.json(&["demo", "10"]);
    let ten = demo(&report, "10");
    assert_eq!((&ten["keys"], &ten["versions_left"]), (&100.into(), &100.into()));
    assert_eq!(ten["versions_removed"], 100 * 149);
}

#[test]
fn the_token_ends_in_one_digest_on_every_backend() {
    let place = Place::new();
    let report = place.json(&["demo", "token"]);
    let token = demo(&report, "token");
    assert_eq!(token["transfers"], 1000);
    let backends = token["backends"].as_array().unwrap();
    for &name in supervm_tiers::builtin::STORAGE_BACKENDS {
        assert!(backends.iter().any(|row| row["backend"] == name), "{name}");
    }
    for row in backends {
        assert_eq!(row["digest"], backends[0]["digest"]);
        assert_eq!(row["digest"].as_str().unwrap().len(), 64);
        assert!(row["seconds"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn without_a_name_every_demo_runs_and_nothing_is_left_behind() {
    let place = Place::new();
    let mut command = place.command(&["demo", "--once"]);
    std::fs::create_dir(place.path().join("tmp")).unwrap();
    let ran = common::Ran::new(command.env("TMPDIR", place.path().join("tmp")).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr, "", "no progress bar in a pipe");
    for demo in ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "token"] {
        assert!(ran.stdout.contains(&format!("demo {demo}: ")), "{}", ran.stdout);
    }
    assert_eq!(std::fs::read_dir(place.path().join("tmp")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1);
}

#[test]
fn a_demo_that_does_not_exist_lists_those_that_do() {
    let place = Place::new();
    for name in ["11", "0", "tokens"] {
        let ran = place.run(&["demo", name]);
        assert_eq!(ran.code, 2);
        let expected = format!(
            "there is no demo \"{name}\"; available: 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, token, all"
        );
        assert!(ran.stderr.contains(&expected), "{}", ran.stderr);
    }
}
