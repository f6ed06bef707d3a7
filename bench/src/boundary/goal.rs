//! What the boundary may cost.

use super::operation::Operation;
use crate::data::Shape;
use crate::statistics::Estimate;
use serde::Serialize;
use std::fmt;

/// Keys from which on the goals of a storage in memory hold: with fewer, everything is in the caches.
const LARGE_KEYS: usize = 1_000_000;
/// Rows from which on a scan is one of large rows; bytes.
const LARGE_ROW_BYTES: usize = 1_024;
/// Added time of one `get`, at most; nanoseconds.
const ADDED_NS_MAX: f64 = 20.0;

/// A goal, and whether it is reached.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Goal {
    /// What is to be reached, in words.
    pub text: String,
    /// Whether it is.
    pub outcome: Outcome,
}

/// Whether a goal is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The median reaches it.
    Met,
    /// The median does not, but the interval does.
    Open,
    /// Not even the interval does.
    Missed,
    /// Neither does the raw crate.
    OutOfReach,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.outcome {
            Outcome::Met => write!(f, "{}: met", self.text),
            Outcome::Open => write!(f, "{}: within the interval", self.text),
            Outcome::Missed => write!(f, "**{}: missed**", self.text),
            Outcome::OutOfReach => write!(f, "{}: not by the raw crate either", self.text),
        }
    }
}

/// The goals of an operation on `backend`, for the loaded library: its ratio to the raw crate, what it adds to an entry in
/// nanoseconds, and its entries a second beside those of the raw crate.
pub(super) fn goals(
    backend: &str,
    operation: Operation,
    shape: Shape,
    ratio: &Estimate,
    added_ns: &Estimate,
    rate: &Estimate,
    raw_rate: &Estimate,
) -> Vec<Goal> {
    let mut goals = Vec::new();
    let at_least =
        |estimate: &Estimate, least| outcome(estimate.median >= least, estimate.high >= least);
    if let Some(least) = ratio_min(backend, operation, shape) {
        goals.push(Goal { text: format!("≥ {least:.2}"), outcome: at_least(ratio, least) });
    }
    if operation == Operation::Get && shape.keys == LARGE_KEYS {
        let least = rate_min(backend);
        let outcome = match at_least(rate, least) {
            Outcome::Missed if raw_rate.median < least => Outcome::OutOfReach,
            outcome => outcome,
        };
        goals.push(Goal { text: format!("≥ {}K/s", least / 1e3), outcome });
    }
    if operation == Operation::Get {
        let met = added_ns.median <= ADDED_NS_MAX;
        let outcome = outcome(met, added_ns.low <= ADDED_NS_MAX);
        goals.push(Goal { text: format!("≤ {ADDED_NS_MAX} ns"), outcome });
    }
    goals
}

fn outcome(is_median: bool, is_interval: bool) -> Outcome {
    match (is_median, is_interval) {
        (true, _) => Outcome::Met,
        (false, true) => Outcome::Open,
        (false, false) => Outcome::Missed,
    }
}

/// The least ratio of the loaded library to the raw crate.
fn ratio_min(backend: &str, operation: Operation, shape: Shape) -> Option<f64> {
    let is_map = matches!(backend, "lmdb" | "memory");
    match operation {
        Operation::Get | Operation::GetZipf | Operation::MultiGet if is_map => {
            (shape.keys >= LARGE_KEYS).then_some(0.95)
        }
        Operation::Get | Operation::GetZipf | Operation::MultiGet => Some(0.97),
        Operation::Scan if is_map && shape.row_bytes < LARGE_ROW_BYTES => Some(0.85),
        Operation::Scan => Some(0.95),
        Operation::Batch => Some(if backend == "memory" { 0.95 } else { 0.97 }),
    }
}

/// The least number of keys read in a second by one thread from a large storage.
fn rate_min(backend: &str) -> f64 {
    match backend {
        "lmdb" => 700e3,
        "memory" => 500e3,
        "sqlite" => 350e3,
        "leveldb" => 300e3,
        _ => 250e3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Shape = Shape { keys: 100_000, row_bytes: 124 };
    const LARGE: Shape = Shape { keys: 1_000_000, row_bytes: 1_024 };

    fn estimate(low: f64, median: f64, high: f64) -> Estimate {
        Estimate { median, low, high }
    }

    #[test]
    fn a_goal_is_open_when_only_the_interval_reaches_it() {
        let rate = estimate(1e6, 1e6, 1e6);
        let added = estimate(5.0, 6.0, 7.0);
        for (ratio, expected) in [
            (estimate(0.9, 0.97, 1.0), Outcome::Met),
            (estimate(0.9, 0.96, 0.98), Outcome::Open),
            (estimate(0.9, 0.95, 0.96), Outcome::Missed),
        ] {
            let goals = goals("sqlite", Operation::Get, SMALL, &ratio, &added, &rate, &rate);
            assert_eq!(goals[0].outcome, expected, "{ratio:?}");
        }
    }

    #[test]
    fn floors_hold_for_a_million_keys_and_added_time_for_every_get() {
        let (ratio, rate) = (estimate(1.0, 1.0, 1.0), estimate(3e5, 3.4e5, 3.45e5));
        let added = estimate(21.0, 25.0, 30.0);
        let texts = |shape, raw_rate| {
            let raw_rate = estimate(raw_rate, raw_rate, raw_rate);
            let goals = goals("sqlite", Operation::Get, shape, &ratio, &added, &rate, &raw_rate);
            goals.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(texts(SMALL, 3e5), ["≥ 0.97: met", "**≤ 20 ns: missed**"]);
        assert_eq!(texts(LARGE, 3.6e5)[1], "**≥ 350K/s: missed**");
        assert_eq!(texts(LARGE, 3.4e5)[1], "≥ 350K/s: not by the raw crate either");
    }

    #[test]
    fn each_row_of_the_table_of_ratios_is_kept() {
        let least = |backend, operation, shape| ratio_min(backend, operation, shape);
        assert_eq!(least("lmdb", Operation::Get, LARGE), Some(0.95));
        assert_eq!(least("lmdb", Operation::Get, SMALL), None);
        assert_eq!(least("rocksdb", Operation::Get, SMALL), Some(0.97));
        assert_eq!(least("memory", Operation::Batch, SMALL), Some(0.95));
        assert_eq!(least("lmdb", Operation::Batch, SMALL), Some(0.97));
        assert_eq!(least("memory", Operation::Scan, SMALL), Some(0.85));
        assert_eq!(least("memory", Operation::Scan, LARGE), Some(0.95));
    }
}
