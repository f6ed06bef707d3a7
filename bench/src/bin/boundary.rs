//! The plugin boundary, measured: `cargo xtask bench boundary`.

use anyhow::{Result, bail, ensure};
use clap::Parser;
use clap::builder::PossibleValuesParser;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use supervm_bench::backend::BACKENDS;
use supervm_bench::boundary::{
    self, BLOCK_MAX, Clock, KEYS, Operation, Outcome, ROUNDS_MIN, ROW_BYTES, Report, Selection,
};
use supervm_bench::data::KEY_BYTES;
use supervm_bench::page::Delivery;

/// Compare each database's own crate with SuperVM's backend, linked in and loaded from its shared library.
///
/// Options that may be repeated narrow down what is measured; without them, everything is.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench boundary")]
struct Arguments {
    /// Measure this backend. May be repeated.
    #[arg(long = "backend", value_name = "NAME", value_parser = PossibleValuesParser::new(BACKENDS))]
    backends: Vec<String>,
    /// Measure this operation. May be repeated.
    #[arg(long = "operation", value_name = "OPERATION")]
    operations: Vec<Operation>,
    /// Measure with so many keys; at least 1000 [default: 100000 and 1000000]. May be repeated.
    #[arg(long, value_name = "COUNT")]
    keys: Vec<usize>,
    /// Measure rows of so many bytes, of which 32 are the key [default: 124 and 1024]. May be repeated.
    #[arg(long = "row", value_name = "BYTES")]
    row_bytes: Vec<usize>,
    /// Leave out storages with more content than this, in MiB: with 1000000 rows of 1024 bytes, each of five copies takes 1 GB of disk.
    #[arg(long, value_name = "MIB", default_value_t = u64::MAX >> 20, hide_default_value = true)]
    content_max: u64,
    /// Rounds of each measurement; at least 30.
    #[arg(long, value_name = "COUNT", default_value_t = 60)]
    rounds: usize,
    /// About how long each leg runs in a round, in milliseconds; at most 50.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 8)]
    block: u64,
    /// What the time is taken with; with `cpu`, a busy machine disturbs less, and waiting for the disk does not count.
    #[arg(long, value_name = "CLOCK", default_value = "wall")]
    clock: Clock,
    /// Measure what standard input describes, and print the figures: one part of a measurement, which this program asks itself for.
    #[arg(long, hide = true, exclusive = true)]
    part: bool,
    #[command(flatten)]
    delivery: Delivery,
}

impl Arguments {
    fn selection(&self) -> Result<Selection> {
        let chosen =
            |name: &&str| self.backends.is_empty() || self.backends.iter().any(|it| it == name);
        let wanted = |operation: &Operation| {
            self.operations.is_empty() || self.operations.contains(operation)
        };
        let block = Duration::from_millis(self.block);
        ensure!(self.rounds >= ROUNDS_MIN, "--rounds is {}, at least {ROUNDS_MIN}", self.rounds);
        ensure!(
            !block.is_zero() && block <= BLOCK_MAX,
            "--block is {} ms, 1 to {}",
            self.block,
            BLOCK_MAX.as_millis()
        );
        let or = |given: &[usize], default: [usize; 2]| {
            if given.is_empty() { default.to_vec() } else { given.to_vec() }
        };
        let (keys, row_bytes) = (or(&self.keys, KEYS), or(&self.row_bytes, ROW_BYTES));
        if let Some(few) = keys.iter().find(|keys| **keys < 1_000) {
            bail!("--keys is {few}, at least 1000");
        }
        if let Some(short) = row_bytes.iter().find(|bytes| **bytes <= KEY_BYTES) {
            bail!("--row is {short}, at least {}", KEY_BYTES + 1);
        }
        Ok(Selection {
            backends: BACKENDS.iter().copied().filter(chosen).collect(),
            operations: Operation::ALL.into_iter().filter(wanted).collect(),
            keys,
            row_bytes,
            content_bytes_max: self.content_max.saturating_mul(1 << 20),
            rounds: self.rounds,
            block,
            clock: self.clock,
        })
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if arguments.part {
        return boundary::measure_part(io::stdin(), io::stdout());
    }
    let report = boundary::run(&arguments.selection()?)?;
    arguments.delivery.deliver("boundary", "The plugin boundary", &report, &report.markdown())?;
    eprintln!("{}", summary(&report));
    Ok(())
}

fn summary(report: &Report) -> String {
    let count = |outcome| {
        let sound = report.cells.iter().filter(|cell| !cell.is_void());
        sound.flat_map(|cell| &cell.goals).filter(|goal| goal.outcome == outcome).count()
    };
    let void = report.cells.iter().filter(|cell| cell.is_void()).count();
    format!(
        "{} measurements, {void} of them void; goals: {} met, {} within the interval, {} missed, {} not reached by the raw \
         crate either",
        report.cells.len(),
        count(Outcome::Met),
        count(Outcome::Open),
        count(Outcome::Missed),
        count(Outcome::OutOfReach),
    )
}
