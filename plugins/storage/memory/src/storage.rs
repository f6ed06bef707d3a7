//! The live tree.

use crate::config::MemoryConfig;
use crate::error;
use crate::image::{self, IMAGE_FILE};
use crate::snapshot::{self, MemorySnapshot};
use crate::tree::Tree;
use parking_lot::{Mutex, RwLock};
use std::fs;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::prelude::*;

/// Memory of one entry beside its bytes: its counts, the pointer to it, its head, and a share of a node.
const ENTRY_OVERHEAD_BYTES: u64 = 100;

const CAPABILITIES: Capabilities = Capabilities::new()
    .native(&[
        Capability::Checkpoint,
        Capability::Verify,
        Capability::ReadOnlyOpen,
        Capability::Snapshot,
        Capability::ReverseCursor,
        Capability::MultiGet,
        Capability::Checksums,
    ])
    .simulated(&[Capability::DeleteRange]);

/// A storage whose content is in memory.
#[derive(Debug)]
pub struct MemoryStorage {
    live: RwLock<Live>,
    quota_bytes: Option<u64>,
    mode: OpenMode,
    path: PathBuf,
    /// The [`Live::changes`] that the image on disk holds. Locked while an image is written.
    saved: Mutex<u64>,
}

#[derive(Debug, Clone, Default)]
struct Live {
    tree: Tree,
    /// Bytes of keys and values.
    bytes: u64,
    /// Batches applied since open.
    changes: u64,
}

impl StorageFactory for MemoryStorage {
    type Config = MemoryConfig;

    fn declared_capabilities() -> Capabilities {
        CAPABILITIES
    }

    fn check(config: &MemoryConfig) -> Result<()> {
        config.check()
    }

    fn open(dir: &Path, config: MemoryConfig, mode: OpenMode) -> Result<Self> {
        let path = dir.join(IMAGE_FILE);
        let live = match fs::read(&path) {
            Ok(bytes) => Live::from(image::parse(&path, &bytes)?),
            Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => {
                if mode != OpenMode::Create {
                    let refused = "the directory holds no image of a memory storage";
                    return Err(Error::new(ErrorKind::NotFound, "open", refused)
                        .with("path", path.display()));
                }
                image::write(dir, &Tree::default())?;
                Live::default()
            }
            Err(failed) => return Err(error::io("open", &path, failed)),
        };
        let quota_bytes = config.quota_bytes.map(|quota| quota.0);
        Ok(Self { live: RwLock::new(live), quota_bytes, mode, path, saved: Mutex::new(0) })
    }
}

impl StorageBackend for MemoryStorage {
    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        Ok(snapshot::get(&self.live.read().tree, key, value))
    }

    fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        snapshot::multi_get(&self.live.read().tree, keys, values);
        Ok(())
    }

    /// Changes the tree in place under its lock: readers see it before or after. With a quota it keeps a clone to go back to,
    /// which makes the tree copy the nodes that the batch changes.
    fn write(&self, batch: &WriteBatch, _: Durability) -> Result<()> {
        let mut live = self.live.write();
        let before = self.quota_bytes.map(|quota| (quota, live.clone()));
        live.apply(batch);
        let Some((quota, before)) = before else { return Ok(()) };
        let wanted = live.bytes;
        // A batch that frees space is welcome above the quota too.
        if wanted <= quota || wanted <= before.bytes {
            return Ok(());
        }
        *live = before;
        Err(Error::new(
            ErrorKind::QuotaFull,
            "write",
            "the batch would fill the storage above its quota; delete something or raise quota_bytes",
        )
        .with("quota_bytes", quota)
        .with("wanted_bytes", wanted))
    }

    fn snapshot(&self) -> Result<Box<dyn StorageSnapshot>> {
        Ok(Box::new(MemorySnapshot(self.live.read().tree.clone())))
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(snapshot::cursor(self.live.read().tree.clone(), range, direction))
    }

    /// Writes the image, whatever the durability: there is no cheaper way out of the process.
    fn flush(&self, _: Durability) -> Result<()> {
        let mut saved = self.saved.lock();
        let live = self.live.read().clone();
        if *saved != live.changes {
            let dir = self.path.parent().expect("the path was joined to a directory");
            image::write(dir, &live.tree)?;
            *saved = live.changes;
        }
        Ok(())
    }

    fn stats(&self) -> Result<StorageStats> {
        let (keys, bytes) = {
            let live = self.live.read();
            (live.tree.len() as u64, live.bytes)
        };
        let image = fs::metadata(&self.path).map_err(|e| error::io("stats", &self.path, e))?;
        Ok(StorageStats {
            keys: Some(keys),
            disk_bytes: Some(image.len()),
            memory_bytes: Some(bytes + keys * ENTRY_OVERHEAD_BYTES),
            backend: [("content_bytes".to_owned(), bytes)].into(),
            ..StorageStats::default()
        })
    }

    fn checkpoint(&self, dir: &Path) -> Result<()> {
        fs::create_dir(dir).map_err(|e| error::io("checkpoint", dir, e))?;
        let tree = self.live.read().tree.clone();
        image::write(dir, &tree)
    }

    /// Checks the image on disk against its checksum, and the tree against its count of bytes.
    fn verify(&self) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let bytes = fs::read(&self.path).map_err(|e| error::io("verify", &self.path, e))?;
        if let Err(problem) = image::parse(&self.path, &bytes) {
            report.problems.push(problem.to_string());
        }
        let live = self.live.read().clone();
        let recounted = Live::from(live.tree.clone());
        report.checked = live.tree.len() as u64;
        if recounted.bytes != live.bytes {
            report
                .problems
                .push(format!("{} bytes of content, {} counted", recounted.bytes, live.bytes));
        }
        Ok(report)
    }
}

impl Drop for MemoryStorage {
    /// A storage that is dropped without `close` is kept like a closed one where that is possible; a failure has no one to go
    /// to, and the image before it is then the one that stays.
    fn drop(&mut self) {
        if self.mode != OpenMode::ReadOnly {
            let _ = self.flush(Durability::Synced);
        }
    }
}

impl From<Tree> for Live {
    fn from(tree: Tree) -> Self {
        let entries = tree.ascending(KeyRange::ALL);
        let bytes = entries.map(|(key, value)| (key.len() + value.len()) as u64).sum();
        Self { tree, bytes, changes: 0 }
    }
}

impl Live {
    fn apply(&mut self, batch: &WriteBatch) {
        for operation in batch.iter() {
            match operation {
                Operation::Put { key, value } => self.put(key, value),
                Operation::Delete { key } => self.delete(key),
                Operation::DeleteRange { range } => self.delete_range(range),
            }
        }
        self.changes += 1;
    }

    fn put(&mut self, key: &[u8], value: &[u8]) {
        self.bytes += value.len() as u64;
        match self.tree.insert(key, value) {
            Some(before) => self.bytes -= before as u64,
            None => self.bytes += key.len() as u64,
        }
    }

    fn delete(&mut self, key: &[u8]) {
        if let Some(before) = self.tree.remove(key) {
            self.bytes -= (key.len() + before) as u64;
        }
    }

    fn delete_range(&mut self, range: KeyRange<'_>) {
        let inside = self.tree.ascending(range);
        let keys: Vec<Vec<u8>> = inside.map(|(key, _)| key.to_vec()).collect();
        keys.iter().for_each(|key| self.delete(key));
    }
}
