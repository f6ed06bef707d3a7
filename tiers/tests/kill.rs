//! `supervm run` killed at random moments: what was acknowledged is there, and no transfer is there by half.
//!
//! `SUPERVM_KILL_ROUNDS` sets the rounds for each backend (default 20), `SUPERVM_KILL_SEED` replays the moments of a run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::chance::{Moments, number};
use common::{Place, contract};
use std::process::Stdio;
use std::time::{Duration, Instant};

const ACCOUNTS: i64 = 4;
const MINTED: i64 = 1_000;

/// The balance of every account, each read by a command that opens what the killed one left.
fn balances(place: &Place, backend: &str) -> Vec<i64> {
    let ledger = contract("ledger.wat");
    let balance = |account: i64| {
        let arguments = ["run", "--backend", backend, &ledger, "balance", &account.to_string()];
        place.json(&arguments)["result"].as_i64().unwrap()
    };
    (0..ACCOUNTS).map(balance).collect()
}

fn survives_kills(backend: &str) {
    let rounds = number("SUPERVM_KILL_ROUNDS", 20);
    let mut moments = Moments::new();
    let place = Place::new();
    let ledger = contract("ledger.wat");
    for account in 0..ACCOUNTS {
        let (account, minted) = (account.to_string(), MINTED.to_string());
        place.json(&["run", "--backend", backend, &ledger, "mint", &account, &minted]);
    }
    let transfer = ["run", "--backend", backend, &ledger, "transfer", "0", "1", "1"];
    let started = Instant::now();
    assert_eq!(place.run(&transfer).code, 0);
    let whole = started.elapsed();

    let (mut killed, mut acknowledged, mut attempted) = (0, 1, 1);
    for round in 0..rounds {
        // Up to a quarter past the time of a whole run, so that some runs finish.
        let moment = whole.mul_f64(1.25 * moments.fraction());
        let mut command = place.command(&transfer);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment.max(Duration::from_millis(1)));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        attempted += 1;
        match status.code() {
            Some(0) => acknowledged += 1,
            None => killed += 1,
            Some(code) => panic!("round {round}: the command failed with {code}"),
        }
        place.digest(&["--backend", backend]);
        let balances = balances(&place, backend);
        assert_eq!(balances.iter().sum::<i64>(), ACCOUNTS * MINTED, "round {round}: {balances:?}");
        let moved = balances[1] - MINTED;
        assert!(
            (acknowledged..=attempted).contains(&moved),
            "round {round}: {moved} of {acknowledged} to {attempted}"
        );
    }
    assert!(killed > 0, "no run was killed");
}

#[test]
fn lmdb_keeps_every_acknowledged_transfer_whole() {
    survives_kills("lmdb");
}

#[test]
fn sqlite_keeps_every_acknowledged_transfer_whole() {
    survives_kills("sqlite");
}
