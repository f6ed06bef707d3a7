//! How often, and how soon, a transaction that conflicted is tried again.
//!
//! Before the n-th retry a thread rests for a random time between nothing and a bound, which begins at [`RetryPolicy::delay_first`] and doubles
//! up to [`RetryPolicy::delay_max`]. The random part is what helps: those that met once would rest equally long and meet again.
//!
//! Source: Brooker, "Exponential Backoff And Jitter" (2015), "full jitter".

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How a transaction is tried again after a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all, the first included; 0 means 1. Default: 256.
    pub tries_max: u32,
    /// Longest rest before the first retry. Default: 50 us.
    pub delay_first: Duration,
    /// Longest rest before any retry. Default: 10 ms.
    pub delay_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            tries_max: 256,
            delay_first: Duration::from_micros(50),
            delay_max: Duration::from_millis(10),
        }
    }
}

impl RetryPolicy {
    /// Longest rest before the retry with this number, which begin at 1.
    pub fn delay_bound(&self, retry: u32) -> Duration {
        let doubled = 1_u32.checked_shl(retry.saturating_sub(1)).filter(|factor| *factor > 0);
        let bound = doubled.and_then(|factor| self.delay_first.checked_mul(factor));
        bound.map_or(self.delay_max, |bound| bound.min(self.delay_max))
    }
}

/// Random numbers for many threads: splitmix64, whose state is a counter.
#[derive(Debug)]
pub(super) struct Jitter(AtomicU64);

impl Jitter {
    /// Another sequence each time, unless `seed` says which.
    pub(super) fn new(seed: Option<u64>) -> Self {
        Self(AtomicU64::new(seed.unwrap_or_else(|| RandomState::new().hash_one(0))))
    }

    /// A time up to `bound`.
    pub(super) fn below(&self, bound: Duration) -> Duration {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
        // The high half of the product is spread as evenly as the factor.
        Duration::from_nanos(((u128::from(mixed) * u128::from(bound)) >> 64) as u64)
    }
}
