//! The random operations.

use crate::fixture::Fixture;
use crate::random::Random;
use std::fmt;
use supervm_plugin_sdk::{Capability, PAGE_BYTES};

/// Cursors and snapshots that an episode holds at once, each kind.
pub(super) const SLOTS: usize = 4;
/// Different keys of an episode.
const KEYS: usize = 120;

/// A key or bound, shown as text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A change of a batch.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A key, and its value's length and tag.
    Put(Bytes, u16, u8),
    Delete(Bytes),
    DeleteRange(Bytes, Option<Bytes>),
}

/// One operation on a storage.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Write(Vec<Change>),
    WriteSynced(Vec<Change>),
    Get(Bytes),
    MultiGet(Vec<Bytes>),
    Scan { start: Bytes, end: Option<Bytes>, reverse: bool },
    Snapshot { slot: usize },
    ReadSnapshot { slot: usize, key: Bytes },
    DropSnapshot { slot: usize },
    Cursor { slot: usize, start: Bytes, end: Option<Bytes>, reverse: bool, of_snapshot: bool },
    NextPage { slot: usize, full_at: usize },
    Seek { slot: usize, key: Bytes },
    DropCursor { slot: usize },
    Flush,
    Compact,
    Checkpoint,
    Reopen { close: bool },
}

/// What the backend can do, so that no step is refused.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abilities {
    delete_range: bool,
    reverse: bool,
    snapshot: bool,
    durable: bool,
    compact: bool,
    checkpoint: bool,
}

impl Abilities {
    pub(super) fn of(f: &Fixture) -> Self {
        Self {
            delete_range: f.has(Capability::DeleteRange),
            reverse: f.has(Capability::ReverseCursor),
            snapshot: f.has(Capability::Snapshot),
            durable: f.has(Capability::SyncedWrites),
            compact: f.has(Capability::Compact),
            checkpoint: f.has(Capability::Checkpoint),
        }
    }
}

/// What every backend of a trace can do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traceable {
    pub(crate) delete_range: bool,
    pub(crate) reverse: bool,
}

impl Step {
    /// A write, a read or a scan: a step whose result the contract decides to the last byte.
    pub(crate) fn traceable(random: &mut Random, can: Traceable) -> Self {
        let Traceable { delete_range, reverse } = can;
        let can = Abilities {
            delete_range,
            reverse,
            snapshot: false,
            durable: false,
            compact: false,
            checkpoint: false,
        };
        loop {
            let step = Self::random(random, can);
            if matches!(step, Self::Write(_) | Self::Get(_) | Self::MultiGet(_) | Self::Scan { .. })
            {
                return step;
            }
        }
    }

    pub(super) fn random(random: &mut Random, can: Abilities) -> Self {
        let slot = random.below(SLOTS);
        match random.below(10_000) {
            0..1 if can.checkpoint => Self::Checkpoint,
            1..3 if can.durable => Self::Reopen { close: random.below(2) == 0 },
            3..6 if can.compact => Self::Compact,
            6..10 => Self::Flush,
            10..30 if can.durable => Self::WriteSynced(changes(random, can, 5)),
            30..800 => Self::Write(changes(random, can, 12)),
            800..1600 => Self::Write(changes(random, can, 1)),
            1600..5500 => Self::Get(key(random)),
            5500..5900 => Self::MultiGet((0..random.below(6)).map(|_| key(random)).collect()),
            5900..6300 => {
                let (start, end) = (bound(random), end(random));
                Self::Scan { start, end, reverse: can.reverse && random.below(2) == 0 }
            }
            6300..6600 if can.snapshot => Self::Snapshot { slot },
            6600..7300 => Self::ReadSnapshot { slot, key: key(random) },
            7300..7400 => Self::DropSnapshot { slot },
            7400..8000 => Self::Cursor {
                slot,
                start: bound(random),
                end: end(random),
                reverse: can.reverse && random.below(2) == 0,
                of_snapshot: random.below(3) == 0,
            },
            8000..8700 => Self::Seek { slot, key: bound(random) },
            8700..8900 => Self::DropCursor { slot },
            _ => Self::NextPage { slot, full_at: [0, 100, PAGE_BYTES][random.below(3)] },
        }
    }
}

fn changes(random: &mut Random, can: Abilities, most: usize) -> Vec<Change> {
    let count = 1 + random.below(most);
    (0..count)
        .map(|_| match random.below(40) {
            0..25 => Change::Put(key(random), length(random), random.next() as u8),
            39 if can.delete_range => Change::DeleteRange(bound(random), end(random)),
            _ => Change::Delete(key(random)),
        })
        .collect()
}

/// Mostly short values, some empty, a few longer than a page of a database.
fn length(random: &mut Random) -> u16 {
    let length = match random.below(100) {
        0..15 => 0,
        15..97 => random.below(60),
        _ => random.below(9000),
    };
    length as u16
}

/// Keys of few bytes, so that they meet; some end in 0xff or are a prefix of another.
fn key(random: &mut Random) -> Bytes {
    let number = random.below(KEYS);
    let mut key = vec![b'a' + (number / 20) as u8];
    match number % 20 {
        0 => {}
        1..4 => key.extend(vec![0xff; number % 20]),
        4..6 => key.extend(vec![0; number % 20 - 3]),
        other => key.extend(format!("{other:02}").bytes()),
    }
    if number == KEYS - 1 {
        key = vec![0xff; 30];
    }
    Bytes(key)
}

fn bound(random: &mut Random) -> Bytes {
    if random.below(20) == 0 { Bytes(Vec::new()) } else { key(random) }
}

fn end(random: &mut Random) -> Option<Bytes> {
    (random.below(4) > 0).then(|| bound(random))
}
