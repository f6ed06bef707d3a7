//! A backend that a test looks into: what was written and how durably, with writes that can be made to wait or to fail.
//!
//! The content belongs to a [`Panel`], which a test finds under a name and which outlives the storage, as a disk would.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
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
    gate: Mutex<()>,
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

    /// How often the backend was asked for a key.
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
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

    pub(crate) fn content(&self) -> Arc<Map> {
        lock(&self.map).clone()
    }
}

/// The backend.
#[derive(Debug)]
pub(crate) struct Probe(Arc<Panel>);

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProbeConfig {
    /// The panel's name.
    panel: String,
}

impl StorageFactory for Probe {
    type Config = ProbeConfig;

    fn declared_capabilities() -> Capabilities {
        Capabilities::new().native(&[Capability::SyncedWrites, Capability::ReverseCursor])
    }

    fn open(_: &Path, config: ProbeConfig, _: OpenMode) -> Result<Self> {
        Ok(Self(panel(&config.panel)))
    }
}

impl StorageBackend for Probe {
    fn capabilities(&self) -> Capabilities {
        Self::declared_capabilities()
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.0.reads.fetch_add(1, Ordering::SeqCst);
        let fails = |left: u64| left.checked_sub(1);
        if self.0.reads_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err(Error::new(ErrorKind::Io, "get", "told to fail"));
        }
        Ok(self.0.content().get(key).inspect(|found| value.set(found)).is_some())
    }

    fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<()> {
        let _gate = lock(&self.0.gate);
        let less = |left: u64| left.checked_sub(1);
        let is_spared =
            self.0.spared.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        let failure = lock(&self.0.failure).filter(|_| !is_spared);
        if failure != Some(Effect::NotApplied) {
            let mut map = lock(&self.0.map);
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
            return Err(Error::new(ErrorKind::Io, "write", "told to fail").with_effect(effect));
        }
        lock(&self.0.written).push(Written { operations: batch.len(), durability });
        Ok(())
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        let content = self.0.content();
        let within = content.iter().filter(|(key, _)| range.contains(key));
        let mut ahead: Vec<_> = within.map(|(key, value)| (key.clone(), value.clone())).collect();
        // The next one is the last.
        if direction == Direction::Forward {
            ahead.reverse();
        }
        Ok(Box::new(ProbeCursor(ahead)))
    }

    fn flush(&self, _: Durability) -> Result<()> {
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
