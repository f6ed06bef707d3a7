//! From a seed to its vector, the costly step: 48 blocks of the ChaCha20 keystream.
//!
//! Where the processor has vector instructions for it, 16 or 8 blocks are computed side by side, each in a lane of its own, and added
//! to the sum as they are. A stream cipher has to put its blocks in order and hand them over; that costs more than the rounds.
//! Elsewhere the keystream is the one of crate `chacha20`. All ways give the same sum.

use super::sum::{Change, Sum, VECTOR_BYTES};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};

/// Adds the vector of `seed` to `sum`, or takes it away.
pub(super) fn change(sum: &mut Sum, change: Change, seed: &[u8; 32]) {
    #[cfg(target_arch = "x86_64")]
    if super::x86_64::change(sum, change, seed) {
        return;
    }
    sum.merge(change, &portable(seed));
}

fn portable(seed: &[u8; 32]) -> Sum {
    let mut bytes = [0; VECTOR_BYTES];
    ChaCha20Rng::from_seed(*seed).fill_bytes(&mut bytes);
    Sum::from_bytes(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn all_ways_to_the_vector_give_the_same_sum(
            begun: [u8; 32],
            seed: [u8; 32],
            add: bool,
        ) {
            let by = if add { Change::Add } else { Change::Remove };
            let begun = portable(&begun);
            let mut expected = begun.clone();
            expected.merge(by, &portable(&seed));
            let mut chosen = begun.clone();
            change(&mut chosen, by, &seed);
            prop_assert!(chosen == expected);
            #[cfg(target_arch = "x86_64")]
            for (name, way) in super::super::x86_64::ways() {
                let mut sum = begun.clone();
                way(&mut sum, by, &seed);
                prop_assert!(sum == expected, "{}", name);
            }
        }
    }
}
