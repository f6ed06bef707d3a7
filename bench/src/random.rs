//! Random numbers that are the same in every run.

/// Sebastiano Vigna's SplitMix64. Source: <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Debug, Clone)]
pub struct SplitMix(u64);

impl SplitMix {
    /// The sequence that begins with `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1. The remainder favours some by less than one in 2^40 for bounds below 2^24.
    #[inline]
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next_u64() % bound as u64) as usize
    }

    /// A number in `[0, 1)`.
    pub fn fraction(&mut self) -> f64 {
        const BITS: u32 = f64::MANTISSA_DIGITS;
        (self.next_u64() >> (u64::BITS - BITS)) as f64 / (1_u64 << BITS) as f64
    }

    /// Overwrites `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next_u64().to_le_bytes()[..chunk.len()]);
        }
    }

    /// Fisher and Yates' shuffle.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }
}

/// Zipf's distribution over `0..items`: the item of rank `k`, counted from 1, comes in proportion to `1 / k^exponent`.
///
/// Sampled exactly, by a search in the sums of the proportions.
#[derive(Debug)]
pub struct Zipf {
    /// The share of all items up to each, in ascending order; the last is 1.
    shares: Vec<f64>,
}

impl Zipf {
    /// Over `items`, at least 1.
    pub fn new(items: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=items).map(|rank| {
            sum += (rank as f64).powf(-exponent);
            sum
        });
        let mut shares: Vec<f64> = sums.collect();
        shares.iter_mut().for_each(|share| *share /= sum);
        Self { shares }
    }

    /// An item; 0 is the most frequent.
    pub fn sample(&self, random: &mut SplitMix) -> usize {
        let point = random.fraction();
        let rank = self.shares.partition_point(|share| *share <= point);
        rank.min(self.shares.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_gives_each_rank_its_share() {
        let (items, samples) = (1000, 200_000);
        let zipf = Zipf::new(items, 0.99);
        let mut random = SplitMix::new(7);
        let mut counts = vec![0_u32; items];
        (0..samples).for_each(|_| counts[zipf.sample(&mut random)] += 1);
        let all: f64 = (1..=items).map(|rank| (rank as f64).powf(-0.99)).sum();
        for rank in [1, 2, 10, 100] {
            let expected = f64::from(samples) / all / (rank as f64).powf(0.99);
            let found = f64::from(counts[rank - 1]);
            let deviations = (found - expected).abs() / expected.sqrt();
            assert!(deviations < 4.0, "rank {rank}: {found}, expected {expected}");
        }
    }

    #[test]
    fn zipf_over_one_item_gives_that_item() {
        let zipf = Zipf::new(1, 0.99);
        assert_eq!(zipf.sample(&mut SplitMix::new(1)), 0);
    }

    #[test]
    fn fractions_are_below_one_and_fill_the_interval() {
        let mut random = SplitMix::new(3);
        let fractions: Vec<f64> = (0..10_000).map(|_| random.fraction()).collect();
        assert!(fractions.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let mean = fractions.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<_> = (0..100).collect();
        SplitMix::new(5).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
