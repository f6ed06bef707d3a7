//! The four legs of one backend.

use super::clock::Clock;
use super::rounds::order;
use super::work::{Measured, Reading, Work};
use crate::backend::{Backend, Dir};
use crate::data::{Data, Query, Total};
#[cfg(feature = "leveldb")]
use crate::legs::LevelDbLeg;
#[cfg(feature = "rocksdb")]
use crate::legs::RocksDbLeg;
use crate::legs::{HeedLeg, MapLeg, RusqliteLeg};
use hdrhistogram::Histogram;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

/// Index of the database's own crate among the [`Legs`]: what the others are compared with.
pub(super) const RAW: usize = 0;
/// The same once more, over another copy.
pub(super) const RAW_AGAIN: usize = 1;
/// The backend linked in.
pub(super) const LINKED: usize = 2;
/// The backend loaded from its shared library.
pub(super) const LOADED: usize = 3;

/// How many legs there are.
pub(super) const LEGS: usize = 4;

/// The legs, open and warm.
pub(super) struct Legs<'a> {
    data: &'a Data,
    runners: Vec<Runner>,
}

/// A leg and how it reads.
pub(super) struct Runner {
    leg: Box<dyn Measured>,
    pub(super) reading: Reading,
    buffer: Vec<u8>,
    clock: Clock,
}

impl<'a> Legs<'a> {
    /// Opens all of the backend `name`, each over its copy in `copies` and in the order of round `turn`, and reads everything, which has
    /// to be `data`.
    pub(super) fn open(
        name: &'static str,
        data: &'a Data,
        copies: &[Arc<Dir>; LEGS],
        turn: usize,
        clock: Clock,
    ) -> Self {
        let backend = Backend::new(name, data);
        let open = |index: usize| {
            let copy = copies[index].clone();
            // A backend copies by itself.
            let (leg, reading): (Box<dyn Measured>, _) = match index {
                LINKED => (Box::new(backend.linked(copy)), Reading::InPlace),
                LOADED => (Box::new(backend.loaded(copy)), Reading::InPlace),
                _ => (raw(name, copy, data), Reading::Copied),
            };
            Runner { leg, reading, buffer: Vec::new(), clock }
        };
        let mut runners: Vec<_> = order(turn, LEGS).map(|index| (index, open(index))).collect();
        runners.sort_unstable_by_key(|(index, _)| *index);
        let runners = runners.into_iter().map(|(_, runner)| runner).collect();
        let mut legs = Self { data, runners };
        let all = data.total(0..data.keys().len());
        assert!(legs.totals().iter().all(|total| *total == all), "a leg holds something else");
        legs
    }

    /// What each leg holds. Reads everything, which also warms them up.
    pub(super) fn totals(&mut self) -> Vec<Total> {
        let everything = Work::Scan(self.data, iter::once(0..self.data.keys().len()).collect());
        self.runners.iter_mut().map(|runner| runner.run(&everything).1).collect()
    }

    pub(super) fn all(&mut self) -> &mut [Runner] {
        &mut self.runners
    }

    /// What is stored in them, at first.
    pub(super) fn data(&self) -> &'a Data {
        self.data
    }
}

impl Runner {
    /// Does `work`, and tells how long it took.
    pub(super) fn run(&mut self, work: &Work<'_>) -> (Duration, Total) {
        self.run_reading(work, self.reading)
    }

    /// As [`run`](Self::run), with another way of reading.
    pub(super) fn run_reading(&mut self, work: &Work<'_>, reading: Reading) -> (Duration, Total) {
        let start = self.clock.now();
        let total = self.leg.run(work, reading, &mut self.buffer);
        (self.clock.now() - start, total)
    }

    /// Gets one key every `interval`; see [`Measured::run_paced`].
    pub(super) fn run_paced(
        &mut self,
        queries: &[Query],
        interval: Duration,
        latencies: &mut Histogram<u64>,
    ) {
        self.leg.run_paced(queries, interval, self.reading, &mut self.buffer, latencies);
    }
}

fn raw(name: &str, copy: Arc<Dir>, data: &Data) -> Box<dyn Measured> {
    match name {
        "memory" => Box::new(MapLeg::filled(data)),
        "lmdb" => Box::new(HeedLeg::open(copy)),
        #[cfg(feature = "leveldb")]
        "leveldb" => Box::new(LevelDbLeg::open(copy)),
        #[cfg(feature = "rocksdb")]
        "rocksdb" => Box::new(RocksDbLeg::open(copy)),
        "sqlite" => Box::new(RusqliteLeg::open(copy)),
        other => panic!("{other} has no leg of its own crate"),
    }
}
