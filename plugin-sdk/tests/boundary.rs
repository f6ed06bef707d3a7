//! A backend that is linked in, used through the boundary as a host uses it.
#![cfg(feature = "host")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, RwLock};
use supervm_plugin_sdk::prelude::*;
use supervm_plugin_sdk::{ErrorKind, PageEnd, load};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

/// An ordered map; panics on the key `panic`.
#[derive(Default)]
struct MapStorage(RwLock<Arc<Map>>);

#[derive(Serialize, Deserialize, JsonSchema, Default)]
#[serde(deny_unknown_fields, default)]
struct MapConfig {
    cache_bytes: ByteSize,
}

struct MapCursor {
    entries: std::vec::IntoIter<(Vec<u8>, Vec<u8>)>,
}

impl StorageFactory for MapStorage {
    type Config = MapConfig;

    fn declared_capabilities() -> Capabilities {
        Capabilities::new().native(&[Capability::DeleteRange])
    }

    fn open(_: &Path, _: MapConfig, _: OpenMode) -> Result<Self> {
        Ok(Self::default())
    }
}

impl StorageBackend for MapStorage {
    fn capabilities(&self) -> Capabilities {
        Self::declared_capabilities()
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        assert_ne!(key, b"panic", "asked for the key that panics");
        let map = self.0.read().expect("no writer panics").clone();
        Ok(map.get(key).inspect(|found| value.set(found)).is_some())
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<()> {
        let mut map = self.0.write().expect("no writer panics");
        let map = Arc::make_mut(&mut map);
        for operation in batch.iter() {
            match operation {
                Operation::Put { key, value } => drop(map.insert(key.into(), value.into())),
                Operation::Delete { key } => drop(map.remove(key)),
                Operation::DeleteRange { range } => map.retain(|key, _| !range.contains(key)),
            }
        }
        Ok(())
    }

    fn cursor(&self, range: KeyRange<'_>, _: Direction) -> Result<Box<dyn Cursor>> {
        let map = self.0.read().expect("no writer panics").clone();
        let inside = map.iter().filter(|(key, _)| range.contains(key));
        let entries: Vec<_> = inside.map(|(key, value)| (key.clone(), value.clone())).collect();
        Ok(Box::new(MapCursor { entries: entries.into_iter() }))
    }

    fn flush(&self, _: Durability) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Result<StorageStats> {
        Ok(StorageStats::default())
    }
}

impl Cursor for MapCursor {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        for (key, value) in self.entries.by_ref() {
            if !page.push(&key, &value) {
                return Ok(PageEnd::More);
            }
        }
        Ok(PageEnd::End)
    }

    fn seek(&mut self, _: &[u8]) -> Result<()> {
        Err(Error::new(ErrorKind::Unsupported, "seek", "not in this test"))
    }
}

export_plugin!(storage: MapStorage, name: "map");

fn open(dir: &Path) -> Result<Box<dyn StorageBackend>> {
    let plugins = load::linked().expect("linked plugins are sound");
    let map = plugins.iter().find(|plugin| plugin.descriptor().name == "map");
    map.expect("export_plugin! registers the plugin").open_storage(dir, "", OpenMode::Create)
}

fn put(storage: &dyn StorageBackend, key: &[u8], value: &[u8]) -> Result<()> {
    let mut batch = WriteBatch::new();
    batch.put(key, value);
    storage.write(&batch, Durability::Buffered)
}

#[test]
fn what_is_written_is_read_and_scanned_in_order() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let storage = open(dir.path()).expect("opens");
    for key in [b"b", b"a", b"c"] {
        put(&*storage, key, key).expect("writes");
    }
    let mut value = ByteBuf::new();
    assert!(storage.get(b"a", &mut value).expect("reads"));
    assert_eq!(&*value, b"a");
    assert!(!storage.get(b"missing", &mut value).expect("reads"));
    let mut cursor = storage.cursor(KeyRange::new(b"b", None), Direction::Forward).expect("cursor");
    let mut page = Page::new();
    assert_eq!(cursor.next_page(&mut page).expect("page"), PageEnd::End);
    assert_eq!(page.iter().map(|(key, _)| key).collect::<Vec<_>>(), [b"b", b"c"]);
    assert_eq!(storage.stats().expect("stats").batches_written, 3);
}

#[test]
fn limits_undeclared_capabilities_and_unknown_options_are_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let storage = open(dir.path()).expect("opens");
    let kind = |result: Result<()>| result.expect_err("refused").kind();
    assert_eq!(kind(put(&*storage, b"", b"")), ErrorKind::InvalidKey);
    assert_eq!(kind(put(&*storage, &[1; 512], b"")), ErrorKind::KeyTooLarge);
    assert_eq!(kind(storage.snapshot().map(drop)), ErrorKind::Unsupported);
    let reverse = storage.cursor(KeyRange::ALL, Direction::Reverse).map(drop);
    assert_eq!(kind(reverse), ErrorKind::Unsupported);
    let synced = storage.write(&WriteBatch::new(), Durability::Synced);
    assert_eq!(kind(synced), ErrorKind::Unsupported);
    assert_eq!(kind(storage.flush(Durability::Synced)), ErrorKind::Unsupported);
    let plugins = load::linked().expect("linked plugins are sound");
    let unmade = dir.path().join("unmade");
    let read_only = plugins[0].open_storage(&unmade, "", OpenMode::ReadOnly).map(drop);
    assert_eq!(kind(read_only), ErrorKind::Unsupported);
    assert!(!unmade.exists());
    let error = plugins[0].check_storage_config("cash_bytes = 1").expect_err("unknown key");
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("cash_bytes") && error.to_string().contains("cache_bytes"));
}

#[test]
fn a_directory_is_locked_until_its_last_cursor_is_gone() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let storage = open(dir.path()).expect("opens");
    assert_eq!(open(dir.path()).map(drop).expect_err("in use").kind(), ErrorKind::Locked);
    let cursor = storage.cursor(KeyRange::ALL, Direction::Forward).expect("cursor");
    assert_eq!(storage.close().expect_err("a cursor lives").kind(), ErrorKind::Busy);
    drop(storage);
    assert_eq!(open(dir.path()).map(drop).expect_err("in use").kind(), ErrorKind::Locked);
    drop(cursor);
    let storage = open(dir.path()).expect("free again");
    storage.close().expect("closes");
    assert_eq!(put(&*storage, b"a", b"").expect_err("closed").kind(), ErrorKind::Closed);
}

#[test]
fn a_panic_is_an_error_and_poisons_the_storage() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let storage = open(dir.path()).expect("opens");
    let mut value = ByteBuf::new();
    let error = storage.get(b"panic", &mut value).expect_err("panics");
    assert_eq!(error.kind(), ErrorKind::PluginPanicked);
    assert!(error.to_string().contains("asked for the key that panics"), "{error}");
    assert_eq!(storage.get(b"a", &mut value).expect_err("poisoned").kind(), ErrorKind::Poisoned);
}
