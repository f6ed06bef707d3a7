//! What a store can be told.

use super::large::PART_BYTES;
use super::size::COMMIT_BYTES_MAX;
use crate::layout::{HistoryMode, Version};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use supervm_plugin_sdk::BATCH_BYTES_MAX;

/// Memory that the cells of a store over a backend may take before some leave, in bytes, when nothing else is said.
pub const MEMORY_BYTES_DEFAULT: usize = 256 << 20;

/// Memory that the keys of one transaction may take, in bytes, when nothing else is said. A call of
/// a contract needs less.
pub const TRANSACTION_BYTES_DEFAULT: usize = 256 << 20;

/// What a transaction is protected from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Isolation {
    /// The result is that of some order of the transactions, one by one: the order of their versions.
    #[default]
    Serializable,
    /// Reads are of one moment, and of two transactions that write a key only the first commits. Write skew is possible.
    Snapshot,
}

/// When a commit returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledgement {
    /// When it is written to the backend and visible: survives the death of the process.
    Visible,
    /// When it is synced too: survives a power cut.
    Durable,
}

/// How one transaction is committed.
#[derive(Debug, Clone, Copy, Default)]
pub struct CommitOptions {
    /// When the commit returns; by default as durable as the storage was opened to be. Without a backend it means nothing.
    pub acknowledgement: Option<Acknowledgement>,
    /// The block that ends with this commit.
    pub block: Option<Block>,
    /// Commit only when this is still the newest version, whatever was read; a conflict otherwise.
    pub after: Option<Version>,
}

/// A block that a commit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Its number; greater than the last block's.
    pub number: u64,
    /// Seconds since 1970-01-01 00:00 UTC; not before the last block's.
    pub timestamp: u64,
}

/// Which versions garbage collection removes.
///
/// Without a policy, all that no running transaction can read. Each policy keeps versions longer, or not more than so many; whatever it
/// says, what a running transaction needs stays, and so does a key's newest version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GcConfig {
    /// Keep at most so many versions of a key, the newest ones; at least 1.
    pub versions_max: Option<usize>,
    /// Keep what was superseded within this time.
    pub time_to_live: Option<Duration>,
    /// Keep what the states after each of the last so many blocks need; at least 1.
    pub blocks: Option<u64>,
}

/// When garbage is collected without being asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoGcConfig {
    /// Time between two passes.
    pub interval: Duration,
    /// Begin a pass before the time has come when there are so many old versions more than the last pass had to leave.
    pub version_threshold: Option<u64>,
    /// Begin with a pass.
    pub run_on_start: bool,
}

impl Default for AutoGcConfig {
    /// Every second, and at a million old versions.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(1),
            version_threshold: Some(1_000_000),
            run_on_start: false,
        }
    }
}

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct MvccConfig {
    /// What [`begin`](super::MvccStore::begin) gives.
    pub isolation: Isolation,
    /// Which versions garbage collection removes from memory.
    pub gc: GcConfig,
    /// Collect garbage in a thread of its own; `None` = when asked.
    pub auto_gc: Option<AutoGcConfig>,
    /// How much of the past the backend keeps; `None` = as it is.
    pub history: Option<HistoryMode>,
    /// Keep the digest of the state up to date with each commit: 0.5 to 2 us for each entry that is
    /// written or replaced, as the processor has it. Without it, the first change of the state ends a
    /// digest that the storage has.
    pub digest: bool,
    /// Memory that cells may take, in bytes, before those leave that are on the backend and that nobody needs. Without a backend all stays.
    pub memory_bytes_max: usize,
    /// Memory that the keys which one transaction reads and writes may take until it ends, in
    /// bytes; more fail with `QuotaFull`. Transactions that remember no reads are not concerned
    /// unless they write. Default: [`TRANSACTION_BYTES_DEFAULT`].
    pub transaction_bytes_max: usize,
    /// What time to live is measured with.
    pub clock: Clock,
    /// What commits may take; others than the default are for tests.
    #[doc(hidden)]
    pub bounds: CommitBounds,
}

/// What commits may take.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitBounds {
    /// Bytes of a batch; at most the contract's.
    pub batch_bytes_max: usize,
    /// Bytes of each of the batches of a commit that is larger than one.
    pub part_bytes: usize,
    /// Bytes of a commit.
    pub commit_bytes_max: usize,
}

impl Default for CommitBounds {
    fn default() -> Self {
        Self {
            batch_bytes_max: BATCH_BYTES_MAX,
            part_bytes: PART_BYTES,
            commit_bytes_max: COMMIT_BYTES_MAX,
        }
    }
}

impl Default for MvccConfig {
    fn default() -> Self {
        Self {
            isolation: Isolation::default(),
            gc: GcConfig::default(),
            auto_gc: None,
            history: None,
            digest: false,
            memory_bytes_max: MEMORY_BYTES_DEFAULT,
            transaction_bytes_max: TRANSACTION_BYTES_DEFAULT,
            clock: Clock::default(),
            bounds: CommitBounds::default(),
        }
    }
}

/// Where time comes from.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System(Instant),
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands still until [`advance`](Self::advance); its clones are the same clock.
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::default()))
    }

    /// Moves a manual clock on; no effect on the system's.
    pub fn advance(&self, time: Duration) {
        if let Source::Manual(nanoseconds) = &self.0 {
            nanoseconds.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
        }
    }

    /// Lets the thread rest for so long; a manual clock moves on by it instead, at once.
    pub fn sleep(&self, time: Duration) {
        match &self.0 {
            Source::System(_) => std::thread::sleep(time),
            Source::Manual(_) => self.advance(time),
        }
    }

    /// Time since the clock was made.
    pub fn now(&self) -> Duration {
        match &self.0 {
            Source::System(start) => start.elapsed(),
            Source::Manual(nanoseconds) => {
                Duration::from_nanos(nanoseconds.load(Ordering::Relaxed))
            }
        }
    }
}

impl Default for Clock {
    /// The system's monotonic clock.
    fn default() -> Self {
        Self(Source::System(Instant::now()))
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({:?})", self.now())
    }
}
