//! A backend that a test looks into: what was written and how durably, with writes that can be made to wait or to fail.
//!
//! The content belongs to a [`Panel`], which a test finds under a name and which outlives the storage, as a disk would.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use supervm_plugin_sdk::prelude::*;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a test sees and sets.
#[derive(Debug, Default)]
pub(crate) struct Panel {
    map: Mutex<Arc<Map>>,
    written: Mutex<Vec<Written>>,
    failure: Mutex<Option<Effect>>,
    /// Writes that succeed although they are to fail.
    spared: AtomicU64,
    reads_fail: AtomicU64,
    reads: AtomicU64,
    read_gate: Mutex<()>,
    /// The key of which reads wait.
    held_key: Mutex<Option<Vec<u8>>>,
    held_reads: AtomicU64,
    cursors: AtomicU64,
    gate: Mutex<()>,
    flush_gate: Mutex<()>,
    flushes_begun: AtomicU64,
    flushes: AtomicU64,
    flushes_fail: AtomicBool,
    writes_begun: AtomicU64,
    writes_failed: AtomicU64,
}

/// One batch that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) operations: usize,
    pub(crate) durability: Durability,
}

static PANELS: LazyLock<Mutex<HashMap<String, Arc<Panel>>>> = LazyLock::new(Mutex::default);

/// The panel of that name.
pub(crate) fn panel(name: &str) -> Arc<Panel> {
    Arc::clone(lock(&PANELS).entry(name.to_owned()).or_default())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Panel {
    /// The batches since the last call.
    pub(crate) fn take_written(&self) -> Vec<Written> {
        std::mem::take(&mut *lock(&self.written))
    }

    /// How durably the batches since the last call were written.
    pub(crate) fn take_durabilities(&self) -> Vec<Durability> {
        self.take_written().into_iter().map(|written| written.durability).collect()
    }

    /// How often the backend was asked for a key.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Reads of this key of the storage wait while the guard lives.
    pub(crate) fn hold_reads_of(&self, key: &[u8]) -> MutexGuard<'_, ()> {
        *lock(&self.held_key) = Some(key.to_owned());
        lock(&self.read_gate)
    }

    /// Reads that were asked for and had to wait.
    pub(crate) fn held_reads(&self) -> u64 {
        self.held_reads.load(Ordering::SeqCst)
    }

    /// How often the backend was asked for a cursor.
    pub(crate) fn cursors(&self) -> u64 {
        self.cursors.load(Ordering::SeqCst)
    }

    /// From now on writes fail and say this of their effect, which is what they do; `None` = they succeed.
    pub(crate) fn fail_writes(&self, effect: Option<Effect>) {
        *lock(&self.failure) = effect;
    }

    /// The next `times` writes succeed, whatever comes after them.
    pub(crate) fn spare_writes(&self, times: u64) {
        self.spared.store(times, Ordering::SeqCst);
    }

    /// The next `times` reads fail.
    pub(crate) fn fail_reads(&self, times: u64) {
        self.reads_fail.store(times, Ordering::SeqCst);
    }

    /// Writes wait while the guard lives.
    pub(crate) fn hold_writes(&self) -> MutexGuard<'_, ()> {
        lock(&self.gate)
    }

    /// Writes that were asked for, also those that wait.
    pub(crate) fn writes_begun(&self) -> u64 {
        self.writes_begun.load(Ordering::SeqCst)
    }

    /// Writes that failed.
    pub(crate) fn writes_failed(&self) -> u64 {
        self.writes_failed.load(Ordering::SeqCst)
    }

    /// Flushes wait while the guard lives.
    pub(crate) fn hold_flushes(&self) -> MutexGuard<'_, ()> {
        lock(&self.flush_gate)
    }

    /// Flushes that were asked for, also those that wait.
    pub(crate) fn flushes_begun(&self) -> u64 {
        self.flushes_begun.load(Ordering::SeqCst)
    }

    /// Flushes that are over.
    pub(crate) fn flushes(&self) -> u64 {
        self.flushes.load(Ordering::SeqCst)
    }

    /// From now on flushes fail.
    pub(crate) fn fail_flushes(&self) {
        self.flushes_fail.store(true, Ordering::SeqCst);
    }

    pub(crate) fn content(&self) -> Arc<Map> {
        lock(&self.map).clone()
    }
}

/// The backend.
#[derive(Debug)]
pub(crate) struct Probe {
    panel: Arc<Panel>,
    concurrent_flush: bool,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProbeConfig {
    /// The panel's name.
    panel: String,
    concurrent_flush: bool,
}

impl StorageFactory for Probe {
    type Config = ProbeConfig;

    fn declared_capabilities() -> Capabilities {
        Capabilities::new().native(&[
            Capability::SyncedWrites,
            Capability::ReverseCursor,
            Capability::ConcurrentFlush,
        ])
    }

    fn open(_: &Path, config: ProbeConfig, _: OpenMode) -> Result<Self> {
        let concurrent_flush = config.concurrent_flush;
        Ok(Self { panel: panel(&config.panel), concurrent_flush })
    }
}

impl StorageBackend for Probe {
    fn capabilities(&self) -> Capabilities {
        let declared = Self::declared_capabilities();
        match self.concurrent_flush {
            true => declared,
            false => declared.without(Capability::ConcurrentFlush),
        }
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.panel.reads.fetch_add(1, Ordering::SeqCst);
        let is_held = lock(&self.panel.held_key).as_deref() == Some(key);
        if is_held {
            self.panel.held_reads.fetch_add(1, Ordering::SeqCst);
            drop(lock(&self.panel.read_gate));
        }
        let fails = |left: u64| left.checked_sub(1);
        if self.panel.reads_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err(Error::new(ErrorKind::Io, "get", "told to fail"));
        }
        Ok(self.panel.content().get(key).inspect(|found| value.set(found)).is_some())
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        self.panel.writes_begun.fetch_add(1, Ordering::SeqCst);
        let _gate = lock(&self.panel.gate);
        let less = |left: u64| left.checked_sub(1);
        let is_spared =
            self.panel.spared.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        let failure = lock(&self.panel.failure).filter(|_| !is_spared);
        if failure != Some(Effect::NotApplied) {
            let mut map = lock(&self.panel.map);
            let map = Arc::make_mut(&mut map);
            for operation in batch.iter() {
                match operation {
                    Operation::Put { key, value } => drop(map.insert(key.into(), value.into())),
                    Operation::Delete { key } => drop(map.remove(key)),
                    Operation::DeleteRange { .. } => panic!("not declared"),
                }
            }
        }
        if let Some(effect) = failure {
            self.panel.writes_failed.fetch_add(1, Ordering::SeqCst);
            return Err(Error::new(ErrorKind::Io, "write", "told to fail").with_effect(effect));
        }
        lock(&self.panel.written).push(Written { operations: batch.len(), durability });
        Ok(())
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        self.panel.cursors.fetch_add(1, Ordering::SeqCst);
        let content = self.panel.content();
        let within = content.iter().filter(|(key, _)| range.contains(key));
        let mut ahead: Vec<_> = within.map(|(key, value)| (key.clone(), value.clone())).collect();
        // The next one is the last.
        if direction == Direction::Forward {
            ahead.reverse();
        }
        Ok(Box::new(ProbeCursor(ahead)))
    }

    fn flush(&self, _: Durability) -> Result<()> {
        self.panel.flushes_begun.fetch_add(1, Ordering::SeqCst);
        let _gate = lock(&self.panel.flush_gate);
        if self.panel.flushes_fail.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Io, "flush", "told to fail"));
        }
        self.panel.flushes.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn stats(&self) -> Result<StorageStats> {
        Ok(StorageStats::default())
    }
}

struct ProbeCursor(Vec<(Vec<u8>, Vec<u8>)>);

impl Cursor for ProbeCursor {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        while let Some((key, value)) = self.0.pop() {
            if !page.push(&key, &value) {
                return Ok(PageEnd::More);
            }
        }
        Ok(PageEnd::End)
    }

    fn seek(&mut self, _: &[u8]) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "seek", "the store does not seek"))
    }
}
