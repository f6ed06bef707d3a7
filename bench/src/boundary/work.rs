//! Pieces of work that every leg does alike.

use super::operation::Operation;
use crate::data::{Data, Order, Put, Query, Total};
use crate::leg::{Copying, Leg};
use crate::random::SplitMix;
use hdrhistogram::Histogram;
use std::hint::spin_loop;
use std::ops::Range;
use std::time::{Duration, Instant};
use supervm_plugin_sdk::KeyRange;

/// Keys of one `multi_get`.
const KEYS_AT_ONCE: usize = 100;
/// Rows of one scan, at most.
const SCAN_ROWS: usize = 25_000;
const SEED: u64 = 0x776f_726b;

/// How a leg reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// As the database allows it: without a copy where it can.
    InPlace,
    /// With a copy into a buffer of the caller, as the storage contract asks of a backend.
    Copied,
}

/// What a leg does in one block.
#[derive(Debug)]
pub(super) enum Work<'a> {
    Get(&'a [Query]),
    MultiGet(&'a [Query]),
    /// Ranges of entries, counted in the order of the keys.
    Scan(&'a Data, Vec<Range<usize>>),
    Batch(Vec<Vec<Put>>),
}

impl Work<'_> {
    /// What is read by it, when nothing was written before.
    pub(super) fn expected(&self) -> Total {
        let mut total = Total::default();
        match self {
            Self::Get(queries) | Self::MultiGet(queries) => queries.iter().for_each(|query| {
                total.checksum = total.checksum.wrapping_add(query.checksum);
            }),
            Self::Scan(data, ranges) => ranges.iter().for_each(|range| {
                total.checksum = total.checksum.wrapping_add(data.total(range.clone()).checksum);
            }),
            Self::Batch(_) => {}
        }
        total.entries = self.entries() as u64;
        total
    }

    /// Keys read, rows read or values written.
    pub(super) fn entries(&self) -> usize {
        match self {
            Self::Get(queries) | Self::MultiGet(queries) => queries.len(),
            Self::Scan(_, ranges) => ranges.iter().map(ExactSizeIterator::len).sum(),
            Self::Batch(batches) => batches.iter().map(Vec::len).sum(),
        }
    }
}

/// Where the work comes from: the same in every run, and another in each of its parts.
#[derive(Debug)]
pub(super) struct Source<'a> {
    data: &'a Data,
    operation: Operation,
    queries: Vec<Query>,
    next_query: usize,
    next_version: u64,
    random: SplitMix,
}

impl<'a> Source<'a> {
    /// The work of part `part` of `parts`: keys are asked for from another place on in each.
    pub(super) fn new(operation: Operation, data: &'a Data, part: usize, parts: usize) -> Self {
        let queries = match operation {
            Operation::Get | Operation::MultiGet => data.queries(Order::Uniform),
            Operation::GetZipf => data.queries(Order::Zipf),
            Operation::Scan | Operation::Batch => Vec::new(),
        };
        let next_query = queries.len() / parts * part;
        let random = SplitMix::new(SEED + part as u64);
        Self { data, operation, queries, next_query, next_version: 1, random }
    }

    /// Work that is another one each time. A unit is a `get`, a `multi_get`, a scan or a batch.
    pub(super) fn next(&mut self, units: usize) -> Work<'_> {
        match self.operation {
            Operation::Get | Operation::GetZipf => Work::Get(self.next_queries(units)),
            Operation::MultiGet => Work::MultiGet(self.next_queries(units * KEYS_AT_ONCE)),
            Operation::Scan => Work::Scan(self.data, (0..units).map(|_| self.range()).collect()),
            Operation::Batch => Work::Batch((0..units).map(|_| self.batch()).collect()),
        }
    }

    fn next_queries(&mut self, count: usize) -> &[Query] {
        let count = count.min(self.queries.len());
        if self.next_query + count > self.queries.len() {
            self.next_query = 0;
        }
        let start = self.next_query;
        self.next_query += count;
        &self.queries[start..self.next_query]
    }

    fn range(&mut self) -> Range<usize> {
        let keys = self.data.keys().len();
        let rows = SCAN_ROWS.min(keys);
        let start = self.random.below(keys - rows + 1);
        start..start + rows
    }

    fn batch(&mut self) -> Vec<Put> {
        let batch = self.data.rewrite(&mut self.random, self.next_version);
        self.next_version += 1;
        batch
    }
}

/// What is measured of a [`Leg`], whatever its type.
pub(super) trait Measured {
    /// Does `work`; `buffer` is what [`Reading::Copied`] copies to.
    fn run(&mut self, work: &Work<'_>, reading: Reading, buffer: &mut Vec<u8>) -> Total;

    /// Gets one key every `interval`, and records how long after its time each was there, in nanoseconds.
    fn run_paced(
        &mut self,
        queries: &[Query],
        interval: Duration,
        reading: Reading,
        buffer: &mut Vec<u8>,
        latencies: &mut Histogram<u64>,
    );
}

impl<L: Leg> Measured for L {
    fn run(&mut self, work: &Work<'_>, reading: Reading, buffer: &mut Vec<u8>) -> Total {
        match reading {
            Reading::InPlace => run(self, work),
            Reading::Copied => run(&mut Copying { leg: self, buffer }, work),
        }
    }

    fn run_paced(
        &mut self,
        queries: &[Query],
        interval: Duration,
        reading: Reading,
        buffer: &mut Vec<u8>,
        latencies: &mut Histogram<u64>,
    ) {
        match reading {
            Reading::InPlace => run_paced(self, queries, interval, latencies),
            Reading::Copied => {
                run_paced(&mut Copying { leg: self, buffer }, queries, interval, latencies);
            }
        }
    }
}

fn run(leg: &mut impl Leg, work: &Work<'_>) -> Total {
    let mut total = Total::default();
    match work {
        Work::Get(queries) => {
            for query in *queries {
                // An absent key shows in the count.
                let _ = leg.get(&query.key, |value| total.add_value(value));
            }
        }
        Work::MultiGet(queries) => {
            for queries in queries.chunks(KEYS_AT_ONCE) {
                let mut keys = [&[][..]; KEYS_AT_ONCE];
                queries.iter().zip(&mut keys).for_each(|(query, key)| *key = &query.key);
                leg.multi_get(&keys[..queries.len()], |value| {
                    value.into_iter().for_each(|value| total.add_value(value));
                });
            }
        }
        Work::Scan(data, ranges) => {
            for range in ranges {
                let keys = data.keys();
                let end = keys.get(range.end).map(<[u8; _]>::as_slice);
                let range = KeyRange::new(&keys[range.start], end);
                leg.scan(range, |key, value| total.add_row(key, value));
            }
        }
        Work::Batch(batches) => {
            for batch in batches {
                leg.write(batch);
                total.entries += batch.len() as u64;
            }
        }
    }
    total
}

/// Each latency counts from when the key was to be asked for, not from when it was: what waits behind a slow one is slow too.
fn run_paced(
    leg: &mut impl Leg,
    queries: &[Query],
    interval: Duration,
    latencies: &mut Histogram<u64>,
) {
    let start = Instant::now();
    let mut intended = Duration::ZERO;
    for query in queries {
        while start.elapsed() < intended {
            spin_loop();
        }
        let mut total = Total::default();
        let _ = leg.get(&query.key, |value| total.add_value(value));
        assert_eq!(total.checksum, query.checksum, "a get found something else");
        let latency = start.elapsed().saturating_sub(intended);
        latencies.saturating_record(latency.as_nanos() as u64);
        intended += interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boundary::latency::histogram;
    use crate::data::Shape;
    use crate::legs::MapLeg;

    #[test]
    fn every_read_does_the_work_that_is_expected() {
        let data = Data::generate(Shape { keys: 30_000, row_bytes: 124 });
        let mut leg = MapLeg::filled(&data);
        for operation in [Operation::Get, Operation::GetZipf, Operation::MultiGet, Operation::Scan]
        {
            let mut source = Source::new(operation, &data, 0, 1);
            for reading in [Reading::InPlace, Reading::Copied] {
                let work = source.next(3);
                let total = leg.run(&work, reading, &mut Vec::new());
                let found = (total.entries, total.checksum);
                let expected = work.expected();
                assert_eq!(found, (expected.entries, expected.checksum), "{operation} {reading:?}");
                assert!(total.entries >= 3);
            }
        }
    }

    #[test]
    fn work_differs_from_block_to_block_and_starts_again_at_the_end() {
        let data = Data::generate(Shape { keys: 1_000, row_bytes: 124 });
        let mut source = Source::new(Operation::Get, &data, 0, 1);
        let first = |work: Work<'_>| match work {
            Work::Get(queries) => (queries[0].key, queries.len()),
            other => panic!("{other:?}"),
        };
        let blocks: Vec<_> = (0..3).map(|_| first(source.next(400))).collect();
        assert_ne!(blocks[0], blocks[1]);
        assert_eq!(blocks[0], blocks[2], "200 queries are left, fewer than a block");
        assert_eq!(first(source.next(5_000)).1, 1_000, "no block is longer than the queries");
        let mut second_half = Source::new(Operation::Get, &data, 1, 2);
        assert_eq!(first(second_half.next(1)).0, data.queries(Order::Uniform)[500].key);
    }

    /// One stall has to show in everything that was to happen meanwhile.
    #[test]
    fn a_stall_counts_for_every_key_that_waited() {
        struct Stalling(MapLeg, bool);
        impl Leg for Stalling {
            fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
                if !std::mem::replace(&mut self.1, true) {
                    let until = Instant::now() + Duration::from_millis(20);
                    while Instant::now() < until {}
                }
                self.0.get(key, read)
            }
            fn scan(&mut self, _: KeyRange<'_>, _: impl FnMut(&[u8], &[u8])) {}
            fn write(&mut self, _: &[Put]) {}
        }
        let data = Data::generate(Shape { keys: 100, row_bytes: 124 });
        let queries = data.queries(Order::Uniform);
        let mut latencies = histogram();
        let mut leg = Stalling(MapLeg::filled(&data), false);
        let interval = Duration::from_micros(100);
        leg.run_paced(&queries, interval, Reading::InPlace, &mut Vec::new(), &mut latencies);
        // 10 ms of queries, all of them intended during the stall of 20 ms.
        assert_eq!(latencies.len(), 100);
        assert!(latencies.min() >= 9_000_000, "{}", latencies.min());
    }
}
