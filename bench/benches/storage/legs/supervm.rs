//! A backend of SuperVM, used as the engine uses it: buffers are reused, a scan reads page by page.

use crate::data::Put;
use crate::leg::Leg;
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::prelude::*;
use tempfile::TempDir;

pub(crate) struct SupervmLeg {
    storage: Box<dyn StorageBackend>,
    value: ByteBuf,
    page: Page,
    batch: WriteBatch,
    // Dropped after the storage that is in it.
    dir: TempDir,
}

impl SupervmLeg {
    pub(crate) fn open(plugin: &Plugin, dir: TempDir, mode: OpenMode) -> Self {
        let storage = plugin.open_storage(dir.path(), "", mode).expect("the image opens");
        let (value, page, batch) = (ByteBuf::new(), Page::new(), WriteBatch::new());
        Self { storage, value, page, batch, dir }
    }

    /// Closes the storage and leaves its directory.
    pub(crate) fn close(self) -> TempDir {
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

    fn scan(&mut self, mut read: impl FnMut(&[u8], &[u8])) {
        let mut cursor = self.storage.cursor(KeyRange::ALL, Direction::Forward).expect("cursor");
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
