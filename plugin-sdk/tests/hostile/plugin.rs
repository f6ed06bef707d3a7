//! A plugin that behaves as its options say: built, linked, damaged and loaded by `tests/hostile.rs`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::RwLock;
use std::sync::atomic::{AtomicU64, Ordering};
use supervm_plugin_sdk::prelude::*;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// What goes wrong.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
enum Failure {
    /// Nothing.
    #[default]
    None,
    /// `open` returns an error.
    RefuseOpen,
    /// `open` panics.
    PanicInOpen,
    /// `get` panics.
    PanicInGet,
    /// `write` panics.
    PanicInWrite,
    /// A cursor's `next_page` panics.
    PanicInNextPage,
    /// A cursor's `drop` panics.
    PanicInCursorDrop,
    /// The storage's `drop` panics.
    PanicInDrop,
}

/// The options.
#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct HostileConfig {
    failure: Failure,
}

/// An ordered map in memory.
struct Hostile {
    failure: Failure,
    map: RwLock<Map>,
}

/// Storages opened by this copy of the crate's code; a linked and a loaded copy count for themselves.
static OPENED: AtomicU64 = AtomicU64::new(0);

impl StorageFactory for Hostile {
    type Config = HostileConfig;

    fn declared_capabilities() -> Capabilities {
        Capabilities::new().native(&[Capability::DeleteRange])
    }

    fn open(_: &Path, config: HostileConfig, _: OpenMode) -> Result<Self> {
        match config.failure {
            Failure::RefuseOpen => {
                Err(Error::new(ErrorKind::Corruption, "open", "page 7 is not what was written"))
            }
            Failure::PanicInOpen => panic!("panicked in open"),
            failure => {
                OPENED.fetch_add(1, Ordering::SeqCst);
                Ok(Self { failure, map: RwLock::default() })
            }
        }
    }
}

impl Hostile {
    fn fail_if(&self, failure: Failure, place: &str) {
        assert!(self.failure != failure, "panicked in {place}");
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.fail_if(Failure::PanicInDrop, "drop");
    }
}

impl StorageBackend for Hostile {
    fn capabilities(&self) -> Capabilities {
        Self::declared_capabilities()
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.fail_if(Failure::PanicInGet, "get");
        let map = self.map.read().expect("no writer panics");
        Ok(map.get(key).inspect(|found| value.set(found)).is_some())
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<()> {
        self.fail_if(Failure::PanicInWrite, "write");
        let mut map = self.map.write().expect("no writer panics");
        for operation in batch.iter() {
            match operation {
                Operation::Put { key, value } => drop(map.insert(key.into(), value.into())),
                Operation::Delete { key } => drop(map.remove(key)),
                Operation::DeleteRange { range } => map.retain(|key, _| !range.contains(key)),
            }
        }
        Ok(())
    }

    fn cursor(&self, _: KeyRange<'_>, _: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(HostileCursor(self.failure)))
    }

    fn flush(&self, _: Durability) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Result<StorageStats> {
        let opened = ("opened".to_owned(), OPENED.load(Ordering::SeqCst));
        Ok(StorageStats { backend: [opened].into(), ..StorageStats::default() })
    }
}

struct HostileCursor(Failure);

impl Cursor for HostileCursor {
    fn next_page(&mut self, _: &mut Page) -> Result<PageEnd> {
        assert!(self.0 != Failure::PanicInNextPage, "panicked in next_page");
        Ok(PageEnd::End)
    }

    fn seek(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

impl Drop for HostileCursor {
    fn drop(&mut self) {
        assert!(self.0 != Failure::PanicInCursorDrop, "panicked in a cursor's drop");
    }
}

export_plugin!(storage: Hostile, name: "well-behaved");
