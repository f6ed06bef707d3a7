//! One measurement: an operation on a backend with so many keys and so large rows.

use super::Selection;
use super::clock::Clock;
use super::goal::{self, Goal};
use super::latency::{self, Latency};
use super::legs::{LINKED, LOADED, Legs, RAW, RAW_AGAIN};
use super::operation::Operation;
use super::rounds::{Contender, Times, take_turns};
use super::work::{Reading, Source};
use crate::statistics::Estimate;
use serde::Serialize;
use std::fmt;

/// A measurement that the guard calls void is made anew, so often at most.
const ATTEMPTS_MAX: usize = 3;

/// A measurement has so many parts; between two of them the legs change places.
const PARTS: usize = 4;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Cell {
    /// The backend's name.
    pub backend: &'static str,
    /// Entries stored.
    pub keys: usize,
    /// Bytes of one entry.
    pub row_bytes: usize,
    /// What was done.
    pub operation: Operation,
    /// How often the legs took turns.
    pub rounds: usize,
    /// How often it was measured until the guard was content, or given up.
    pub attempts: usize,
    /// Entries a second.
    pub rates: Rates,
    /// The ratio of the raw crate to itself: the guard.
    pub guard: Estimate,
    /// The ratio of the linked backend to the raw crate; above 1, the backend is faster.
    pub linked: Estimate,
    /// The ratio of the loaded backend to the raw crate.
    pub loaded: Estimate,
    /// The time that the loaded backend adds to an entry; nanoseconds.
    pub added_ns: Estimate,
    /// What the raw crate gains without a copy; only for a read of one entry and for a scan.
    pub in_place: Option<InPlace>,
    /// How long a key takes at half of the raw crate's rate; only for a read of one entry, and where waiting counts.
    pub latencies: Vec<Latency>,
    /// What is to be reached.
    pub goals: Vec<Goal>,
}

/// Medians, in entries a second.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rates {
    /// Of the raw crate.
    pub raw: f64,
    /// Of the linked backend.
    pub linked: f64,
    /// Of the loaded backend.
    pub loaded: f64,
}

/// The raw crate, when it reads in place.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct InPlace {
    /// Its ratio to the raw crate that copies.
    pub ratio: Estimate,
    /// Entries a second; the median.
    pub rate: f64,
}

impl Cell {
    /// Measures `operation` on `legs`. When the guard calls that void, it is done anew with legs that are opened anew: where their data
    /// lie in memory is a matter of luck, which decides a few percent.
    pub(super) fn measure(
        backend: &'static str,
        operation: Operation,
        legs: &mut Legs<'_>,
        selection: &Selection,
    ) -> Self {
        let data = legs.data();
        let mut source = Source::new(operation, data);
        let mut attempts = 1;
        let (mut times, mut guard) = measure(operation, legs, &mut source, selection);
        while !guard.passes_guard() && attempts < ATTEMPTS_MAX {
            legs.reopen();
            (times, guard) = measure(operation, legs, &mut source, selection);
            attempts += 1;
        }
        let [raw, linked, loaded] = [RAW, LINKED, LOADED].map(|index| rate(&times, index));
        let rates = Rates { raw: raw.median, linked: linked.median, loaded: loaded.median };
        let added_ns = Estimate::of(&times.added_ns(LOADED));
        let ratio = Estimate::of(&times.ratios(LOADED));
        let goals = goal::goals(backend, operation, data.shape(), &ratio, &added_ns, &loaded);
        Self {
            backend,
            keys: data.shape().keys,
            row_bytes: data.shape().row_bytes,
            operation,
            rounds: times.of(RAW).len(),
            attempts,
            rates,
            guard,
            linked: Estimate::of(&times.ratios(LINKED)),
            loaded: ratio,
            added_ns,
            in_place: in_place(operation, legs, &mut source, selection),
            latencies: match operation {
                Operation::Get if selection.clock == Clock::Wall => {
                    latency::measure(legs, rates.raw / 2.0)
                }
                _ => Vec::new(),
            },
            goals,
        }
    }

    /// Does the measurement count?
    pub fn is_void(&self) -> bool {
        !self.guard.passes_guard()
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { backend, keys, row_bytes, operation, .. } = self;
        let void = if self.is_void() { "  VOID" } else { "" };
        write!(
            f,
            "{backend:8} {keys:>8} keys {row_bytes:>5} B  {operation:14} raw {:>9}/s  linked {:.3}  .so {:.3} ({:.3}..{:.3})  \
             added {:>7.1} ns  A/A {:.3}{void}",
            self.rates.raw as u64,
            self.linked.median,
            self.loaded.median,
            self.loaded.low,
            self.loaded.high,
            self.added_ns.median,
            self.guard.median,
        )?;
        self.goals.iter().try_for_each(|goal| write!(f, "  [{goal}]"))
    }
}

/// The times of all legs, and the guard.
fn measure(
    operation: Operation,
    legs: &mut Legs<'_>,
    source: &mut Source<'_>,
    selection: &Selection,
) -> (Times, Estimate) {
    let mut times = Times::default();
    for part in 0..PARTS {
        match operation {
            _ if part == 0 => {}
            // What was written in memory does not outlive a leg.
            Operation::Batch => legs.reopen(),
            _ => legs.rotate(),
        }
        let mut contenders: Vec<_> = legs.all().iter_mut().map(Contender::new).collect();
        let rounds = selection.rounds.div_ceil(PARTS);
        times.append(take_turns(&mut contenders, source, rounds, selection.block));
        if operation == Operation::Batch {
            compare_content(legs);
        }
    }
    let guard = Estimate::of(&times.ratios(RAW_AGAIN));
    (times, guard)
}

fn rate(times: &Times, contender: usize) -> Estimate {
    let rates: Vec<f64> = times.of(contender).iter().map(|seconds| 1.0 / seconds).collect();
    Estimate::of(&rates)
}

/// Compares the raw crate that copies with itself when it reads in place.
fn in_place(
    operation: Operation,
    legs: &mut Legs<'_>,
    source: &mut Source<'_>,
    selection: &Selection,
) -> Option<InPlace> {
    if !matches!(operation, Operation::Get | Operation::Scan) {
        return None;
    }
    let mut contenders: Vec<_> = legs.all()[..=RAW_AGAIN].iter_mut().map(Contender::new).collect();
    contenders[RAW_AGAIN].reading = Reading::InPlace;
    let times = take_turns(&mut contenders, source, selection.rounds, selection.block);
    Some(InPlace {
        ratio: Estimate::of(&times.ratios(RAW_AGAIN)),
        rate: rate(&times, RAW_AGAIN).median,
    })
}

/// Reads everything through every leg: after the same writes, all hold the same.
fn compare_content(legs: &mut Legs<'_>) {
    let (data, totals) = (legs.data(), legs.totals());
    assert!(totals.iter().all(|total| *total == totals[0]), "the legs differ: {totals:?}");
    assert_ne!(totals[0], data.total(0..data.keys().len()), "nothing was written");
}
