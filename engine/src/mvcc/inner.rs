//! What the handles and the transactions of one store share.

use super::admission::Doorkeeper;
use super::cell::Cell;
use super::config::MvccConfig;
use super::evict::{Memory, cell_bytes};
use super::gc::Garbage;
use super::group::Group;
use super::index::Index;
use super::metrics::Counters;
use super::mutant::{Mutant, mutant};
use super::readers::Readers;
use super::recent::Recent;
use super::recovery::recover;
use super::sequencer::Sequencer;
use super::value::Value;
use crate::digest::StateAccumulator;
use crate::layout::{Area, BlockRecord, HistoryMode, Meta, Version, latest_key, split_record};
use crate::storage::Storage;
use parking_lot::Mutex;
use std::cell::RefCell;
use supervm_plugin_sdk::{ByteBuf, Direction, ErrorKind, Result, WriteBatch};

pub(super) struct Inner {
    pub(super) config: MvccConfig,
    pub(super) backend: Option<Storage>,
    pub(super) index: Index,
    pub(super) readers: Readers,
    pub(super) sequencer: Mutex<Sequencer>,
    pub(super) recent: Mutex<Recent>,
    pub(super) group: Group,
    pub(super) garbage: Garbage,
    pub(super) memory: Memory,
    pub(super) doorkeeper: Doorkeeper,
    pub(super) counters: Counters,
}

impl Inner {
    /// A store in memory.
    pub(super) fn volatile(config: MvccConfig) -> Self {
        let history = HistoryMode::None;
        let accumulator = config.digest.then(StateAccumulator::default);
        Self::with(config, None, &Meta { history, ..Meta::default() }, None, accumulator)
    }

    /// A store over `storage`. Reads the facts about the whole; the state only for a digest that is
    /// to be kept and that the storage does not have.
    pub(super) fn open(storage: Storage, config: MvccConfig) -> Result<Self> {
        let facts = storage.lock_facts();
        let mut meta = Meta::read(&storage)?;
        recover(&storage, &meta, config.bounds.part_bytes)?;
        if let Some(mode) = config.history
            && mode != meta.history
        {
            let mut batch = WriteBatch::new();
            Meta::put_history_change(&mut batch, meta.history, mode, meta.last_version);
            storage.write(&batch, storage.durability())?;
            meta.history = mode;
        }
        let accumulator = match (config.digest, &*meta.accumulator) {
            (false, _) => None,
            (true, []) => Some(computed_accumulator(&storage)?),
            (true, bytes) => Some(StateAccumulator::from_bytes(bytes)?),
        };
        drop(facts);
        let last_block = match meta.last_block {
            None => None,
            Some(number) => BlockRecord::read(&storage, number)?,
        };
        if mutant(Mutant::RestartAtZero) {
            meta.last_version = Version::ZERO;
        }
        Ok(Self::with(config, Some(storage), &meta, last_block, accumulator))
    }

    fn with(
        config: MvccConfig,
        backend: Option<Storage>,
        meta: &Meta,
        last_block: Option<BlockRecord>,
        accumulator: Option<StateAccumulator>,
    ) -> Self {
        Self {
            group: Group::new(backend.as_ref(), meta.last_version, last_block),
            doorkeeper: match &backend {
                Some(_) => Doorkeeper::new(config.memory_bytes_max),
                None => Doorkeeper::open(),
            },
            backend,
            index: Index::new(),
            readers: Readers::new(meta.last_version),
            sequencer: Mutex::new(Sequencer::new(meta, last_block, accumulator)),
            recent: Mutex::new(Recent::new(meta.last_version)),
            garbage: Garbage::default(),
            memory: Memory::default(),
            counters: Counters::default(),
            config,
        }
    }

    #[inline]
    pub(super) fn has_backend(&self) -> bool {
        self.backend.is_some()
    }

    /// The cell of `key`, with its value.
    #[inline]
    pub(super) fn loaded(&self, key: &[u8]) -> Result<Cell> {
        let unknown = if self.has_backend() { Value::UNLOADED } else { Value::ABSENT };
        let (cell, is_new) = self.index.get_or_insert(key, unknown);
        if is_new {
            self.memory.grow(cell_bytes(&cell));
            if !self.has_backend() {
                self.garbage.note_absent(&cell);
            }
        }
        self.load(cell)
    }

    /// Reads from the backend what `cell` holds, unless that is known.
    ///
    /// No lock is held meanwhile: commits that check or change the cell, and readers of others, do
    /// not wait for the disk. A cell is written when it is loaded only, and stays in the index while
    /// it is held; so as long as it is not loaded, the backend's value is the newest, whenever it
    /// was read.
    #[inline]
    pub(super) fn load(&self, cell: Cell) -> Result<Cell> {
        let Some(storage) = &self.backend else { return Ok(cell) };
        {
            let mut chain = cell.lock();
            if chain.is_loaded() {
                chain.mark_used();
                drop(chain);
                return Ok(cell);
            }
        }
        self.load_from(storage, cell)
    }

    fn load_from(&self, storage: &Storage, cell: Cell) -> Result<Cell> {
        let (version, value) = read_stored(storage, cell.key(), |found| match found {
            Some((version, value)) => (version, Value::new(value)),
            None => (Version::ZERO, Value::ABSENT),
        })?;
        let (bytes, is_absent) = (value.heap_bytes(), value.bytes().is_none());
        {
            let mut chain = cell.lock();
            if chain.is_loaded() {
                // Another reader was faster.
                drop(chain);
                return Ok(cell);
            }
            chain.load(version, value);
        }
        if is_absent {
            self.garbage.note_absent(&cell);
        }
        self.counters.loads.add(1);
        self.memory.grow(bytes);
        self.evict_when_full();
        Ok(cell)
    }
}

/// Calls `use_record` with the version and the value that `storage` has of `key`; it must not read
/// from a storage.
pub(super) fn read_stored<R>(
    storage: &Storage,
    key: &[u8],
    use_record: impl FnOnce(Option<(Version, &[u8])>) -> R,
) -> Result<R> {
    thread_local! {
        static BUFFERS: RefCell<(Vec<u8>, ByteBuf)> = RefCell::default();
    }
    BUFFERS.with_borrow_mut(|(stored, record)| {
        latest_key(key, stored);
        let is_there = storage.get_into(stored, record)?;
        Ok(use_record(if is_there { Some(split_record(record)?) } else { None }))
    })
}

/// Adds up the accumulator of the whole state in `storage`, and writes it there so that the next
/// opening finds it. A storage that is open for reading does not get it.
fn computed_accumulator(storage: &Storage) -> Result<StateAccumulator> {
    let rows = storage.rows(Area::Latest.range(), Direction::Forward)?;
    let accumulator = StateAccumulator::of_latest(rows, |_| {})?;
    if accumulator == StateAccumulator::default() {
        return Ok(accumulator);
    }
    let mut batch = WriteBatch::new();
    Meta::put_accumulator(&mut batch, &accumulator.to_bytes());
    match storage.write(&batch, storage.durability()) {
        Err(error) if error.kind() == ErrorKind::ReadOnly => {
            tracing::debug!(
                "the state digest is computed at each opening: the storage is read-only"
            );
        }
        written => written?,
    }
    Ok(accumulator)
}
