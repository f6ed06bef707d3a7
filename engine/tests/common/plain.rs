//! A backend with nothing that is optional: get, batches without ranges, forward cursors. Its content ends with the
//! process.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use supervm_plugin_sdk::prelude::*;

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Debug, Default)]
pub(crate) struct PlainStorage {
    map: Mutex<Arc<Map>>,
    slow: bool,
    /// Where a file is written when the storage is dropped.
    lingers_in: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PlainConfig {
    /// Fail to open.
    fail: bool,
    /// Leave a file in the directory.
    litter: bool,
    /// Remove the data directory's manifest while opening, as an opener does that failed at this moment.
    unbind: bool,
    /// Let cursors take their time, for other threads to come in between.
    slow: bool,
    /// Go on writing until the last handle is gone, as a database does that compacts in the background.
    lingers: bool,
}

impl StorageFactory for PlainStorage {
    type Config = PlainConfig;

    fn declared_capabilities() -> Capabilities {
        Capabilities::new()
    }

    fn open(dir: &Path, config: PlainConfig, _: OpenMode) -> Result<Self> {
        if config.litter {
            std::fs::write(dir.join("data"), b"data").unwrap();
        }
        if config.unbind {
            std::fs::remove_file(dir.with_file_name("supervm.toml")).unwrap();
        }
        if config.fail {
            return Err(Error::new(ErrorKind::Io, "open", "told to fail"));
        }
        let lingers_in = config.lingers.then(|| dir.to_owned());
        Ok(Self { map: Mutex::default(), slow: config.slow, lingers_in })
    }
}

impl Drop for PlainStorage {
    fn drop(&mut self) {
        if let Some(dir) = &self.lingers_in {
            std::fs::create_dir_all(dir).unwrap();
            std::fs::write(dir.join("compacted"), b"late").unwrap();
        }
    }
}

impl StorageBackend for PlainStorage {
    fn capabilities(&self) -> Capabilities {
        Self::declared_capabilities()
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        let map = self.map.lock().unwrap().clone();
        Ok(map.get(key).inspect(|found| value.set(found)).is_some())
    }

    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<()> {
        let mut map = self.map.lock().unwrap();
        let map = Arc::make_mut(&mut map);
        for operation in batch.iter() {
            match operation {
                Operation::Put { key, value } => drop(map.insert(key.into(), value.into())),
                Operation::Delete { key } => drop(map.remove(key)),
                Operation::DeleteRange { .. } => panic!("a range reached a backend without ranges"),
            }
        }
        Ok(())
    }

    fn cursor(&self, range: KeyRange<'_>, _: Direction) -> Result<Box<dyn Cursor>> {
        let map = self.map.lock().unwrap().clone();
        let end = range.end.map(<[u8]>::to_vec);
        Ok(Box::new(PlainCursor { map, next: range.start.to_vec(), end, slow: self.slow }))
    }

    fn flush(&self, _: Durability) -> Result<()> {
        Ok(())
    }

    fn stats(&self) -> Result<StorageStats> {
        Ok(StorageStats::default())
    }
}

struct PlainCursor {
    map: Arc<Map>,
    next: Vec<u8>,
    end: Option<Vec<u8>>,
    slow: bool,
}

impl Cursor for PlainCursor {
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        if self.slow {
            thread::sleep(Duration::from_millis(1));
        }
        let range = self.map.range(self.next.clone()..);
        for (key, value) in
            range.take_while(|(key, _)| self.end.as_ref().is_none_or(|end| *key < end))
        {
            self.next = [key, &[0][..]].concat();
            if !page.push(key, value) {
                return Ok(PageEnd::More);
            }
        }
        Ok(PageEnd::End)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.next = key.to_vec();
        Ok(())
    }
}
