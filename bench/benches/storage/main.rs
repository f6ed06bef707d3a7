//! What a storage backend costs, beside what its database costs without it.
//!
//! Each database is measured in up to three legs, over copies of one directory: through its own crate, through SuperVM's backend
//! linked in, and through the same backend loaded from its shared library. Every leg reads and writes the same data in the same
//! order, and what it reads is checked.
//!
//! `cargo bench --manifest-path bench/Cargo.toml [-- filter]`; the README says how to read the table.

mod data;
mod leg;
mod backend;
mod legs;

use backend::Backend;
use criterion::{Criterion, SamplingMode, Throughput};
use data::{BATCH_ENTRIES, Data};
use leg::Candidate;
use legs::{HeedLeg, MapLeg, RedbLeg, RusqliteLeg};
use std::time::Duration;

/// Samples of an operation that takes milliseconds.
const LONG_SAMPLES: usize = 30;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .sample_size(50)
        .nresamples(20_000)
        .configure_from_args();
    let data = Data::generate();
    let [lmdb, memory, sqlite] = ["lmdb", "memory", "sqlite"].map(|name| Backend::new(name, &data));
    let mut candidates = [
        Candidate::new("lmdb: heed", || Box::new(HeedLeg::open(lmdb.copy()))),
        Candidate::new("lmdb: supervm linked", || Box::new(lmdb.linked())),
        Candidate::new("lmdb: supervm .so", || Box::new(lmdb.loaded())),
        Candidate::new("sqlite: rusqlite", || Box::new(RusqliteLeg::open(sqlite.copy()))),
        Candidate::new("sqlite: supervm linked", || Box::new(sqlite.linked())),
        Candidate::new("sqlite: supervm .so", || Box::new(sqlite.loaded())),
        Candidate::new("memory: BTreeMap", || Box::new(MapLeg::filled(&data))),
        Candidate::new("memory: supervm linked", || Box::new(memory.linked())),
        Candidate::new("memory: supervm .so", || Box::new(memory.loaded())),
        Candidate::new("peer: redb, synced", || Box::new(RedbLeg::filled(&data))),
    ];
    // Writing changes what the first two expect to read, so it comes last.
    get(&mut criterion, &mut candidates, &data);
    scan(&mut criterion, &mut candidates, &data);
    write(&mut criterion, &mut candidates, &data);
    criterion.final_summary();
}

fn get(criterion: &mut Criterion, candidates: &mut [Candidate<'_>], data: &Data) {
    let mut group = criterion.benchmark_group("storage get");
    group.throughput(Throughput::Elements(1));
    for candidate in candidates {
        let mut queries = data.queries.iter().cycle();
        group.bench_function(candidate.name, |bencher| {
            candidate.leg().measure_get(bencher, &mut queries);
        });
    }
    group.finish();
}

fn scan(criterion: &mut Criterion, candidates: &mut [Candidate<'_>], data: &Data) {
    let mut group = criterion.benchmark_group("storage scan");
    group.throughput(Throughput::Bytes(data.total.bytes));
    group.sampling_mode(SamplingMode::Flat).sample_size(LONG_SAMPLES);
    for candidate in candidates {
        group.bench_function(candidate.name, |bencher| {
            candidate.leg().measure_scan(bencher, &data.total);
        });
    }
    group.finish();
}

fn write(criterion: &mut Criterion, candidates: &mut [Candidate<'_>], data: &Data) {
    let mut group = criterion.benchmark_group(format!("storage write {BATCH_ENTRIES}"));
    group.throughput(Throughput::Elements(BATCH_ENTRIES as u64));
    group.sampling_mode(SamplingMode::Flat).sample_size(LONG_SAMPLES);
    for candidate in candidates {
        let mut batches = data.rewrites.chunks(BATCH_ENTRIES).cycle();
        group.bench_function(candidate.name, |bencher| {
            candidate.leg().measure_write(bencher, &mut batches);
        });
    }
    group.finish();
}
