//! When running ahead pays, and when it does not.
//!
//! A transaction that is run ahead and finds its reads changed has cost one run for nothing. Where most do, as in a chain of payments or
//! around one hot key, running one by one is faster; so after a sample in which more than half had to run again, a stretch of transactions
//! runs one by one, and then the next sample is taken. Each stretch is twice as long as the one before, until a sample is good.

/// Transactions that are looked at before anything is decided.
const SAMPLE: u32 = 32;
/// Of them, as many that had to run again end running ahead.
const RERUNS_MAX: u32 = SAMPLE / 2;
/// The first stretch that runs one by one, and the longest, in transactions.
const STRETCH_MIN: usize = 64;
const STRETCH_MAX: usize = 8192;

/// What is known of the last transactions; goes on from block to block.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    sampled: u32,
    reruns: u32,
    /// The length of the next stretch.
    stretch: usize,
    /// Transactions that still run one by one.
    one_by_one: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { sampled: 0, reruns: 0, stretch: STRETCH_MIN, one_by_one: 0 }
    }
}

impl Pace {
    /// How many of the next transactions run one by one.
    pub(super) fn one_by_one(&self) -> usize {
        self.one_by_one
    }

    /// Notes that `count` transactions ran one by one.
    pub(super) fn ran_one_by_one(&mut self, count: usize) {
        self.one_by_one = self.one_by_one.saturating_sub(count);
    }

    /// Notes a transaction that was run ahead, and whether it had to run again.
    pub(super) fn ran_ahead(&mut self, again: bool) {
        self.sampled += 1;
        self.reruns += u32::from(again);
        if self.reruns >= RERUNS_MAX {
            self.one_by_one = self.stretch;
            self.stretch = (self.stretch * 2).min(STRETCH_MAX);
        } else if self.sampled >= SAMPLE {
            self.stretch = STRETCH_MIN;
        } else {
            return;
        }
        (self.sampled, self.reruns) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_sample_leads_to_stretches_that_double_until_a_good_one() {
        let mut pace = Pace::default();
        for stretch in [64, 128, 256] {
            (0..RERUNS_MAX - 1).for_each(|_| pace.ran_ahead(true));
            assert_eq!(pace.one_by_one(), 0, "half of a sample decides, not less");
            pace.ran_ahead(true);
            assert_eq!(pace.one_by_one(), stretch);
            pace.ran_one_by_one(stretch - 1);
            assert_eq!(pace.one_by_one(), 1);
            pace.ran_one_by_one(1);
        }
        (0..SAMPLE).for_each(|nth| pace.ran_ahead(nth % 3 == 0));
        assert_eq!(pace.one_by_one(), 0);
        (0..RERUNS_MAX).for_each(|_| pace.ran_ahead(true));
        assert_eq!(pace.one_by_one(), STRETCH_MIN);
    }

    #[test]
    fn a_stretch_has_a_bound() {
        let mut pace = Pace::default();
        for _ in 0..40 {
            (0..RERUNS_MAX).for_each(|_| pace.ran_ahead(true));
            pace.ran_one_by_one(usize::MAX);
        }
        (0..RERUNS_MAX).for_each(|_| pace.ran_ahead(true));
        assert_eq!(pace.one_by_one(), STRETCH_MAX);
    }
}
