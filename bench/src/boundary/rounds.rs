//! Rounds: every contender does the same work, one right after the other.

use super::legs::Runner;
use super::quiet::await_background;
use super::work::{Reading, Source, Work};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::Duration;

/// Before anything counts, each contender runs at least this long.
const WARM_UP: Duration = Duration::from_millis(150);

/// One of those that take turns.
pub(super) struct Contender<'a> {
    /// Has a storage of its own: who shares one would warm it up for the other.
    pub(super) runner: &'a mut Runner,
    pub(super) reading: Reading,
}

impl<'a> Contender<'a> {
    pub(super) fn new(runner: &'a mut Runner) -> Self {
        let reading = runner.reading;
        Self { runner, reading }
    }
}

/// What the rounds of one process gave.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Times {
    /// Seconds an entry, for each contender and round.
    seconds: Vec<Vec<f64>>,
}

impl Times {
    /// How many rounds there were.
    pub(super) fn rounds(&self) -> usize {
        self.seconds[0].len()
    }

    /// Entries a second, for each round.
    pub(super) fn rates(&self, contender: usize) -> Vec<f64> {
        self.seconds[contender].iter().map(|time| 1.0 / time).collect()
    }

    /// How fast `contender` was, as a multiple of contender 0, for each round.
    pub(super) fn ratios(&self, contender: usize) -> Vec<f64> {
        self.pairs(contender).map(|(base, time)| base / time).collect()
    }

    /// How much longer `contender` took than contender 0 for an entry, in nanoseconds, for each round.
    pub(super) fn added_ns(&self, contender: usize) -> Vec<f64> {
        self.pairs(contender).map(|(base, time)| (time - base) * 1e9).collect()
    }

    fn pairs(&self, contender: usize) -> impl Iterator<Item = (f64, f64)> {
        self.seconds[0].iter().copied().zip(self.seconds[contender].iter().copied())
    }
}

/// Warms up, finds how much work takes `block`, and lets `contenders` take turns for `rounds`, whose numbers decide the order of each.
///
/// # Panics
/// When a contender reads something else than what is there.
pub(super) fn take_turns(
    contenders: &mut [Contender<'_>],
    source: &mut Source<'_>,
    rounds: Range<usize>,
    block: Duration,
) -> Times {
    let units = calibrate(contenders, source, block);
    let mut spent = Duration::ZERO;
    while spent < WARM_UP {
        let work = source.next(units);
        spent +=
            contenders.iter_mut().map(|contender| contender.run(&work)).min().unwrap_or(WARM_UP);
    }
    let mut seconds = vec![Vec::with_capacity(rounds.len()); contenders.len()];
    for round in rounds {
        let work = source.next(units);
        for index in order(round, contenders.len()) {
            let took = contenders[index].run(&work);
            seconds[index].push(took.as_secs_f64() / work.entries() as f64);
        }
    }
    Times { seconds }
}

impl Contender<'_> {
    fn run(&mut self, work: &Work<'_>) -> Duration {
        if let Work::Batch(_) = work {
            await_background();
        }
        let (took, total) = self.runner.run_reading(work, self.reading);
        let expected = work.expected();
        let found = (total.entries, total.checksum);
        assert_eq!(found, (expected.entries, expected.checksum), "a leg read something else");
        took
    }
}

/// The order of a round: from another one on each time, and every second time backwards, so that each is first as often as
/// last, and behind each other one as often as before it.
pub(crate) fn order(round: usize, contenders: usize) -> impl Iterator<Item = usize> {
    let is_reversed = !round.is_multiple_of(2);
    (0..contenders).map(move |turn| {
        let place = (turn + round / 2) % contenders;
        if is_reversed { contenders - 1 - place } else { place }
    })
}

/// How many units of work take the first of `contenders` about `block`. The others do the same work, so that what is stored stays
/// the same everywhere.
fn calibrate(contenders: &mut [Contender<'_>], source: &mut Source<'_>, block: Duration) -> usize {
    let mut units = 1;
    loop {
        let work = source.next(units);
        let took: Vec<Duration> =
            contenders.iter_mut().map(|contender| contender.run(&work)).collect();
        let (took, entries) = (took[0], work.entries());
        // There may be no more work than this.
        let is_all = source.next(2 * units).entries() == entries;
        if is_all {
            return units;
        }
        if took * 4 >= block {
            let fitting = units as f64 * block.as_secs_f64() / took.as_secs_f64();
            return (fitting as usize).max(1);
        }
        units *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_contender_is_in_each_place_as_often_and_before_each_other_as_often_as_behind() {
        let contenders = 4;
        let mut places = vec![vec![0; contenders]; contenders];
        let mut is_before = vec![vec![0_i32; contenders]; contenders];
        for round in 0..2 * contenders {
            let order: Vec<usize> = order(round, contenders).collect();
            assert_eq!(order.iter().collect::<HashSet<_>>().len(), contenders);
            for (place, &one) in order.iter().enumerate() {
                places[one][place] += 1;
                order[place + 1..].iter().for_each(|&other| is_before[one][other] += 1);
            }
        }
        assert!(places.iter().flatten().all(|&count| count == 2), "{places:?}");
        for (one, other) in (0..contenders).flat_map(|one| (0..one).map(move |other| (one, other)))
        {
            assert_eq!(is_before[one][other], is_before[other][one], "{one} and {other}");
        }
    }

    #[test]
    fn ratios_and_added_times_pair_the_rounds() {
        let seconds = vec![vec![1e-6, 4e-6], vec![2e-6, 4.1e-6]];
        let times = Times { seconds };
        assert_eq!(times.ratios(1)[0], 0.5);
        assert!((times.added_ns(1)[1] - 100.0).abs() < 1e-6);
    }
}
