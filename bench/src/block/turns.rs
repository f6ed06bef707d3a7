//! Legs that run the same blocks in turns.

use crate::boundary::order;
use crate::statistics::Estimate;
use serde::Serialize;
use std::time::Instant;

/// Rounds before anything counts.
const WARM_UP_ROUNDS: usize = 3;

/// Two legs of one thread and one of two.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Rates {
    /// Transactions a second on one thread.
    pub one: Estimate,
    /// Transactions a second on two threads.
    pub two: Estimate,
    /// How fast two threads are, as a multiple of one.
    pub ratio: Estimate,
    /// The ratio of the two legs of one thread.
    pub guard: Estimate,
}

/// Lets the legs take turns: each round, each of them is given the same work by its number, and says how many transactions that was. Legs 0
/// and 1 have one thread, leg 2 has two.
pub(super) fn take_turns(rounds: usize, mut run: impl FnMut(usize, usize) -> usize) -> Rates {
    let mut rates = [const { Vec::new() }; 3];
    for round in 0..WARM_UP_ROUNDS + rounds {
        for leg in order(round, rates.len()) {
            let start = Instant::now();
            let count = run(round, leg);
            let rate = count as f64 / start.elapsed().as_secs_f64();
            if round >= WARM_UP_ROUNDS {
                rates[leg].push(rate);
            }
        }
    }
    let ratios = |leg: usize| -> Vec<f64> {
        rates[leg].iter().zip(&rates[0]).map(|(own, one)| own / one).collect()
    };
    Rates {
        one: Estimate::of(&rates[0]),
        two: Estimate::of(&rates[2]),
        ratio: Estimate::of(&ratios(2)),
        guard: Estimate::of(&ratios(1)),
    }
}
