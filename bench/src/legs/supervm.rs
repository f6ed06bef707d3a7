//! A backend of SuperVM, used as the engine uses it: buffers are reused, a scan reads page by page.

use crate::backend::Dir;
use crate::data::Put;
use crate::leg::Leg;
use std::sync::Arc;
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::prelude::*;

/// A storage of a plugin. Its options are the backend's defaults.
#[derive(Debug)]
pub struct SupervmLeg {
    storage: Box<dyn StorageBackend>,
    value: ByteBuf,
    values: Values,
    page: Page,
    batch: WriteBatch,
    // Dropped after the storage that is in it.
    dir: Arc<Dir>,
}

impl SupervmLeg {
    /// Opens the storage in `dir`.
    pub fn open(plugin: &Plugin, dir: Arc<Dir>, mode: OpenMode) -> Self {
        let storage = plugin.open_storage(dir.path(), "", mode).expect("the image opens");
        let (value, values) = (ByteBuf::new(), Values::new());
        Self { storage, value, values, page: Page::new(), batch: WriteBatch::new(), dir }
    }

    /// Closes the storage, with nothing left to be tidied up in the background, and leaves its directory.
    pub fn close(self) -> Arc<Dir> {
        if self.storage.capabilities().has(Capability::Compact) {
            self.storage.compact(KeyRange::ALL).expect("compact");
        }
        self.storage.close().expect("nothing else uses the storage");
        self.dir
    }
}

impl Leg for SupervmLeg {
    #[inline]
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let found = self.storage.get(key, &mut self.value).expect("get");
        found.then(|| read(&self.value))
    }

    fn multi_get(&mut self, keys: &[&[u8]], read: impl FnMut(Option<&[u8]>)) {
        self.values.clear();
        self.storage.multi_get(keys, &mut self.values).expect("multi_get");
        self.values.iter().for_each(read);
    }

    fn scan(&mut self, range: KeyRange<'_>, mut read: impl FnMut(&[u8], &[u8])) {
        let mut cursor = self.storage.cursor(range, Direction::Forward).expect("cursor");
        loop {
            self.page.clear();
            let end = cursor.next_page(&mut self.page).expect("next_page");
            self.page.iter().for_each(|(key, value)| read(key, value));
            if end == PageEnd::End {
                return;
            }
        }
    }

    fn write(&mut self, batch: &[Put]) {
        self.batch.clear();
        batch.iter().for_each(|put| self.batch.put(&put.key, &put.value));
        self.storage.write(&self.batch, Durability::Buffered).expect("write");
    }
}
