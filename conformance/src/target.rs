//! Which backend a run is about.

use crate::oracle::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::{Error, ErrorKind, OpenMode, Result, StorageBackend};

/// A backend with its options: what the suite is run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    source: Source,
    options: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Source {
    Linked(String),
    File(PathBuf),
}

impl Target {
    /// The backend of this name that is linked into the running program.
    pub fn linked(name: impl Into<String>) -> Self {
        Self { source: Source::Linked(name.into()), options: String::new() }
    }

    /// The backend in a shared library.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { source: Source::File(path.into()), options: String::new() }
    }

    /// The same backend with these options, in TOML.
    #[must_use]
    pub fn with_options(self, options: impl Into<String>) -> Self {
        Self { options: options.into(), ..self }
    }

    /// The library's path; `None` for a linked-in backend.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::File(path) => Some(path),
            Source::Linked(_) => None,
        }
    }

    /// Is it another backend than `target`, whatever the options?
    pub(crate) fn is_other_than(&self, target: &Self) -> bool {
        self.source != target.source
    }

    /// The sha256 of the library, in hex; `None` for a linked-in backend.
    ///
    /// # Errors
    /// `NotFound`, `Io`, `PermissionDenied` when the file cannot be read.
    pub fn sha256(&self) -> Result<Option<String>> {
        let read = self.path().map(std::fs::read).transpose();
        let bytes = read.map_err(|error| Error::io("hash library", error))?;
        Ok(bytes.map(|bytes| hex(&Sha256::digest(&bytes))))
    }

    /// Loads the plugin into this process.
    pub(crate) fn load(&self) -> Result<Loaded> {
        let plugin = match &self.source {
            Source::File(path) => load_file(path)?,
            Source::Linked(name) => find_linked(name)?,
        };
        plugin.check_storage_config(&self.options)?;
        Ok(Loaded { plugin, target: self.clone() })
    }
}

/// A plugin in this process.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    pub(crate) plugin: Plugin,
    pub(crate) target: Target,
}

impl Loaded {
    pub(crate) fn open(&self, dir: &Path, mode: OpenMode) -> Result<Box<dyn StorageBackend>> {
        self.plugin.open_storage(dir, &self.target.options, mode)
    }
}

/// Loads a library whose own directory is its plugin directory.
pub(crate) fn load_file(path: &Path) -> Result<Plugin> {
    let root = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    load::library(path, root, None)
}

fn find_linked(name: &str) -> Result<Plugin> {
    let plugins = load::linked()?;
    if let Some(plugin) = plugins.iter().find(|plugin| plugin.descriptor().name == name) {
        return Ok(plugin.clone());
    }
    let names: Vec<_> = plugins.iter().map(|plugin| plugin.descriptor().name.as_str()).collect();
    let available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let refused =
        format!("unknown storage backend \"{name}\"; linked into this program: {available}");
    Err(Error::new(ErrorKind::NotFound, "find backend", refused))
}
