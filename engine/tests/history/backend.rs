//! The backends that the rules are tried on.

use std::path::Path;
use supervm_engine::config::StorageConfig;
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{Capability, Durability};

pub(crate) const BACKENDS: [&str; 6] = ["memory", "plain", "rocksdb", "lmdb", "leveldb", "sqlite"];

/// Those that are linked in; their content ends with the process.
const LINKED: [&str; 2] = ["memory", "plain"];

#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) name: &'static str,
    plugin: Plugin,
}

impl Backend {
    /// The backend, or why it cannot be used.
    pub(crate) fn find(name: &'static str) -> Result<Self, String> {
        crate::plugin::find(name).map(|plugin| Self { name, plugin })
    }

    pub(crate) fn open(&self, dir: &Path) -> Storage {
        let config = StorageConfig { dir: dir.to_owned(), ..StorageConfig::default() };
        let options = OpenOptions::from(&config);
        let options = OpenOptions { durability: Some(Durability::Buffered), ..options };
        Storage::open(&self.plugin, options).unwrap()
    }

    pub(crate) fn lacks_reverse_cursors(&self) -> Option<String> {
        self.lacks(Capability::ReverseCursor)
    }

    pub(crate) fn lacks_snapshots(&self) -> Option<String> {
        self.lacks(Capability::Snapshot)
    }

    pub(crate) fn has_snapshots(&self) -> bool {
        self.lacks_snapshots().is_none()
    }

    /// A killed process leaves nothing.
    pub(crate) fn forgets(&self) -> Option<String> {
        LINKED.contains(&self.name).then(|| "its content ends with the process".to_owned())
    }

    /// Even a handle that is closed leaves nothing.
    pub(crate) fn forgets_plainly(&self) -> Option<String> {
        (self.name == "plain").then(|| "its content ends with its handle".to_owned())
    }

    fn lacks(&self, capability: Capability) -> Option<String> {
        let is_declared =
            self.plugin.descriptor().capabilities.is_some_and(|declared| declared.has(capability));
        (!is_declared).then(|| format!("{} does not declare {capability}", self.name))
    }
}
