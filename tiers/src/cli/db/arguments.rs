//! What may be typed after `supervm db`.

use super::super::arguments::ProfileArguments;
use super::super::bytes::{Bytes, parse};
use clap::{ArgGroup, Args, Subcommand};
use std::path::PathBuf;
use supervm_engine::storage::Digest;
use supervm_engine::transfer::{Expected, ExpectedBlock};
use supervm_plugin_sdk::ByteSize;

#[derive(Debug, Args)]
#[command(after_help = "\
Keys and values are text, or 0x and hex digits. They are printed as text when they are printable, else as 0x and hex digits.
A key is one of chain state: for what a contract wrote, its 20-byte address and then its key. docs/operations.md shows each command.

Examples:
  supervm db stats --backend lmdb --dir /data/chain
  supervm db get greeting --at-block 100
  supervm db prune --before-block 900 --dry-run
  supervm db convert --backend sqlite --dir old --to rocksdb new

Exit codes: 0 done, 1 failed, 2 wrong arguments.")]
pub(crate) struct DbArguments {
    #[command(subcommand)]
    pub(crate) action: DbAction,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbAction {
    /// Print the value of a key; an absent key exits with 1
    #[command(
        after_help = "Examples:\n  supervm db get greeting\n  supervm db get greeting --at-block 100\n  supervm db get 0x00ff --dir /data/chain\n  supervm db get m/last_version --raw"
    )]
    Get {
        #[command(flatten)]
        profile: ProfileArguments,
        /// Text, or 0x and hex digits
        #[arg(value_parser = parse)]
        key: Bytes,
        #[command(flatten)]
        moment: Moment,
        /// Look at the storage's own keys, not at those of chain state
        #[arg(long, conflicts_with = "moment")]
        raw: bool,
    },
    /// Store a value as a commit of its own; makes the data directory when it is missing
    #[command(
        after_help = "Examples:\n  supervm db put greeting hello\n  supervm db put 0x00ff 0x"
    )]
    Put {
        #[command(flatten)]
        profile: ProfileArguments,
        /// Text, or 0x and hex digits
        #[arg(value_parser = parse)]
        key: Bytes,
        /// Text, or 0x and hex digits
        #[arg(value_parser = parse, allow_hyphen_values = true)]
        value: Bytes,
    },
    /// Delete a key as a commit of its own; an absent one is no error
    #[command(after_help = "Examples:\n  supervm db delete greeting")]
    Delete {
        #[command(flatten)]
        profile: ProfileArguments,
        /// Text, or 0x and hex digits
        #[arg(value_parser = parse)]
        key: Bytes,
    },
    /// Print keys and values in the order of the keys, one row a line, parted by a tab
    #[command(
        after_help = "Examples:\n  supervm db scan --prefix account/ --limit 10\n  supervm db scan --at-block 100\n  supervm db scan --from b --reverse --json\n  supervm db scan --raw --prefix m/"
    )]
    Scan(ScanArguments),
    /// Print what a key was, from its newest version to the oldest that is kept
    #[command(
        after_help = "Examples:\n  supervm db history greeting\n  supervm db history greeting --limit 1 --json"
    )]
    History {
        #[command(flatten)]
        profile: ProfileArguments,
        /// Text, or 0x and hex digits
        #[arg(value_parser = parse)]
        key: Bytes,
        /// Most versions, the newest ones
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Print the blocks with version, time and state digest
    #[command(
        after_help = "Examples:\n  supervm db blocks\n  supervm db blocks --from 900 --limit 10 --json"
    )]
    Blocks {
        #[command(flatten)]
        profile: ProfileArguments,
        /// First block
        #[arg(long, value_name = "N", default_value_t = 0)]
        from: u64,
        /// Most blocks
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Print what is known of chain state, and counters and gauges of the storage; reads no data
    #[command(after_help = "Examples:\n  supervm db stats --backend lmdb --json")]
    Stats {
        #[command(flatten)]
        profile: ProfileArguments,
    },
    /// Print the digest of chain state, 64 hex digits; equal states give equal digests on every backend
    #[command(
        after_help = "Examples:\n  supervm db digest --dir /data/chain\n  supervm db digest --at-block 500\n  supervm db digest --raw"
    )]
    Digest {
        #[command(flatten)]
        profile: ProfileArguments,
        #[command(flatten)]
        moment: Moment,
        /// The digest of everything in the storage, history included
        #[arg(long, conflicts_with = "moment")]
        raw: bool,
    },
    /// Check that the data is as it was written and that the digests fit; what is wrong exits with 1
    #[command(
        after_help = "Examples:\n  supervm db verify --dir /data/chain\n  supervm db verify --json"
    )]
    Verify {
        #[command(flatten)]
        profile: ProfileArguments,
    },
    /// Give back the space of what was deleted and overwritten
    #[command(
        after_help = "Examples:\n  supervm db compact --dir /data/chain\n  supervm db compact --dry-run"
    )]
    Compact {
        #[command(flatten)]
        profile: ProfileArguments,
        /// Say what would be done, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Give up the states before a block or a time, and compact where the backend can
    Prune(PruneArguments),
    /// Write a copy of the data directory, or what changed since one
    #[command(after_help = "\
Without --parent the copy is a data directory of the same backend. With --parent it is a file of changes, which `supervm db restore`
applies to the parent. DIR must not exist.

Examples:
  supervm db checkpoint /backup/monday
  supervm db checkpoint /backup/tuesday --parent /backup/monday")]
    Checkpoint(CheckpointArguments),
    /// Make a data directory out of a checkpoint and the changes after it
    #[command(after_help = "\
The checkpoints are named in order: a whole one, then those that were made with --parent, each after its parent. --expect and
--expect-block are of the last one.

Examples:
  supervm db restore /backup/monday --dir /data/chain
  supervm db restore /backup/monday /backup/tuesday --dir /data/chain
  supervm db restore /backup/monday /backup/tuesday --expect 29c3...")]
    Restore(RestoreArguments),
    /// Write one state to a portable file that every backend can import
    #[command(after_help = "\
The file has no history. An export that was stopped goes on when it is run again.

Examples:
  supervm db export chain.snapshot --dir /data/chain
  supervm db export block-500.snapshot --at-block 500")]
    Export(ExportArguments),
    /// Make a data directory out of a portable file
    #[command(after_help = "\
The data directory must not exist. An import that was stopped goes on when it is run again; a damaged file leaves nothing behind.
Hashes in a file find damage, not forgery: for a file of somebody else give --expect, the snapshot digest that `db export` printed.

Examples:
  supervm db import chain.snapshot --backend lmdb --dir new
  supervm db import chain.snapshot --expect 29c3... --max-size 50GiB
  supervm db import chain.snapshot --dry-run")]
    Import(ImportArguments),
    /// Copy a data directory to another backend, history included
    #[command(after_help = "\
The source is only read. A conversion that was stopped goes on when it is run again; the digests of both are compared in the end.

Examples:
  supervm db convert --backend sqlite --dir old --to rocksdb new
  supervm db convert --dir old --to lmdb new --to-option map_bytes_max=64GiB")]
    Convert(ConvertArguments),
    /// Print the keys in which two data directories differ; equal ones exit with 0, others with 1
    #[command(after_help = "\
Lines begin with - for what only the first has, + for what only the second has, and ! for two values.

Examples:
  supervm db diff /data/chain /backup/monday
  supervm db diff old new --limit 10 --json")]
    Diff(DiffArguments),
}

/// Which state is read; the newest one unless said.
#[derive(Debug, Clone, Copy, Default, Args)]
#[group(id = "moment", multiple = false)]
pub(crate) struct Moment {
    /// The state after this block
    #[arg(long, value_name = "N")]
    pub(crate) at_block: Option<u64>,
    /// The state as of this version
    #[arg(long, value_name = "V")]
    pub(crate) at_version: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct ScanArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    /// Only keys that begin with this
    #[arg(long, value_name = "BYTES", value_parser = parse)]
    pub(crate) prefix: Option<Bytes>,
    /// Begin at this key or the next one in the scan's direction
    #[arg(long, value_name = "BYTES", value_parser = parse)]
    pub(crate) from: Option<Bytes>,
    /// Most rows
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// From the greatest key to the smallest
    #[arg(long)]
    pub(crate) reverse: bool,
    #[command(flatten)]
    pub(crate) moment: Moment,
    /// Look at the storage's own keys, not at those of chain state
    #[arg(long, conflicts_with = "moment")]
    pub(crate) raw: bool,
}

#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("target").required(true),
    after_help = "\
After `prune --before-block 900` block 900 and later ones can be read, and block 899 says version-pruned. What a pruning that was
stopped has left is deleted by the next one.

Examples:
  supervm db prune --before-block 900
  supervm db prune --before-time 1704067200 --dry-run
  supervm db prune --to-mode"
)]
pub(crate) struct PruneArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    /// Keep the state after this block and later ones
    #[arg(long, value_name = "N", group = "target")]
    pub(crate) before_block: Option<u64>,
    /// Keep the state of this time and later ones; seconds since 1970-01-01 UTC
    #[arg(long, value_name = "T", group = "target")]
    pub(crate) before_time: Option<u64>,
    /// Keep what the directory's history mode keeps; a window counts the blocks that exist
    #[arg(long, group = "target")]
    pub(crate) to_mode: bool,
    /// Leave the space to the backend, which uses it again
    #[arg(long)]
    pub(crate) no_compact: bool,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckpointArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    /// Where the copy goes
    #[arg(value_name = "DIR")]
    pub(crate) target: PathBuf,
    /// An earlier checkpoint: only what changed since it is written
    #[arg(long, value_name = "DIR")]
    pub(crate) parent: Option<PathBuf>,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What is trusted of a file, and how large it may be.
#[derive(Debug, Clone, Args)]
pub(crate) struct Trust {
    /// Refuse a file with another snapshot digest, 64 hex digits
    #[arg(long, value_name = "DIGEST", value_parser = parse_digest)]
    expect: Option<Digest>,
    /// Refuse a state that is not that of this block; covers no contracts, and no versions of keys
    #[arg(long, value_name = "NUMBER:DIGEST", value_parser = parse_block)]
    expect_block: Option<ExpectedBlock>,
    /// Most bytes of keys and values before compression
    #[arg(long, value_name = "SIZE", default_value = "1TiB")]
    max_size: ByteSize,
}

impl Trust {
    pub(crate) fn expected(&self) -> Expected {
        Expected { digest: self.expect, block: self.expect_block }
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.max_size.0
    }
}

fn parse_digest(text: &str) -> Result<Digest, String> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest)
        .map_err(|_| format!("\"{text}\" is no digest; expected 64 hex digits"))?;
    Ok(Digest(digest))
}

fn parse_block(text: &str) -> Result<ExpectedBlock, String> {
    let wrong = || format!("\"{text}\" is no block; expected NUMBER:DIGEST");
    let (number, digest) = text.split_once(':').ok_or_else(wrong)?;
    let number = number.parse().map_err(|_| wrong())?;
    Ok(ExpectedBlock { number, digest: parse_digest(digest)?.0 })
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// A whole checkpoint, then its changes in order
    #[arg(value_name = "CHECKPOINT", required = true)]
    pub(crate) checkpoints: Vec<PathBuf>,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    /// Where the file goes; it must not exist
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) moment: Moment,
    /// How hard to compress, 1 (fast) to 22 (small)
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=22))]
    pub(crate) level: i32,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    /// A file that `supervm db export` wrote
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) trust: Trust,
    /// Check the whole file, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConvertArguments {
    /// The source, with its --backend and --dir
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    /// Backend of the copy: a name, or the path of a .so
    #[arg(long, value_name = "NAME|PATH.so")]
    pub(crate) to: String,
    /// Data directory of the copy; it must not exist
    #[arg(value_name = "NEW_DIR")]
    pub(crate) target: PathBuf,
    /// An option of the copy's backend; may be given again
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_option)]
    pub(crate) to_option: Vec<(String, toml::Value)>,
    /// Say what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    pub(crate) profile: ProfileArguments,
    /// A data directory; its backend is the one that it says
    #[arg(value_name = "DIR")]
    pub(crate) first: PathBuf,
    /// Another one
    #[arg(value_name = "DIR")]
    pub(crate) second: PathBuf,
    /// Most lines
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// `name=value`: the value as TOML when it is TOML, else as text, as in an environment variable.
fn parse_option(text: &str) -> Result<(String, toml::Value), String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| format!("\"{text}\" is no option; expected NAME=VALUE"))?;
    let parsed = toml::from_str::<toml::Table>(&format!("value = {value}"));
    let parsed = parsed.ok().and_then(|mut table| table.remove("value"));
    Ok((name.to_owned(), parsed.unwrap_or_else(|| value.into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_toml_when_it_can_be_and_text_otherwise() {
        let option = |text| parse_option(text).map(|(_, value)| value);
        assert_eq!(option("a=5"), Ok(5.into()));
        assert_eq!(option("a=5GiB"), Ok("5GiB".into()));
        assert_eq!(option("a=\"5\""), Ok("5".into()));
        assert_eq!(option("a=true"), Ok(true.into()));
        assert!(parse_option("=5").is_err() && parse_option("a").is_err());
    }
}
