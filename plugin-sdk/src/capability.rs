//! What a backend declares it can do, and its limits.

use crate::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest key of the contract, in bytes (clause 2). LMDB's own limit decides it.
pub const KEY_BYTES_MAX: usize = 511;
/// Longest key that a contract may use, in bytes; the rest of [`KEY_BYTES_MAX`] pays for the engine's
/// prefix, escaping and version.
pub const CONTRACT_KEY_BYTES_MAX: usize = 240;
/// Longest value, in bytes (clause 3).
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// Largest batch, in bytes of its operation log (clause 7).
pub const BATCH_BYTES_MAX: usize = 64 << 20;
/// Most operations in a batch (clause 7).
pub const BATCH_OPERATIONS_MAX: usize = 1 << 20;
/// Most cursors that a backend must be able to hold open at once (clause 11).
pub const CURSORS_MAX: usize = 1024;
/// Most snapshots that a backend must be able to hold open at once (clause 11).
pub const SNAPSHOTS_MAX: usize = 1024;

macro_rules! capabilities {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)*) => {
        /// One thing that a backend can do beyond get, write and forward cursors.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[derive(Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum Capability { $($(#[$doc])* $name = $bit,)* }

        impl Capability {
            /// Every capability, in the order of its bit.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name used in configuration and reports.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

capabilities! {
    /// `checkpoint`: a durable copy that the same backend opens.
    Checkpoint = 0, "checkpoint";
    /// `compact`: gives back space.
    Compact = 1, "compact";
    /// `verify`: checks what is stored.
    Verify = 2, "verify";
    /// Opens in [`OpenMode::ReadOnly`](crate::OpenMode::ReadOnly).
    ReadOnlyOpen = 3, "read_only_open";
    /// Snapshots.
    Snapshot = 4, "snapshot";
    /// Cursors in [`Direction::Reverse`](crate::Direction::Reverse).
    ReverseCursor = 5, "reverse_cursor";
    /// `delete_range` in a batch. Native: one operation of the database; simulated: a loop in its transaction.
    DeleteRange = 6, "delete_range";
    /// `multi_get` does better than a loop over `get`.
    MultiGet = 7, "multi_get";
    /// [`Durability::Synced`](crate::Durability::Synced) survives a power cut.
    SyncedWrites = 8, "synced_writes";
    /// The backend detects changed bytes on disk.
    Checksums = 9, "checksums";
    /// Other processes may open the directory read-only while a writer has it.
    MultiProcessReaders = 10, "multi_process_readers";
    /// Values are compressed.
    Compression = 11, "compression";
    /// `size_on_disk` of a range.
    SizeOnDisk = 12, "size_on_disk";
    /// Batches are written while `flush` with [`Durability::Synced`](crate::Durability::Synced) waits for the disk, and with
    /// [`Durability::Buffered`](crate::Durability::Buffered) they do not wait for it themselves.
    ConcurrentFlush = 13, "concurrent_flush";
}

impl Capability {
    /// The capability with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|capability| capability.name() == name)
    }

    const fn mask(self) -> u64 {
        1 << self as u8
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a capability is provided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Support {
    /// By the database itself.
    Native,
    /// By a loop around what the database has; correct, and slower.
    Simulated,
}

/// The sizes that a backend accepts. What exceeds them is refused, by the host first (clause 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Longest key, bytes.
    pub key_bytes_max: u64,
    /// Longest value, bytes.
    pub value_bytes_max: u64,
    /// Largest batch, bytes of its operation log.
    pub batch_bytes_max: u64,
    /// Most operations in a batch.
    pub batch_operations_max: u64,
    /// Most cursors open at once.
    pub cursors_max: u64,
    /// Most snapshots open at once.
    pub snapshots_max: u64,
}

impl Limits {
    /// What every backend has to accept.
    pub const CONTRACT: Self = Self {
        key_bytes_max: KEY_BYTES_MAX as u64,
        value_bytes_max: VALUE_BYTES_MAX as u64,
        batch_bytes_max: BATCH_BYTES_MAX as u64,
        batch_operations_max: BATCH_OPERATIONS_MAX as u64,
        cursors_max: CURSORS_MAX as u64,
        snapshots_max: SNAPSHOTS_MAX as u64,
    };
}

/// What a backend can do, and its limits.
///
/// Serialised by name, so that a host and a plugin of different ages understand each other: a name that the
/// reader does not know is ignored.
///
/// # Examples
/// ```
/// use supervm_plugin_sdk::{Capabilities, Capability, Support};
/// let capabilities = Capabilities::new()
///     .native(&[Capability::Snapshot])
///     .simulated(&[Capability::DeleteRange]);
/// assert!(capabilities.has(Capability::Snapshot));
/// assert_eq!(capabilities.support(Capability::DeleteRange), Some(Support::Simulated));
/// assert!(!capabilities.has(Capability::Compact));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Record", into = "Record")]
pub struct Capabilities {
    native: u64,
    simulated: u64,
    limits: Limits,
}

impl Capabilities {
    /// No capability beyond the required ones, with the contract's limits.
    pub const fn new() -> Self {
        Self { native: 0, simulated: 0, limits: Limits::CONTRACT }
    }

    /// Adds capabilities that the database itself provides.
    #[must_use]
    pub const fn native(mut self, capabilities: &[Capability]) -> Self {
        let mut index = 0;
        while index < capabilities.len() {
            self.native |= capabilities[index].mask();
            index += 1;
        }
        self
    }

    /// Adds capabilities that are provided by a loop around what the database has.
    #[must_use]
    pub const fn simulated(mut self, capabilities: &[Capability]) -> Self {
        let mut index = 0;
        while index < capabilities.len() {
            self.simulated |= capabilities[index].mask();
            index += 1;
        }
        self
    }

    /// Takes a capability away, for a configuration that switches it off.
    #[must_use]
    pub const fn without(mut self, capability: Capability) -> Self {
        self.native &= !capability.mask();
        self.simulated &= !capability.mask();
        self
    }

    /// Replaces the limits.
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Is it provided, in whatever way?
    pub const fn has(&self, capability: Capability) -> bool {
        (self.native | self.simulated) & capability.mask() != 0
    }

    /// Refuses `operation` unless `capability` is provided (clause 29).
    ///
    /// # Errors
    /// `Unsupported`, naming the capability.
    pub fn require(&self, capability: Capability, operation: &'static str) -> Result<()> {
        if self.has(capability) {
            return Ok(());
        }
        let refused = format!("this storage does not declare {capability}");
        Err(Error::new(ErrorKind::Unsupported, operation, refused).with("capability", capability))
    }

    /// How it is provided; `None` when it is not.
    pub const fn support(&self, capability: Capability) -> Option<Support> {
        if self.native & capability.mask() != 0 {
            Some(Support::Native)
        } else if self.simulated & capability.mask() != 0 {
            Some(Support::Simulated)
        } else {
            None
        }
    }

    /// The limits.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The capabilities that are provided, each with how.
    pub fn iter(&self) -> impl Iterator<Item = (Capability, Support)> + '_ {
        Capability::ALL.iter().filter_map(|&one| Some((one, self.support(one)?)))
    }
}

impl Default for Capabilities {
    fn default() -> Self {
        Self::new()
    }
}

/// [`Capabilities`] as they are written.
#[derive(Serialize, Deserialize)]
struct Record {
    #[serde(default)]
    native: Vec<String>,
    #[serde(default)]
    simulated: Vec<String>,
    limits: Limits,
}

impl From<Record> for Capabilities {
    fn from(record: Record) -> Self {
        let known = |names: &[String]| {
            names.iter().filter_map(|name| Capability::from_name(name)).collect::<Vec<_>>()
        };
        Self::new()
            .native(&known(&record.native))
            .simulated(&known(&record.simulated))
            .with_limits(record.limits)
    }
}

impl From<Capabilities> for Record {
    fn from(capabilities: Capabilities) -> Self {
        let named = |wanted| {
            let chosen = capabilities.iter().filter(|(_, support)| *support == wanted);
            chosen.map(|(capability, _)| capability.name().to_owned()).collect()
        };
        Self {
            native: named(Support::Native),
            simulated: named(Support::Simulated),
            limits: capabilities.limits,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_is_written_by_its_name() {
        for capability in Capability::ALL {
            let text = serde_json::to_string(capability).expect("json");
            assert_eq!(text, format!("\"{capability}\""));
        }
    }

    #[test]
    fn an_unknown_capability_is_ignored_and_known_ones_survive() {
        let text =
            serde_json::to_string(&Capabilities::new().native(Capability::ALL)).expect("json");
        let text = text.replace("\"compact\"", "\"teleport\"");
        let read: Capabilities = serde_json::from_str(&text).expect("json");
        assert!(!read.has(Capability::Compact));
        assert!(read.has(Capability::SizeOnDisk));
        assert_eq!(*read.limits(), Limits::CONTRACT);
    }
}
