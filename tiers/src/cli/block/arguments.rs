//! What may be typed after `supervm block`.

use super::super::arguments::ProfileArguments;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use supervm_tiers::workload::{Plan, Workload};

#[derive(Debug, Args)]
#[command(after_help = "\
docs/blocks.md has the format of the file, and says how a block is run.

Examples:
  supervm block gen --workload transfer > transfers.jsonl
  supervm block run transfers.jsonl --backend lmdb --dir /data/chain
  supervm block gen --workload mixed --seed 7 | supervm block run - --tier dev --json")]
pub(crate) struct BlockArguments {
    #[command(subcommand)]
    pub(crate) action: BlockAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BlockAction {
    /// Run blocks of transactions, in parallel, and commit each; the result is that of one by one
    Run(RunArguments),
    /// Write a file of made-up blocks to standard output
    Gen(GenArguments),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  supervm block run blocks.jsonl
  supervm block run blocks.jsonl --tier L2 --dir chain --threads 8
  supervm block run blocks.jsonl --receipts receipts.jsonl --json
  supervm block run blocks.jsonl --resume

A transaction that ends in a trap changes nothing, is counted as failed, and is no failure of the
command. A block is committed whole or not at all: after a failure or a kill, --resume goes on after
the last one.")]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    /// A file of blocks, one JSON object a line; - reads standard input
    pub(crate) file: PathBuf,
    /// Threads that run transactions; 0 = as many as there are processors [default: execution.threads]
    #[arg(long, value_name = "N")]
    pub(crate) threads: Option<u32>,
    /// Pass over the blocks that the state has already
    #[arg(long)]
    pub(crate) resume: bool,
    /// Write the receipts to this new file, one JSON object a line, in the order of the transactions
    #[arg(long, value_name = "FILE")]
    pub(crate) receipts: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Workloads:
  transfer  token transfers between accounts that all come alike
  zipf      token transfers between accounts of which few come often (exponent 0.99)
  chain     token transfers, each by whom the one before paid
  amm       swaps of one pool, whose reserves each of them changes
  mixed     transfers, allowances, swaps, names that come and go, scans, calls between contracts,
            and calls that abort or run out of gas

The first blocks fund the accounts, as many transactions in each as in the others. The same
arguments give the same file.

Examples:
  supervm block gen --workload transfer --accounts 10000 --blocks 20 --txs 1000 > blocks.jsonl
  supervm block gen --workload zipf --seed 3 | supervm block run - --tier dev")]
pub(crate) struct GenArguments {
    /// transfer, zipf, chain, amm or mixed
    #[arg(long, value_name = "KIND", default_value_t = Workload::Transfer)]
    workload: Workload,
    /// Accounts that take part, 2 to 16777216
    #[arg(long, value_name = "N", default_value_t = 1000)]
    accounts: u64,
    /// Blocks, besides those that fund the accounts
    #[arg(long, value_name = "N", default_value_t = 10)]
    blocks: u64,
    /// Transactions of each block, 1 to 65536
    #[arg(long, value_name = "N", default_value_t = 1000)]
    txs: usize,
    /// Decides everything that is left to chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl GenArguments {
    pub(super) fn plan(&self) -> Plan {
        let Self { workload, accounts, blocks, txs: transactions, seed } = *self;
        Plan { workload, accounts, blocks, transactions, seed }
    }
}
