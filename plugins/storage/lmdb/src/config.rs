//! The options of this backend.

use crate::readers::GET_READERS;
use supervm_plugin_sdk::prelude::*;
use supervm_plugin_sdk::{CURSORS_MAX, Limits, SNAPSHOTS_MAX};

/// Smallest `map_bytes_max`: its half has room for a value of the greatest length and the pages around it.
const MAP_BYTES_MIN: u64 = 64 << 20;
/// Greatest `map_bytes_max`: half of the address space that a process has on a 64-bit machine with four levels of page tables.
const MAP_BYTES_MOST: u64 = 64 << 40;
/// Readers for what is neither a `get` nor a cursor nor a snapshot: checkpoints and verification.
const SERVICE_READERS: u32 = 32;
/// Readers that no cursor and no snapshot can take.
const RESERVED_READERS: u32 = GET_READERS as u32 + SERVICE_READERS;
const READERS_MIN: u32 = 2 * RESERVED_READERS;
const READERS_MOST: u32 = 1 << 16;

/// The options of the LMDB backend: the `[storage.options]` table of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LmdbConfig {
    /// Most bytes of the data file. It starts at 8 KiB and grows by itself; what is reserved at open is address space, not
    /// disk and not memory. One half is the quota of the pages that hold entries: a write past it fails with `QuotaFull`
    /// and changes nothing. The other half is what copy on write, old snapshots and gaps between large values need, so that a
    /// full storage can still be emptied. Bytes; default 64GiB; from 64MiB to 64TiB.
    pub map_bytes_max: ByteSize,
    /// Slots of LMDB's table of readers, 64 bytes each. Of these 128 serve `get`, checkpoints and verification; one half of the
    /// others bounds the open cursors, the other half the open snapshots, `Busy` beyond. Default 2176, which is 1024 of each;
    /// from 256 to 65536.
    pub readers_max: u32,
    /// What a `Buffered` batch syncs; a `Synced` one syncs everything. Default `pages`.
    pub sync: SyncMode,
}

/// What a `Buffered` batch syncs before it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SyncMode {
    /// Its pages; the root is left to the operating system. A power cut takes at most the last batch.
    #[default]
    Pages,
    /// Its pages and its root, as a `Synced` batch does. A power cut takes nothing.
    Full,
}

impl Default for LmdbConfig {
    fn default() -> Self {
        Self {
            map_bytes_max: ByteSize(64 << 30),
            readers_max: RESERVED_READERS + (CURSORS_MAX + SNAPSHOTS_MAX) as u32,
            sync: SyncMode::Pages,
        }
    }
}

impl LmdbConfig {
    /// Are the options within their bounds?
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the option, its value and what would be accepted.
    pub(crate) fn check(&self) -> Result<()> {
        let (bytes, readers) = (self.map_bytes_max, self.readers_max);
        if !(MAP_BYTES_MIN..=MAP_BYTES_MOST).contains(&bytes.0) || usize::try_from(bytes.0).is_err()
        {
            let accepted =
                format!("from {} to {}", ByteSize(MAP_BYTES_MIN), ByteSize(MAP_BYTES_MOST));
            return Err(out_of_bounds("map_bytes_max", &bytes, &accepted));
        }
        if !(READERS_MIN..=READERS_MOST).contains(&readers) {
            let accepted = format!("from {READERS_MIN} to {READERS_MOST}");
            return Err(out_of_bounds("readers_max", &readers, &accepted));
        }
        Ok(())
    }

    /// What a batch is committed with when `asked` is asked for.
    pub(crate) fn commit_durability(&self, asked: Durability) -> Durability {
        match self.sync {
            SyncMode::Pages => asked,
            SyncMode::Full => Durability::Synced,
        }
    }

    /// Most bytes of the pages that hold entries.
    pub(crate) fn quota_bytes(&self) -> u64 {
        self.map_bytes_max.0 / 2
    }

    /// The contract's limits, with the cursors and snapshots that the table of readers has room for.
    pub(crate) fn limits(&self) -> Limits {
        let each = u64::from(self.readers_max.saturating_sub(RESERVED_READERS) / 2);
        Limits { cursors_max: each, snapshots_max: each, ..Limits::CONTRACT }
    }
}

fn out_of_bounds(option: &'static str, value: &dyn std::fmt::Display, accepted: &str) -> Error {
    let message = format!("{option} is {value}, expected a value {accepted}");
    Error::new(ErrorKind::ConfigInvalid, "open", message).with("option", option)
}
