//! How long a key takes when keys are asked for at a fixed rate.
//!
//! What a leg can do at most says nothing about how long one key takes. So keys are asked for at half of the raw crate's rate, and
//! each latency counts from the moment at which its key was to be asked for. Counted from when it was asked for, a stall would show
//! once, and not in everything that waited for it.

use super::legs::{LOADED, Legs, RAW};
use crate::data::Order;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const BLOCK: Duration = Duration::from_millis(50);
const ROUNDS: usize = 12;
/// Digits of a latency that are kept, and the longest one.
const DIGITS: u8 = 3;
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// The latencies of a leg.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Latency {
    /// The leg's name.
    pub leg: String,
    /// Keys a second.
    pub rate: f64,
    /// Nanoseconds that half of the keys took at most.
    pub p50_ns: u64,
    /// Nanoseconds that 99% of the keys took at most.
    pub p99_ns: u64,
    /// Nanoseconds that 99.9% of the keys took at most.
    pub p999_ns: u64,
    /// Nanoseconds of the slowest key.
    pub max_ns: u64,
}

/// The latencies of the raw crate and of the loaded backend at `rate` keys a second.
pub(super) fn measure(legs: &mut Legs<'_>, rate: f64) -> Vec<Latency> {
    const MEASURED: [(&str, usize); 2] = [("raw", RAW), (".so", LOADED)];
    let queries = legs.data().queries(Order::Uniform);
    let interval = Duration::from_secs_f64(1.0 / rate);
    let count = ((BLOCK.as_secs_f64() * rate) as usize).clamp(1, queries.len());
    let mut histograms = MEASURED.map(|_| histogram());
    for (round, queries) in queries.chunks_exact(count).cycle().take(ROUNDS).enumerate() {
        for turn in 0..MEASURED.len() {
            let index = (turn + round) % MEASURED.len();
            let runner = &mut legs.all()[MEASURED[index].1];
            runner.run_paced(queries, interval, &mut histograms[index]);
        }
    }
    let latency = |(&(leg, _), histogram): (&(&'static str, usize), &Histogram<u64>)| Latency {
        leg: leg.to_owned(),
        rate,
        p50_ns: histogram.value_at_quantile(0.5),
        p99_ns: histogram.value_at_quantile(0.99),
        p999_ns: histogram.value_at_quantile(0.999),
        max_ns: histogram.max(),
    };
    MEASURED.iter().zip(&histograms).map(latency).collect()
}

/// Of latencies in nanoseconds.
pub(super) fn histogram() -> Histogram<u64> {
    let bounds = Histogram::new_with_bounds(1, LATENCY_MAX.as_nanos() as u64, DIGITS);
    bounds.expect("the bounds are ascending")
}
