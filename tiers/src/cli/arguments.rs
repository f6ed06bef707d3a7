//! What may be typed.

use super::block::BlockArguments;
use super::db::DbArguments;
use super::plugin::PluginArguments;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::path::PathBuf;
use supervm_tiers::TierName;

/// Runs WASM contracts whose state lives in the storage backend that the configuration names.
#[derive(Debug, Parser)]
#[command(
    name = "supervm",
    version,
    max_term_width = 120,
    after_help = "\
Examples:
  supervm demo
  supervm run examples/contracts/add.wat add 7 8
  supervm run --backend lmdb --dir /data/chain ledger.wat transfer 1 2 250
  supervm config check --config node.toml

Exit codes: 0 done, 1 failed, 2 wrong arguments. Errors and logs go to stderr."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every subcommand takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Print one JSON object on stdout; an error becomes one on stderr
    #[arg(long, global = true, help_heading = "Output")]
    pub(crate) json: bool,
    /// Log more: -v what is done, -vv details, -vvv everything
    #[arg(short, long, global = true, help_heading = "Output", action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How log lines look
    #[arg(
        long,
        global = true,
        help_heading = "Output",
        value_name = "FORMAT",
        default_value = "text"
    )]
    pub(crate) log_format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Call a function of a contract and keep what it writes
    Run(RunArguments),
    /// Show what SuperVM does, on built-in contracts and temporary data
    Demo(DemoArguments),
    /// List plugins, write a new one, check one
    Plugin(PluginArguments),
    /// Show or check a configuration
    Config(ConfigArguments),
    /// Look into chain state, keep it in shape, copy and move it
    Db(DbArguments),
    /// Run blocks of transactions from a file, or make up such a file
    Block(BlockArguments),
    /// Print a completion script
    #[command(
        after_help = "Examples:\n  supervm completions bash > ~/.local/share/bash-completion/completions/supervm"
    )]
    Completions {
        /// The shell to print it for
        shell: Shell,
    },
}

/// Which configuration holds; see docs/configuration.md.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ProfileArguments {
    /// Built-in profile to start from: L1, L2, L3, L4, dev
    #[arg(long, value_name = "TIER")]
    pub(crate) tier: Option<TierName>,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Storage backend: a name, or the path of a .so [default: sqlite]
    #[arg(long, value_name = "NAME|PATH.so")]
    pub(crate) backend: Option<String>,
    /// Data directory [default: supervm-data]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  supervm run examples/contracts/add.wat add 7 8
  supervm run examples/contracts/demo.wat process --block 12345 --timestamp 1704067200
  supervm run --tier L4 --dir wallet examples/contracts/ledger.wat mint 1 1000
  supervm run --backend ./libsupervm_storage_lmdb.so ledger.wat balance 1 --json
  supervm run examples/contracts/hashes.wat sha256 0x616263

The contract is deployed when it is new. A call that ends in a trap changes nothing, and the exit
code is 1.")]
pub(crate) struct RunArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    /// The contract: a .wasm or .wat file
    pub(crate) contract: PathBuf,
    /// The exported function to call
    pub(crate) function: String,
    /// Integers for the function's parameters, or one 0x.. with the bytes of its input
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
    /// Number of the block that the call is part of
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) block: u64,
    /// Time of the block, seconds since 1970-01-01 UTC
    #[arg(long, value_name = "T", default_value_t = 0)]
    pub(crate) timestamp: u64,
    /// Most gas that the call may use [default: execution.gas_limit]
    #[arg(long, value_name = "N")]
    pub(crate) gas: Option<u64>,
    /// Address of the caller, 0x and 40 hex digits [default: zeros]
    #[arg(long, value_name = "ADDRESS", value_parser = super::bytes::parse_address)]
    pub(crate) sender: Option<[u8; 20]>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Demos:
  1      two numbers added
  2      storage, events and the chain context
  3      SHA-256 and Keccak-256
  4      the Ethereum address of a public key
  5      parallel execution and conflict detection
  6      state snapshots and rollback
  7      work stealing by priority
  8      batch operations
  9      transactions over many versions
  10     automatic garbage collection
  token  1,000 transfers, in blocks, on every available backend; the state digests must be equal

Examples:
  supervm demo
  supervm demo 2 --once
  supervm demo token --json")]
pub(crate) struct DemoArguments {
    /// 1, 2, 3, 4, 6, 9, 10, token or all
    #[arg(default_value = "all", value_parser = super::demo::parse_choice)]
    pub(crate) demo: super::demo::Choice,
    /// Run once and exit, for scripts; no demo does anything else
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  supervm config show --tier L4
  supervm config check --config node.toml")]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) action: ConfigAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Print every value with where it came from
    #[command(
        after_help = "Examples:\n  supervm config show --tier L4\n  SUPERVM_STORAGE__DIR=/data supervm config show --json"
    )]
    Show {
        #[command(flatten)]
        profile: ProfileArguments,
    },
    /// Check everything, plugins and their options included; opens no data
    #[command(
        after_help = "Examples:\n  supervm config check --config node.toml\n  supervm config check --tier L2"
    )]
    Check {
        #[command(flatten)]
        profile: ProfileArguments,
    },
}
