//! Data directories as a transfer takes them.

use crate::storage::{Manifest, OpenOptions, STORE_DIR, Storage, sync_dir};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{Capability, Error, ErrorKind, LOCK_FILE, OpenMode, Result};

/// A data directory, and how it is opened.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The backend.
    pub plugin: &'a Plugin,
    /// The data directory.
    pub dir: &'a Path,
    /// The backend's own options.
    pub options: &'a toml::Table,
}

impl<'a> Place<'a> {
    pub(super) fn open_options(&self, chain_id: u64, mode: OpenMode) -> OpenOptions<'a> {
        OpenOptions {
            dir: self.dir,
            chain_id,
            options: self.options,
            mode,
            require: &[],
            durability: None,
        }
    }

    /// The directory's manifest.
    ///
    /// # Errors
    /// `NotFound` when it has none; as [`Manifest::read`].
    pub(super) fn manifest(&self) -> Result<Manifest> {
        Manifest::read(self.dir)?.ok_or_else(|| {
            Error::new(ErrorKind::NotFound, "transfer", "there is no data directory")
                .with("dir", self.dir.display())
        })
    }
}

/// A path beside `path`, hidden, whose name ends in `ending`.
///
/// # Errors
/// `InvalidArgument` when the path has no name.
pub(super) fn beside(path: &Path, ending: &str) -> Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidArgument,
            "transfer",
            "the path has no name; name one that has",
        )
        .with("path", path.display())
    })?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(ending);
    Ok(path.with_file_name(hidden))
}

/// `path` in words that mean the same in a later run, wherever that runs.
pub(super) fn absolute(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Removes a directory and everything in it; no error when there is none.
pub(super) fn remove_dir(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("remove directory", error).with("dir", dir.display()))
        }
        _ => Ok(()),
    }
}

/// A data directory that is read and never changed.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) storage: Storage,
    /// The copy that is read instead, where the backend cannot open without writing.
    copy: Option<PathBuf>,
}

impl Source {
    /// Opens `place` for reading.
    ///
    /// # Behavior
    /// Where the backend does not declare `read_only_open`, its files are copied to `copy` and the copy is opened, so that not one
    /// byte of the source changes.
    pub(super) fn open(place: Place<'_>, copy: &Path) -> Result<Self> {
        let chain_id = place.manifest()?.chain_id;
        let declared = place.plugin.descriptor().capabilities.unwrap_or_default();
        if declared.has(Capability::ReadOnlyOpen) {
            let options = place.open_options(chain_id, OpenMode::ReadOnly);
            return Ok(Self { storage: Storage::open(place.plugin, options)?, copy: None });
        }
        // The directory's own mark and manifest are checked on the copy, which has them too.
        remove_dir(copy)?;
        let copied =
            Self { storage: Self::open_copy(place, copy, chain_id)?, copy: Some(copy.to_owned()) };
        Ok(copied)
    }

    fn open_copy(place: Place<'_>, copy: &Path, chain_id: u64) -> Result<Storage> {
        let opened = copy_locked(place.dir, copy).and_then(|()| {
            let there = Place { dir: copy, ..place };
            Storage::open(place.plugin, there.open_options(chain_id, OpenMode::MustExist))
        });
        opened.inspect_err(|_| {
            // The failure is what is reported; what is left of the copy is removed by the next run.
            let _ = remove_dir(copy);
        })
    }

    /// Ends the reading.
    pub(super) fn close(self) -> Result<()> {
        let Self { storage, copy } = self;
        let closed = storage.close();
        // IMPORTANT: a database may go on writing in the background until its last handle is dropped.
        drop(storage);
        copy.as_deref().map_or(Ok(()), remove_dir).and(closed)
    }
}

/// Copies a data directory while nobody has it open.
fn copy_locked(from: &Path, to: &Path) -> Result<()> {
    let failed = |error| Error::io("copy data directory", error);
    let lock = match File::options().read(true).open(from.join(STORE_DIR).join(LOCK_FILE)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        file => Some(file.map_err(failed)?),
    };
    if let Some(lock) = &lock
        && lock.try_lock().is_err()
    {
        let refused = "the data directory is in use; stop who uses it";
        return Err(Error::new(ErrorKind::Locked, "open", refused).with("dir", from.display()));
    }
    copy_tree(from, to).map_err(failed)?;
    drop(lock);
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    sync_dir(to)
}
