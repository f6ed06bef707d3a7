//! The four legs of one backend.

use super::clock::Clock;
use super::work::{Measured, Reading, Work};
use crate::backend::Backend;
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
use tempfile::TempDir;

/// Index of the database's own crate among the [`Legs`]: what the others are compared with.
pub(super) const RAW: usize = 0;
/// The same once more, over another copy.
pub(super) const RAW_AGAIN: usize = 1;
/// The backend linked in.
pub(super) const LINKED: usize = 2;
/// The backend loaded from its shared library.
pub(super) const LOADED: usize = 3;

/// All legs.
const LEGS: [usize; 4] = [RAW, RAW_AGAIN, LINKED, LOADED];

/// The legs, open and warm.
pub(super) struct Legs<'a> {
    name: &'static str,
    backend: Backend<'a>,
    data: &'a Data,
    clock: Clock,
    /// What each leg is over.
    copies: Vec<Arc<TempDir>>,
    /// How often they were opened.
    turn: usize,
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
    /// Opens all four of the backend `name`.
    pub(super) fn open(name: &'static str, data: &'a Data, clock: Clock) -> Self {
        let backend = Backend::new(name, data);
        let (copies, runners) = (Vec::new(), Vec::new());
        let mut legs = Self { name, backend, data, clock, copies, turn: 0, runners };
        legs.reopen();
        legs
    }

    /// Opens all of them anew, over new copies.
    pub(super) fn reopen(&mut self) {
        self.runners.clear();
        self.copies = LEGS.map(|_| self.backend.copy()).into();
        self.open_all();
    }

    /// Opens all of them anew, each over the copy of the one before it, and another one first: where data lie well in memory, and who
    /// came first, is everybody's luck once in as many times as there are legs.
    pub(super) fn rotate(&mut self) {
        self.runners.clear();
        self.copies.rotate_right(1);
        self.open_all();
    }

    /// Opens all of them and reads everything, which has to be what was filled in.
    fn open_all(&mut self) {
        self.turn += 1;
        let first = self.turn % LEGS.len();
        let mut runners: Vec<_> =
            (0..LEGS.len()).map(|place| self.runner((first + place) % LEGS.len())).collect();
        runners.rotate_right(first);
        self.runners = runners;
        let all = self.data.total(0..self.data.keys().len());
        assert!(self.totals().iter().all(|total| *total == all), "a leg holds something else");
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

    fn runner(&self, index: usize) -> Runner {
        let copy = self.copies[index].clone();
        // A backend copies by itself.
        let (leg, reading): (Box<dyn Measured>, _) = match index {
            LINKED => (Box::new(self.backend.linked(copy)), Reading::InPlace),
            LOADED => (Box::new(self.backend.loaded(copy)), Reading::InPlace),
            _ => (raw(self.name, copy, self.data), Reading::Copied),
        };
        Runner { leg, reading, buffer: Vec::new(), clock: self.clock }
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

fn raw(name: &str, copy: Arc<TempDir>, data: &Data) -> Box<dyn Measured> {
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
