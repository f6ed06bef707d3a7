//! Transactions, measured: `cargo xtask bench mvcc`.

use anyhow::{Result, ensure};
use clap::Parser;
use std::time::Duration;
use supervm_bench::backend;
use supervm_bench::machine::Machine;
use supervm_bench::mvcc::{
    self, Distribution, Durable, Ledger, Report, SuperVm, SurrealMx, collector_cost,
    durable_commits,
};
use supervm_bench::page::Delivery;
use supervm_engine::mvcc::MvccConfig;
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::OpenMode;

const ROUNDS_MIN: usize = 30;

/// Measure transactions in memory against surrealmx, and durable commits on RocksDB.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench mvcc")]
struct Arguments {
    /// Rounds of each comparison; at least 30.
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    rounds: usize,
    /// About how long each leg runs in a round, in milliseconds; at most 50.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 40)]
    block: u64,
    /// Threads that commit to RocksDB at once. May be repeated.
    #[arg(long, value_name = "COUNT", default_values_t = [16, 64])]
    committers: Vec<usize>,
    #[command(flatten)]
    delivery: Delivery,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(
        arguments.rounds >= ROUNDS_MIN,
        "--rounds is {}, at least {ROUNDS_MIN}",
        arguments.rounds
    );
    ensure!((1..=50).contains(&arguments.block), "--block is {} ms, 1 to 50", arguments.block);
    let report = measure(&arguments)?;
    arguments.delivery.deliver("mvcc", "Transactions", &report, &report.markdown())
}

fn measure(arguments: &Arguments) -> Result<Report> {
    let machine = Machine::look("mvcc").lines();
    // First, while the process has little memory that it could use again.
    let memory = mvcc::memory();
    let block = Duration::from_millis(arguments.block);
    let new = || SuperVm::new(MvccConfig::default());
    let (leg, twin, peer) = (new(), new(), SurrealMx::new());
    let legs: [&dyn Ledger; 3] = [&leg, &twin, &peer];
    let runs = [(Distribution::Uniform, 1), (Distribution::Uniform, 2), (Distribution::Zipf, 2)];
    let throughput = runs
        .map(|(distribution, threads)| {
            mvcc::throughput(legs, distribution, threads, arguments.rounds, block)
        })
        .into();
    Ok(Report {
        machine,
        throughput,
        latency: mvcc::latency(&leg, 500_000),
        read_only: mvcc::read_only(&leg, arguments.rounds),
        collector_cost: collector_cost(arguments.rounds, Duration::from_millis(300)),
        memory,
        durable: durable(&arguments.committers)?,
    })
}

/// On RocksDB, each time in a new directory; nothing when this program is built without it.
fn durable(committers: &[usize]) -> Result<Vec<Durable>> {
    if !backend::BACKENDS.contains(&"rocksdb") {
        return Ok(Vec::new());
    }
    let measure = |&committers: &usize| {
        let dir = backend::scratch_dir();
        let data = dir.path().join("data");
        let options = toml::Table::new();
        let options = OpenOptions {
            dir: &data,
            chain_id: 0,
            options: &options,
            mode: OpenMode::Create,
            require: &[],
            durability: None,
        };
        let storage = Storage::open(&backend::linked("rocksdb"), options)?;
        Ok(durable_commits(storage, dir.path(), committers, Duration::from_secs(5)))
    };
    committers.iter().map(measure).collect()
}
