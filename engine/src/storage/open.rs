//! Opening a data directory.
//!
//! The steps of the first opening, in this order, so that a process killed between any two of them leaves a directory
//! that the next opening accepts or refuses for a reason, and never one whose data has no owner:
//!
//! 1. What can be refused without touching the disk is refused: options, required capabilities, chain id.
//! 2. The directory is made.
//! 3. The manifest is written (see [`Manifest`]). Killed before: an empty directory. Killed after: a manifest without
//!    data, which the same backend opens.
//! 4. The plugin opens `store/`, and locks it. Killed within: the plugin's own recovery.
//! 5. The manifest is read again. An opener whose plugin failed takes back its manifest while the store is empty and it
//!    holds the store's lock; whoever got past it in between finds that out here, under the same lock, and writes the
//!    manifest again.
//!
//! 6. The directory is marked as initialized. From then on the plugin is told to expect its data, so that a file that vanished is
//!    an error and not the beginning of an empty chain. Killed before: the next opening marks it.
//!
//! Data in `store/` without a manifest is nobody's: it is refused, and never wiped.

use super::manifest::{MANIFEST_FILE, sync_dir};
use super::{Manifest, Storage, limits, unfinished};
use crate::config::StorageConfig;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{
    Capability, Durability, Error, ErrorKind, LOCK_FILE, OpenMode, PluginKind, Result,
    StorageBackend,
};

/// What the plugin gets as its own directory, inside the data directory.
pub const STORE_DIR: &str = "store";
/// Where compiled contracts are kept, inside the data directory.
pub const MODULES_DIR: &str = "modules";

/// The file whose presence says that the backend has made its storage once.
const INITIALIZED_FILE: &str = "initialized";

/// What to open, and how.
#[derive(Debug, Clone, Copy)]
pub struct OpenOptions<'a> {
    /// The data directory.
    pub dir: &'a Path,
    /// The chain whose state it holds; at most [`CHAIN_ID_MAX`](crate::config::CHAIN_ID_MAX).
    pub chain_id: u64,
    /// The backend's own options.
    pub options: &'a toml::Table,
    /// Make, expect or only read it.
    pub mode: OpenMode,
    /// What the backend must be able to do.
    pub require: &'a [Capability],
    /// How long a write lasts when [`Storage::set`], [`Storage::delete`] or [`Storage::write_batch`] returns; `None` =
    /// the strongest that the backend declares.
    pub durability: Option<Durability>,
}

impl<'a> From<&'a StorageConfig> for OpenOptions<'a> {
    /// As the configuration says, making the directory when it is missing.
    fn from(config: &'a StorageConfig) -> Self {
        Self {
            dir: &config.dir,
            chain_id: config.chain_id,
            options: &config.options,
            mode: OpenMode::Create,
            require: &config.require,
            durability: config.durability,
        }
    }
}

impl Storage {
    /// Opens the data directory with `plugin`.
    ///
    /// # Behavior
    /// - `Create` makes a missing directory. When the plugin fails on its first opening, the directory stays free for
    ///   another backend, unless the plugin left something in it.
    /// - `MustExist` and `ReadOnly` create nothing.
    ///
    /// # Errors
    /// `ConfigInvalid` for the options; `Unsupported` for what is no storage plugin, or when it lacks what is required
    /// (with the list) or the durability asked for; `NotFound` when there is no data directory to expect or read;
    /// `FormatMismatch` for the data of another backend, chain or newer build, for data without a manifest, and for a directory into
    /// which an import, a conversion or a restoring has not finished ([`unfinished`](super::unfinished()));
    /// `Corruption` for a damaged manifest and for data that was there and is gone; `Locked` when it is in use; `PermissionDenied`, `Io`, `NoSpace`; what the
    /// plugin refuses.
    pub fn open(plugin: &Plugin, options: OpenOptions<'_>) -> Result<Self> {
        // IMPORTANT: looked at twice. Before, so that an unfinished directory is not touched; after, because the mark may have come
        // in between, and whoever made it waits for the store's lock.
        unfinished::check_finished(options.dir)?;
        let storage = Self::open_unfinished(plugin, options)?;
        unfinished::check_finished(options.dir)?;
        Ok(storage)
    }

    /// As [`open`](Self::open), of a directory whose content may not be whole: for those who bring it in.
    pub(crate) fn open_unfinished(plugin: &Plugin, options: OpenOptions<'_>) -> Result<Self> {
        Opening::new(plugin, options)?.run().map_err(|error| {
            let named = error.context().any(|(name, _)| name == "dir" || name == "path");
            if named { error } else { error.with("dir", options.dir.display()) }
        })
    }
}

struct Opening<'a> {
    plugin: &'a Plugin,
    options: OpenOptions<'a>,
    /// The backend's options as TOML.
    text: String,
    /// What the directory gets when it has no manifest.
    fresh: Manifest,
}

impl<'a> Opening<'a> {
    /// Step 1: refuses what can be refused without touching the disk.
    fn new(plugin: &'a Plugin, options: OpenOptions<'a>) -> Result<Self> {
        let descriptor = plugin.descriptor();
        if descriptor.kind != PluginKind::Storage {
            let refused = format!("plugin \"{}\" is no storage backend", descriptor.name);
            return Err(Error::new(ErrorKind::Unsupported, "open", refused));
        }
        let text = toml::to_string(options.options).map_err(|error| {
            Error::new(ErrorKind::ConfigInvalid, "open", "the options do not serialise")
                .with_source(error)
        })?;
        plugin.check_storage_config(&text)?;
        let declared = descriptor.capabilities.unwrap_or_default();
        limits::check_required(&descriptor.name, &declared, options.require)?;
        limits::durability(&descriptor.name, &declared, options.durability)?;
        let fresh = Manifest::new(descriptor, options.chain_id)?;
        Ok(Self { plugin, options, text, fresh })
    }

    fn run(self) -> Result<Storage> {
        let OpenOptions { dir, mode, .. } = self.options;
        let found = Manifest::read(dir)?;
        if mode == OpenMode::Create && found.is_none() {
            return self.create();
        }
        self.expect(found)?;
        self.open_store(dir.join(INITIALIZED_FILE).exists())
    }

    /// Steps 2 to 5 on a directory without a manifest.
    fn create(self) -> Result<Storage> {
        let dir = self.options.dir;
        create_dir(dir)?;
        let has_data = !store_is_empty(dir).map_err(|error| Error::io("open", error))?;
        // IMPORTANT: the manifest is read after the look at the store. Data of another opener comes after its manifest.
        if has_data && Manifest::read(dir)?.is_none() {
            return Err(Error::new(
                ErrorKind::FormatMismatch,
                "open",
                format!(
                    "there is data in {STORE_DIR}/ but no {MANIFEST_FILE} that says whose; restore the manifest or name another directory"
                ),
            ));
        }
        let (_, created) = self.ensure_manifest()?;
        // Without a manifest a mark is a left-over of a directory that was cleared.
        self.open_store(false).inspect_err(|_| {
            if created {
                take_back(dir);
            }
        })
    }

    /// The directory's manifest, checked; it is written when there is none. `true` when this call wrote it.
    fn ensure_manifest(&self) -> Result<(Manifest, bool)> {
        let dir = self.options.dir;
        loop {
            if let Some(found) = Manifest::read(dir)? {
                self.check(&found)?;
                return Ok((found, false));
            }
            if self.fresh.create(dir)? {
                return Ok((self.fresh.clone(), true));
            }
        }
    }

    fn check(&self, manifest: &Manifest) -> Result<()> {
        manifest.check(self.plugin.descriptor(), self.options.chain_id)
    }

    /// Steps 4 to 6.
    fn open_store(&self, is_initialized: bool) -> Result<Storage> {
        let OpenOptions { dir, mode, require, durability, .. } = self.options;
        let backend = self.open_backend(is_initialized)?;
        let manifest = match mode {
            OpenMode::Create => self.ensure_manifest()?.0,
            OpenMode::MustExist | OpenMode::ReadOnly => self.expect(Manifest::read(dir)?)?,
        };
        let storage = Storage::new(backend, dir.to_owned(), manifest, durability)?;
        // The descriptor says what is possible with some options; the open storage, what is with these.
        limits::check_required(storage.backend_name(), storage.capabilities(), require)?;
        if mode != OpenMode::ReadOnly && !is_initialized {
            mark_initialized(dir).map_err(|error| Error::io("open", error))?;
        }
        Ok(storage)
    }

    fn open_backend(&self, is_initialized: bool) -> Result<Box<dyn StorageBackend>> {
        let store = self.options.dir.join(STORE_DIR);
        if !is_initialized {
            return self.plugin.open_storage(&store, &self.text, self.options.mode);
        }
        let mode = match self.options.mode {
            OpenMode::Create => OpenMode::MustExist,
            mode => mode,
        };
        self.plugin.open_storage(&store, &self.text, mode).map_err(|error| match error.kind() {
            ErrorKind::NotFound => Error::new(
                ErrorKind::Corruption,
                "open",
                format!(
                    "the data in {STORE_DIR}/ is gone; restore it from a checkpoint, or name another directory to begin an empty chain"
                ),
            )
            .with_source(error),
            _ => error,
        })
    }

    fn expect(&self, found: Option<Manifest>) -> Result<Manifest> {
        let Some(manifest) = found else {
            let refused = format!("there is no data directory (no {MANIFEST_FILE})");
            return Err(Error::new(ErrorKind::NotFound, "open", refused));
        };
        self.check(&manifest)?;
        Ok(manifest)
    }
}

fn create_dir(dir: &Path) -> Result<()> {
    if dir.is_symlink() && !dir.exists() {
        let refused = "the data directory is a symbolic link that leads nowhere";
        return Err(Error::new(ErrorKind::NotFound, "open", refused));
    }
    fs::create_dir_all(dir).map_err(|error| Error::io("create data directory", error))
}

fn mark_initialized(dir: &Path) -> io::Result<()> {
    File::create(dir.join(INITIALIZED_FILE))?;
    sync_dir(dir)
}

/// Has no backend written anything into the store? The lock's file is not the backend's.
fn store_is_empty(dir: &Path) -> io::Result<bool> {
    let entries = match fs::read_dir(dir.join(STORE_DIR)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        entries => entries?,
    };
    for entry in entries {
        if entry?.file_name() != LOCK_FILE {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Removes the manifest that this process wrote, when the plugin failed and left nothing.
fn take_back(dir: &Path) {
    let taken_back = try_take_back(dir).map_err(|error| Error::io("take back manifest", error));
    if let Err(error) = taken_back {
        // The plugin's own error is the one to return; a manifest without data does no harm to its own backend.
        tracing::warn!(%error, dir = %dir.display(), "the manifest of a failed opening stays");
    }
}

/// IMPORTANT: the store's lock is held from before the look at the store to after the removal; an opener that got the
/// lock later reads the manifest again. The lock's file stays: a lock on a removed file excludes nobody.
fn try_take_back(dir: &Path) -> io::Result<()> {
    let store = dir.join(STORE_DIR);
    fs::create_dir_all(&store)?;
    let path = store.join(LOCK_FILE);
    let lock = File::options().create(true).truncate(false).write(true).open(&path)?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    // The plugin's half removes the lock's file when it made it and failed; then the lock is on nothing.
    let is_there =
        fs::metadata(&path).map(|there| there.ino()).ok() == Some(lock.metadata()?.ino());
    if !is_there || !store_is_empty(dir)? {
        return Ok(());
    }
    fs::remove_file(dir.join(MANIFEST_FILE))?;
    sync_dir(dir)
}
