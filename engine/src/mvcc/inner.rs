//! What the handles and the transactions of one store share.

use super::cell::Cell;
use super::config::MvccConfig;
use super::evict::Memory;
use super::gc::Garbage;
use super::group::Group;
use super::index::Index;
use super::metrics::Counters;
use super::mutant::{Mutant, mutant};
use super::readers::Readers;
use super::sequencer::Sequencer;
use super::value::Value;
use crate::digest::StateAccumulator;
use crate::layout::{Area, BlockRecord, HistoryMode, Meta, Version, latest_key, split_record};
use crate::storage::Storage;
use parking_lot::Mutex;
use std::cell::RefCell;
use supervm_plugin_sdk::{ByteBuf, Direction, Error, Result, WriteBatch};

pub(super) struct Inner {
    pub(super) config: MvccConfig,
    pub(super) backend: Option<Storage>,
    pub(super) index: Index,
    pub(super) readers: Readers,
    pub(super) sequencer: Mutex<Sequencer>,
    pub(super) group: Group,
    pub(super) garbage: Garbage,
    pub(super) memory: Memory,
    pub(super) counters: Counters,
}

impl Inner {
    /// A store in memory.
    pub(super) fn volatile(config: MvccConfig) -> Self {
        let history = HistoryMode::None;
        let accumulator = config.digest.then(StateAccumulator::default);
        Self::with(config, None, &Meta { history, ..Meta::default() }, None, accumulator)
    }

    /// A store over `storage`. Reads what the storage says of itself, not the state.
    pub(super) fn open(storage: Storage, config: MvccConfig) -> Result<Self> {
        let facts = storage.lock_facts();
        let mut meta = Meta::read(&storage)?;
        if let Some(mode) = config.history
            && mode != meta.history
        {
            let mut batch = WriteBatch::new();
            Meta::put_history_change(&mut batch, meta.history, mode, meta.last_version);
            storage.write(&batch, storage.durability())?;
            meta.history = mode;
        }
        let accumulator = match (config.digest, &*meta.accumulator) {
            (false, []) => None,
            (false, _) => {
                // What is not kept up to date must not be taken for the digest later.
                let mut batch = WriteBatch::new();
                Meta::put_accumulator(&mut batch, &[]);
                storage.write(&batch, storage.durability())?;
                None
            }
            (true, []) => {
                let rows = storage.rows(Area::Latest.range(), Direction::Forward)?;
                Some(StateAccumulator::of_latest(rows, |_| {})?)
            }
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
            backend,
            index: Index::new(),
            readers: Readers::new(meta.last_version),
            sequencer: Mutex::new(Sequencer::new(meta, last_block, accumulator)),
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
        if self.backend.is_none() {
            return Ok(self.index.get_or_insert(key, || Cell::new(key, Value::ABSENT)));
        }
        let cell = self.index.get_or_insert(key, || Cell::new(key, Value::UNLOADED));
        self.load(cell)
    }

    /// Reads from the backend what `cell` holds, unless that is known.
    ///
    /// Nobody has written to a cell that is not loaded, so the backend's value is the newest; the cell's lock is held meanwhile, so that this
    /// stays so, and so that many readers of one key ask once.
    pub(super) fn load(&self, cell: Cell) -> Result<Cell> {
        thread_local! {
            static BUFFERS: RefCell<(Vec<u8>, ByteBuf)> = RefCell::default();
        }
        let Some(storage) = &self.backend else { return Ok(cell) };
        let mut chain = cell.lock();
        if chain.is_loaded() {
            drop(chain);
            return Ok(cell);
        }
        let bytes = BUFFERS.with_borrow_mut(|(stored, record)| {
            latest_key(cell.key(), stored);
            let (version, value) = if storage.get_into(stored, record)? {
                let (version, value) = split_record(record)?;
                (version, Value::new(value))
            } else {
                (Version::ZERO, Value::ABSENT)
            };
            let bytes = value.heap_bytes();
            chain.load(version, value);
            Ok::<_, Error>(bytes)
        })?;
        drop(chain);
        self.counters.loads.add(1);
        self.memory.grow(bytes);
        self.evict_when_full();
        Ok(cell)
    }
}
