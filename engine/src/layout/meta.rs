//! Facts about the whole state.

use super::{Area, BLOCK_NUMBER_MAX, VERSION_MAX, Version, change_log_key, corrupt};
use crate::config::{HistoryConfig, HistoryKind};
use crate::storage::{Rows, Storage};
use serde::{Deserialize, Serialize};
use std::fmt;
use supervm_plugin_sdk::{Error, ErrorKind, KeyRange, Result, WriteBatch};

const LAST_VERSION: &[u8] = b"m/last_version";
const LAST_BLOCK: &[u8] = b"m/block";
const FLOOR: &[u8] = b"m/floor";
const HISTORY: &[u8] = b"m/history";
const ACCUMULATOR: &[u8] = b"m/accumulator";

/// How much of the past is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum HistoryMode {
    /// Nothing but the latest state.
    #[default]
    None,
    /// The states after each of the last blocks that exist, whatever their numbers are.
    Window {
        /// Number of blocks, at least 1.
        blocks: u64,
    },
    /// Everything.
    Archive,
}

impl HistoryMode {
    /// Are old values kept at all?
    pub fn keeps_old_values(self) -> bool {
        self != Self::None
    }
}

impl HistoryMode {
    /// What `config` asks for; `None` = as it is.
    pub fn of(config: &HistoryConfig) -> Option<Self> {
        config.mode.map(|kind| match kind {
            HistoryKind::None => Self::None,
            HistoryKind::Window => Self::Window { blocks: config.blocks },
            HistoryKind::Archive => Self::Archive,
        })
    }
}

impl fmt::Display for HistoryMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Window { blocks } => write!(f, "window of {blocks} blocks"),
            Self::Archive => f.write_str("archive"),
        }
    }
}

/// What a storage of chain state says of itself; all that is read when it is opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The version of the newest commit.
    pub last_version: Version,
    /// The number of the newest block.
    pub last_block: Option<u64>,
    /// The oldest version that can be read.
    pub floor: Version,
    /// How much of the past is kept.
    pub history: HistoryMode,
    /// The accumulator of the state digest as of `last_version`; empty when there is none: of the empty
    /// state, or after changes that it did not follow.
    pub accumulator: Vec<u8>,
}

impl Meta {
    /// Reads what `storage` says; the default for one without chain state.
    ///
    /// # Errors
    /// `Corruption` when it does not parse, or when a version or the block's number is past its
    /// bound; what the storage fails with.
    pub fn read(storage: &Storage) -> Result<Self> {
        Self::read_with(|key| storage.get(key))
    }

    /// As [`read`](Self::read), through `get`, which looks a storage key up: in a snapshot, say.
    ///
    /// # Errors
    /// As [`read`](Self::read); what `get` fails with.
    pub fn read_with(get: impl Fn(&[u8]) -> Result<Option<Vec<u8>>>) -> Result<Self> {
        let number = |key, max: u64| -> Result<Option<u64>> {
            let Some(bytes) = get(key)? else { return Ok(None) };
            let bytes: [u8; 8] =
                bytes.as_slice().try_into().map_err(|_| corrupt("a number", &bytes))?;
            let number = u64::from_be_bytes(bytes);
            if number > max { Err(past_bound(key, number, max)) } else { Ok(Some(number)) }
        };
        let version = |key| number(key, VERSION_MAX.0).map(|at| Version(at.unwrap_or_default()));
        let history = match get(HISTORY)? {
            None => HistoryMode::None,
            Some(bytes) => serde_json::from_slice(&bytes)
                .map_err(|_| corrupt("the mode of history", &bytes))?,
        };
        Ok(Self {
            last_version: version(LAST_VERSION)?,
            last_block: number(LAST_BLOCK, BLOCK_NUMBER_MAX)?,
            floor: version(FLOOR)?,
            history,
            accumulator: get(ACCUMULATOR)?.unwrap_or_default(),
        })
    }

    /// The oldest version that can be read: the [`floor`](Self::floor), or the newest version where no old values are kept.
    pub fn oldest_version(&self) -> Version {
        if self.history.keeps_old_values() { self.floor } else { self.last_version }
    }

    /// Returns whether a commit of several batches has begun and is not finished: its list of changed keys is there, and it is not the
    /// newest version yet. `rows` gives the entries of a range, of the moment of these facts.
    ///
    /// # Errors
    /// What `rows` fails with.
    pub fn has_unfinished_commit(
        &self,
        rows: impl FnOnce(KeyRange<'_>) -> Result<Rows>,
    ) -> Result<bool> {
        let start = change_log_key(self.last_version.next(), 0);
        let mut rows = rows(KeyRange::new(&start, Area::ChangeLog.range().end))?;
        Ok(rows.next()?.is_some())
    }

    /// Appends the newest commit's version to `batch`.
    pub fn put_last_version(batch: &mut WriteBatch, version: Version) {
        batch.put(LAST_VERSION, &version.0.to_be_bytes());
    }

    /// Appends the newest block's number to `batch`.
    pub fn put_last_block(batch: &mut WriteBatch, number: u64) {
        batch.put(LAST_BLOCK, &number.to_be_bytes());
    }

    /// Appends the oldest version that can be read to `batch`.
    pub fn put_floor(batch: &mut WriteBatch, floor: Version) {
        batch.put(FLOOR, &floor.0.to_be_bytes());
    }

    /// Appends to `batch` that from `version` on the mode of history is `mode` instead of `before`. The past that is there stays, but for
    /// [`HistoryMode::None`], which ends it.
    pub fn put_history_change(
        batch: &mut WriteBatch,
        before: HistoryMode,
        mode: HistoryMode,
        version: Version,
    ) {
        // IMPORTANT: in one batch with the mode. With old values kept and a floor from before, a version between would be read as
        // if nothing had been replaced since.
        if !(before.keeps_old_values() && mode.keeps_old_values()) {
            Self::put_floor(batch, version);
        }
        Self::put_history(batch, mode);
    }

    /// Appends the mode of history to `batch`.
    pub fn put_history(batch: &mut WriteBatch, mode: HistoryMode) {
        let bytes = serde_json::to_vec(&mode).expect("a mode is plain data");
        batch.put(HISTORY, &bytes);
    }

    /// Appends the state digest's accumulator to `batch`.
    pub fn put_accumulator(batch: &mut WriteBatch, accumulator: &[u8]) {
        batch.put(ACCUMULATOR, accumulator);
    }
}

/// The fact under `key` is a number that no commit gives.
fn past_bound(key: &[u8], number: u64, max: u64) -> Error {
    let name = String::from_utf8_lossy(key);
    let refused = format!("{name} is {number}, at most {max}; the data directory is not usable");
    Error::new(ErrorKind::Corruption, "read chain state", refused)
}
