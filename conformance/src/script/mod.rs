//! Cases as text: what is done to a storage and what has to come of it, a line each.
//!
//! ```text
//! # A comment.
//! category B                      the category of the cases that follow
//! mirror E forward F reverse      each case twice: forward, and in reverse with `forward` in its id replaced
//!
//! case point.put.overwrites       the id
//! clauses 6, 14                   clauses of the storage contract
//! needs snapshot                  capabilities, where there are any
//! rule The later of two values of a key is the one that is read.
//!     put key=first               steps are indented
//!     put key=other
//!     get key -> other
//!     scan all -> key=other
//! ```
//! Bytes are a word, or a text in quotation marks where it is empty or has spaces; `\x00` is a byte, `a*3` is `aaa`, `a+b` is `ab`, and
//! `k*key_max` is as long as a key may be (`value_max`: a value). A row is `key=value`, or `key` alone when the value is the key.
//! A range is `all`, `prefix p`, `[a, b)` or, without an end, `[a, ..)`.
//!
//! | step | |
//! |---|---|
//! | `put ROW..`, `delete KEY..`, `delete-range RANGE` | one batch of these operations |
//! | `batch {` operations, a line each, `}` | one batch; `batch synced {` is a synced one |
//! | `get KEY -> VALUE` or `absent` | a point read |
//! | `multi-get KEY.. -> ANSWER..` or `nothing` | answers in the order of the keys |
//! | `scan RANGE -> ROW..` or `nothing`; `rscan` | every entry of a range; in reverse |
//! | `snapshot s`; `s.get`, `s.multi-get`, `s.scan`, `s.rscan` | a snapshot and reads of it |
//! | `cursor c RANGE`, `rcursor c RANGE`, `s.cursor c RANGE`, `s.rcursor c RANGE` | a cursor, of the storage or of a snapshot |
//! | `c.seek KEY -> ROW` or `end`; `c.rest -> ROW..` or `nothing` | the entry that comes next; all that still come |
//! | `drop NAME` | ends a cursor or a snapshot |
//! | `digest -> HEX` | the state digest |
//! | `flush`, `flush synced`, `compact RANGE`, `close` | |
//! | `reopen`, `reopen dropped`, `reopen read-only` | closed and opened again; only dropped before; opened read-only |
//!
//! Where a step has to be refused, ` -> error KIND` follows it.

mod bytes;
mod parse;
mod play;
mod step;

pub(crate) use play::play;

use crate::case::Case;
use bytes::Bytes;
use supervm_plugin_sdk::{Direction, ErrorKind, OpenMode};

/// The files, each with its name as messages show it.
const FILES: &[(&str, &str)] = &[
    ("scripts/point.txt", include_str!("../scripts/point.txt")),
    ("scripts/limits.txt", include_str!("../scripts/limits.txt")),
    ("scripts/multi_get.txt", include_str!("../scripts/multi_get.txt")),
    ("scripts/ranges.txt", include_str!("../scripts/ranges.txt")),
    ("scripts/prefixes.txt", include_str!("../scripts/prefixes.txt")),
    ("scripts/cursors.txt", include_str!("../scripts/cursors.txt")),
    ("scripts/batches.txt", include_str!("../scripts/batches.txt")),
    ("scripts/delete_range.txt", include_str!("../scripts/delete_range.txt")),
    ("scripts/snapshots.txt", include_str!("../scripts/snapshots.txt")),
    ("scripts/agreement.txt", include_str!("../scripts/agreement.txt")),
];

/// The cases of every script, in the order of the files.
pub(crate) fn cases() -> Vec<Case> {
    let parsed = FILES.iter().map(|(name, text)| parse::parse(name, text));
    let cases = parsed.collect::<Result<Vec<_>, _>>();
    cases.unwrap_or_else(|error| panic!("a script of the suite is malformed: {error}")).concat()
}

/// The steps of a case.
#[derive(Debug)]
pub(crate) struct Script {
    file: &'static str,
    lines: Vec<Line>,
    /// Scans go from the last key to the first.
    mirrored: bool,
}

/// A step and where it stands.
#[derive(Debug, Clone)]
struct Line {
    number: usize,
    text: &'static str,
    step: Step,
    /// The step has to be refused with this kind.
    refused: Option<ErrorKind>,
}

type Name = &'static str;

#[derive(Debug, Clone)]
enum Step {
    Write { changes: Vec<Change>, synced: bool },
    Get { of: Option<Name>, key: Bytes, value: Option<Bytes> },
    MultiGet { of: Option<Name>, keys: Vec<Bytes>, answers: Vec<Option<Bytes>> },
    Scan { of: Option<Name>, range: Range, direction: Direction, rows: Vec<Row> },
    Snapshot(Name),
    Cursor { of: Option<Name>, name: Name, range: Range, direction: Direction },
    Seek { cursor: Name, key: Bytes, row: Option<Row> },
    Rest { cursor: Name, rows: Vec<Row> },
    Drop(Name),
    Digest(&'static str),
    Flush { synced: bool },
    Compact(Range),
    Close,
    Reopen { close: bool, mode: OpenMode },
}

#[derive(Debug, Clone)]
enum Change {
    Put(Row),
    Delete(Bytes),
    DeleteRange(Range),
}

#[derive(Debug, Clone)]
struct Row {
    key: Bytes,
    value: Bytes,
}

#[derive(Debug, Clone)]
enum Range {
    Prefix(Bytes),
    Bounds(Bytes, Option<Bytes>),
}
