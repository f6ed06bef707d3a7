//! What a storage backend costs, beside what its database costs without it: criterion's figures, leg by leg.
//!
//! Every leg reads and writes the same data in the same order, and what it reads is checked.
//!
//! `cargo bench --manifest-path bench/Cargo.toml [-- filter]`; the README says how to read the table.

use criterion::{Bencher, Criterion, SamplingMode, Throughput};
use std::time::Duration;
use supervm_bench::backend::Backend;
use supervm_bench::data::{BATCH_ENTRIES, Data, Order, Put, Query, Shape, Total, checksum};
use supervm_bench::leg::Leg;
use supervm_bench::legs::{HeedLeg, MapLeg, RedbLeg, RusqliteLeg};
use supervm_bench::random::SplitMix;
use supervm_plugin_sdk::KeyRange;

const SHAPE: Shape = Shape { keys: 100_000, row_bytes: 124 };
/// Batches that are written in turn.
const BATCHES: u64 = 100;
/// Samples of an operation that takes milliseconds.
const LONG_SAMPLES: usize = 30;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .sample_size(50)
        .nresamples(20_000)
        .configure_from_args();
    let data = Data::generate(SHAPE);
    let [lmdb, memory, sqlite] = ["lmdb", "memory", "sqlite"].map(|name| Backend::new(name, &data));
    let mut candidates = [
        Candidate::new("lmdb: heed", || Box::new(HeedLeg::open(lmdb.copy()))),
        Candidate::new("lmdb: supervm linked", || Box::new(lmdb.linked(lmdb.copy()))),
        Candidate::new("lmdb: supervm .so", || Box::new(lmdb.loaded(lmdb.copy()))),
        Candidate::new("sqlite: rusqlite", || Box::new(RusqliteLeg::open(sqlite.copy()))),
        Candidate::new("sqlite: supervm linked", || Box::new(sqlite.linked(sqlite.copy()))),
        Candidate::new("sqlite: supervm .so", || Box::new(sqlite.loaded(sqlite.copy()))),
        Candidate::new("memory: BTreeMap", || Box::new(MapLeg::filled(&data))),
        Candidate::new("memory: supervm linked", || Box::new(memory.linked(memory.copy()))),
        Candidate::new("memory: supervm .so", || Box::new(memory.loaded(memory.copy()))),
        Candidate::new("peer: redb, synced", || Box::new(RedbLeg::filled(&data))),
    ];
    // Writing changes what the first two expect to read, so it comes last.
    get(&mut criterion, &mut candidates, &data);
    scan(&mut criterion, &mut candidates, &data);
    write(&mut criterion, &mut candidates, &data);
    criterion.final_summary();
}

/// What criterion measures of a [`Leg`], whatever its type.
trait Measured {
    /// One `get` after the other.
    fn measure_get(&mut self, bencher: &mut Bencher<'_>, queries: &[Query]);
    /// A scan of everything, which has to see `expected`.
    fn measure_scan(&mut self, bencher: &mut Bencher<'_>, expected: &Total);
    /// One batch after the other.
    fn measure_write(&mut self, bencher: &mut Bencher<'_>, batches: &[Vec<Put>]);
}

impl<L: Leg> Measured for L {
    fn measure_get(&mut self, bencher: &mut Bencher<'_>, queries: &[Query]) {
        let mut queries = queries.iter().cycle();
        bencher.iter(|| {
            let query = queries.next().expect("a cycle has no end");
            let found = self.get(&query.key, checksum);
            assert_eq!(found, Some(query.checksum), "a get found something else");
        });
    }

    fn measure_scan(&mut self, bencher: &mut Bencher<'_>, expected: &Total) {
        bencher.iter(|| {
            let mut total = Total::default();
            self.scan(KeyRange::ALL, |key, value| total.add_row(key, value));
            assert_eq!(total, *expected, "a scan saw something else");
        });
    }

    fn measure_write(&mut self, bencher: &mut Bencher<'_>, batches: &[Vec<Put>]) {
        let mut batches = batches.iter().cycle();
        let mut last: &[Put] = &[];
        bencher.iter(|| {
            last = batches.next().expect("a cycle has no end");
            self.write(last);
        });
        // The last of two values for one key counts.
        for (index, put) in last.iter().enumerate() {
            let is_last = last[index + 1..].iter().all(|later| later.key != put.key);
            let found = self.get(&put.key, |value| *value == put.value);
            assert_eq!(found, Some(is_last), "what was written is not there");
        }
    }
}

/// A leg that is opened when it is first measured, so that a filter leaves out what it excludes.
struct Candidate<'a> {
    name: &'static str,
    open: Box<dyn Fn() -> Box<dyn Measured> + 'a>,
    leg: Option<Box<dyn Measured>>,
}

impl<'a> Candidate<'a> {
    fn new(name: &'static str, open: impl Fn() -> Box<dyn Measured> + 'a) -> Self {
        Self { name, open: Box::new(open), leg: None }
    }

    fn leg(&mut self) -> &mut dyn Measured {
        &mut **self.leg.get_or_insert_with(&self.open)
    }
}

fn get(criterion: &mut Criterion, candidates: &mut [Candidate<'_>], data: &Data) {
    let queries = data.queries(Order::Uniform);
    let mut group = criterion.benchmark_group("storage get");
    group.throughput(Throughput::Elements(1));
    for candidate in candidates {
        group.bench_function(candidate.name, |bencher| {
            candidate.leg().measure_get(bencher, &queries);
        });
    }
    group.finish();
}

fn scan(criterion: &mut Criterion, candidates: &mut [Candidate<'_>], data: &Data) {
    let total = data.total(0..SHAPE.keys);
    let mut group = criterion.benchmark_group("storage scan");
    group.throughput(Throughput::Bytes(total.bytes));
    group.sampling_mode(SamplingMode::Flat).sample_size(LONG_SAMPLES);
    for candidate in candidates {
        group.bench_function(candidate.name, |bencher| {
            candidate.leg().measure_scan(bencher, &total);
        });
    }
    group.finish();
}

fn write(criterion: &mut Criterion, candidates: &mut [Candidate<'_>], data: &Data) {
    let mut random = SplitMix::new(1);
    let batches: Vec<_> = (1..=BATCHES).map(|version| data.rewrite(&mut random, version)).collect();
    let mut group = criterion.benchmark_group(format!("storage write {BATCH_ENTRIES}"));
    group.throughput(Throughput::Elements(BATCH_ENTRIES as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(LONG_SAMPLES);
    for candidate in candidates {
        group.bench_function(candidate.name, |bencher| {
            candidate.leg().measure_write(bencher, &batches);
        });
    }
    group.finish();
}
