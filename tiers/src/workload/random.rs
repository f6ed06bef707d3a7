//! Chance that is the same for the same seed, everywhere.

/// Steele, Lea and Flood's SplitMix64 (2014).
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from 0 to 1, without 1.
    pub(super) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Zipf's distribution: the nth of `count` comes in proportion to `1 / n^exponent`.
#[derive(Debug, Clone)]
pub(super) struct Zipf(Vec<f64>);

impl Zipf {
    pub(super) fn new(count: u64, exponent: f64) -> Self {
        let mut sum = 0.0;
        let sums = (1..=count).map(|nth| {
            sum += (nth as f64).powf(-exponent);
            sum
        });
        Self(sums.collect())
    }

    pub(super) fn draw(&self, random: &mut Random) -> u64 {
        let at = random.fraction() * self.0.last().copied().unwrap_or_default();
        self.0.partition_point(|sum| *sum <= at) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_zipf_distribution_comes_as_often_as_it_should() {
        let (zipf, mut random) = (Zipf::new(1000, 0.99), Random::new(1));
        let firsts = (0..100_000).filter(|_| zipf.draw(&mut random) == 0).count();
        // 1 / (1 + 1/2^0.99 + .. + 1/1000^0.99) = 0.1297
        assert!((12_500..13_500).contains(&firsts), "{firsts}");
    }

    #[test]
    fn numbers_stay_below_their_bound_and_reach_all_of_it() {
        let mut random = Random::new(2);
        let seen: std::collections::BTreeSet<_> = (0..1000).map(|_| random.below(7)).collect();
        assert_eq!(seen.len(), 7);
        assert!(seen.iter().all(|number| *number < 7));
    }
}
