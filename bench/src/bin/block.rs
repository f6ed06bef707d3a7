//! Blocks, measured: `cargo xtask bench block`.

use anyhow::{Result, ensure};
use clap::Parser;
use std::time::Duration;
use supervm_bench::backend::BACKENDS;
use supervm_bench::block::{Contention, MadeUp, Report, speedup, transfers};
use supervm_bench::machine::Machine;
use supervm_bench::page::Delivery;

const ROUNDS_MIN: usize = 30;

/// What is measured of made-up transactions.
const KINDS: [MadeUp; 8] = [
    MadeUp { contention: Contention::Accounts(100), compute_us: 5 },
    MadeUp { contention: Contention::Accounts(1_000), compute_us: 5 },
    MadeUp { contention: Contention::Chain, compute_us: 5 },
    MadeUp { contention: Contention::Hot, compute_us: 5 },
    MadeUp { contention: Contention::Accounts(1_000), compute_us: 1 },
    MadeUp { contention: Contention::Accounts(10_000), compute_us: 1 },
    MadeUp { contention: Contention::Chain, compute_us: 1 },
    MadeUp { contention: Contention::Hot, compute_us: 1 },
];

/// Measure blocks on two threads against one, with made-up transactions and with token transfers.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench block")]
struct Arguments {
    /// Rounds of each comparison; at least 30.
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    rounds: usize,
    /// About how long each leg runs in a round, in milliseconds; at most 50.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 30)]
    block: u64,
    #[command(flatten)]
    delivery: Delivery,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let Arguments { rounds, block, delivery } = arguments;
    ensure!(rounds >= ROUNDS_MIN, "--rounds is {rounds}, at least {ROUNDS_MIN}");
    ensure!((1..=50).contains(&block), "--block is {block} ms, 1 to 50");
    let time = Duration::from_millis(block);
    let databases = ["memory", "rocksdb"].into_iter().filter(|name| BACKENDS.contains(name));
    let report = Report {
        machine: Machine::look("block").lines(),
        made_up: KINDS.map(|kind| speedup(kind, rounds, time)).into(),
        transfers: databases.map(|backend| transfers(backend, rounds, time)).collect(),
    };
    delivery.deliver("block", "Blocks", &report, &report.markdown())
}
