//! Medians, their intervals, and what the guard says.
//!
//! A shared machine is slow for milliseconds or minutes at a time. Two legs that run one right after the other suffer alike, so
//! each round gives one ratio of the two, and the median over the rounds leaves out those in which only one of them was hit. How
//! far the median can be trusted is told by the percentile bootstrap: rounds are drawn anew, with repetition, and the middle
//! 95% of the medians that come out are the interval. Rounds of one process have its luck in common; where there were several,
//! processes are drawn first, and then rounds of each.
//!
//! Sources: B. Efron, R. Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13; T. Kalibera, R. Jones: Rigorous Benchmarking in
//! Reasonable Time, ISMM 2013, for the levels.

use crate::random::SplitMix;
use serde::Serialize;

/// How far from 1 the two runs of one leg may be apart for the measurement to count.
pub const GUARD_TOLERANCE: f64 = 0.03;
const RESAMPLES: usize = 4_000;
const SEED: u64 = 0x626f_6f74;

/// A median with its 95% interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The median.
    pub median: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Estimate {
    /// Of `samples`, of which there is at least one.
    pub fn of(samples: &[f64]) -> Self {
        Self::of_parts(&[samples.to_vec()])
    }

    /// Of samples that were taken in parts, of which each has at least one: what differs from part to part widens the interval.
    pub fn of_parts(parts: &[Vec<f64>]) -> Self {
        let mut random = SplitMix::new(SEED);
        let mut resample = Vec::new();
        let medians = (0..RESAMPLES).map(|_| {
            resample.clear();
            for _ in parts {
                let part = &parts[random.below(parts.len())];
                resample.extend(part.iter().map(|_| part[random.below(part.len())]));
            }
            median(&mut resample)
        });
        let mut medians: Vec<f64> = medians.collect();
        medians.sort_unstable_by(f64::total_cmp);
        let tail = RESAMPLES / 40;
        Self {
            median: median(&mut parts.concat()),
            low: medians[tail],
            high: medians[RESAMPLES - 1 - tail],
        }
    }

    /// Is this, the ratio of a leg to itself, as close to 1 as it has to be?
    pub fn passes_guard(&self) -> bool {
        (1.0 - GUARD_TOLERANCE..=1.0 + GUARD_TOLERANCE).contains(&self.median)
    }
}

/// The middle of `samples`, of which there is at least one; between the two middle ones of an even number. Changes their order.
pub fn median(samples: &mut [f64]) -> f64 {
    let middle = samples.len() / 2;
    let is_odd = !samples.len().is_multiple_of(2);
    let (below, upper, _) = samples.select_nth_unstable_by(middle, f64::total_cmp);
    if is_odd {
        return *upper;
    }
    below.iter().copied().fold(f64::NEG_INFINITY, f64::max).midpoint(*upper)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_middle_samples() {
        assert_eq!(median(&mut [3.0]), 3.0);
        assert_eq!(median(&mut [9.0, 1.0, 5.0]), 5.0);
        assert_eq!(median(&mut [9.0, 1.0, 5.0, 2.0]), 3.5);
    }

    #[test]
    fn one_burst_does_not_move_the_estimate() {
        let mut samples = vec![1.0; 30];
        samples[7] = 40.0;
        assert_eq!(Estimate::of(&samples), Estimate { median: 1.0, low: 1.0, high: 1.0 });
    }

    /// The interval of a median over n samples of a uniform distribution is about `1 / sqrt(n)` of its width wide, on each side.
    #[test]
    fn the_interval_has_the_width_that_theory_gives() {
        let mut random = SplitMix::new(11);
        let samples: Vec<f64> = (0..400).map(|_| random.fraction()).collect();
        let estimate = Estimate::of(&samples);
        let width = estimate.high - estimate.low;
        assert!((0.06..0.14).contains(&width), "{estimate:?}");
        assert!(estimate.low < estimate.median && estimate.median < estimate.high);
    }

    #[test]
    fn the_interval_holds_the_true_median_in_about_95_of_100_cases() {
        let mut random = SplitMix::new(13);
        let holds = (0..200).filter(|_| {
            let samples: Vec<f64> = (0..30).map(|_| random.fraction()).collect();
            let estimate = Estimate::of(&samples);
            (estimate.low..=estimate.high).contains(&0.5)
        });
        let count = holds.count();
        assert!((180..=199).contains(&count), "{count} of 200");
    }

    #[test]
    fn the_interval_holds_what_differs_from_part_to_part() {
        let parts = [0.9, 0.95, 1.0, 1.05, 1.1].map(|luck| vec![luck; 20]);
        let estimate = Estimate::of_parts(&parts);
        assert_eq!(estimate.median, 1.0);
        assert!(estimate.low <= 0.95 && estimate.high >= 1.05, "{estimate:?}");
        let pooled = Estimate::of(&parts.concat());
        assert!(pooled.low > estimate.low && pooled.high < estimate.high, "{pooled:?}");
    }

    #[test]
    fn the_guard_accepts_three_percent_and_no_more() {
        let passes = |median| Estimate { median, low: 0.5, high: 2.0 }.passes_guard();
        assert!(passes(0.97) && passes(1.03));
        assert!(!passes(0.969) && !passes(1.031));
    }
}
