//! What the incremental state digest costs for each change.
//!
//! `cargo bench -p supervm-engine --bench digest`

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use supervm_engine::digest::StateAccumulator;

const KEY: [u8; 32] = [7; 32];

fn changes(criterion: &mut Criterion) {
    let mut sum = StateAccumulator::default();
    let mut group = criterion.benchmark_group("accumulator");
    for value_bytes in [32, 1 << 10] {
        let value = vec![5; value_bytes];
        group.throughput(Throughput::Elements(1));
        group.bench_with_input(BenchmarkId::new("add", value_bytes), &value, |bencher, value| {
            bencher.iter(|| sum.add(black_box(&KEY), black_box(value)));
        });
        group.bench_with_input(
            BenchmarkId::new("remove", value_bytes),
            &value,
            |bencher, value| {
                bencher.iter(|| sum.remove(black_box(&KEY), black_box(value)));
            },
        );
    }
    let delta = sum.clone();
    group.bench_function("merge", |bencher| bencher.iter(|| sum.merge(black_box(&delta))));
    group.bench_function("digest", |bencher| bencher.iter(|| black_box(&sum).digest()));
    group.finish();
}

criterion_group!(benches, changes);
criterion_main!(benches);
