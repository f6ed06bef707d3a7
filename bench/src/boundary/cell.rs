//! One measurement: an operation on a backend with so many keys and so large rows.

use super::Selection;
use super::goal::{self, Goal};
use super::latency::Latency;
use super::legs::{LINKED, LOADED, RAW, RAW_AGAIN};
use super::operation::Operation;
use super::part::{self, Copies, Figures};
use super::rounds::Times;
use crate::statistics::Estimate;
use anyhow::Result;
use serde::Serialize;
use std::fmt;

/// A measurement that the guard calls void is made anew, so often at most.
const ATTEMPTS_MAX: usize = 3;

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
    /// Measures `operation` on the backend of `copies`. When the guard calls that void, it is done anew over new copies: where their data lie in memory
    /// is a matter of luck, which decides a few percent.
    ///
    /// # Errors
    /// When a part fails.
    pub(super) fn measure(
        operation: Operation,
        copies: &mut Copies<'_>,
        selection: &Selection,
    ) -> Result<Self> {
        let mut attempts = 1;
        let (parts, guard) = loop {
            let parts = part::measure(operation, copies, selection)?;
            let guard = estimate(&times(&parts), Times::ratios, RAW_AGAIN);
            if guard.passes_guard() || attempts == ATTEMPTS_MAX {
                break (parts, guard);
            }
            copies.renew();
            attempts += 1;
        };
        let (backend, shape) = (copies.backend().name(), copies.backend().data().shape());
        let times = times(&parts);
        let [raw, linked, loaded] =
            [RAW, LINKED, LOADED].map(|leg| estimate(&times, Times::rates, leg));
        let [ratio_linked, ratio_loaded] =
            [LINKED, LOADED].map(|leg| estimate(&times, Times::ratios, leg));
        let added_ns = estimate(&times, Times::added_ns, LOADED);
        Ok(Self {
            backend,
            keys: shape.keys,
            row_bytes: shape.row_bytes,
            operation,
            rounds: times.iter().map(|times| times.rounds()).sum(),
            attempts,
            rates: Rates { raw: raw.median, linked: linked.median, loaded: loaded.median },
            guard,
            linked: ratio_linked,
            loaded: ratio_loaded,
            added_ns,
            in_place: in_place(&parts),
            goals: goal::goals(backend, operation, shape, &ratio_loaded, &added_ns, &loaded, &raw),
            latencies: parts.iter().flat_map(|part| part.latencies.clone()).collect(),
        })
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

fn times(parts: &[Figures]) -> Vec<&Times> {
    parts.iter().map(|part| &part.times).collect()
}

fn in_place(parts: &[Figures]) -> Option<InPlace> {
    let times: Vec<_> = parts.iter().filter_map(|part| part.in_place.as_ref()).collect();
    (!times.is_empty()).then(|| InPlace {
        ratio: estimate(&times, Times::ratios, RAW_AGAIN),
        rate: estimate(&times, Times::rates, RAW_AGAIN).median,
    })
}

/// Of the `figures` that `leg` has in each part.
fn estimate(parts: &[&Times], figures: impl Fn(&Times, usize) -> Vec<f64>, leg: usize) -> Estimate {
    let samples: Vec<_> = parts.iter().map(|times| figures(times, leg)).collect();
    Estimate::of_parts(&samples)
}
