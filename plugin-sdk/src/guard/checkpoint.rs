//! Checkpoints that are complete or absent (clause 22).
//!
//! A copy of `dir/target` is written to `dir/.target.partial/copy`, synced, and renamed. Whoever writes holds the lock of
//! `dir/.target.partial/supervm.lock`, so that two never write the same copy, and what a killed process left behind is known to
//! be nobody's and is removed by the next one.

use super::lock::{DirLock, LOCK_FILE};
use crate::{Error, ErrorKind, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Runs `write` on a temporary name, syncs the result and renames it to `target`, which must not exist.
///
/// # Errors
/// `InvalidArgument` when `target` exists or has no name; `Busy` when another checkpoint to it is being written; what `write`
/// fails with; `Io`, `NoSpace`, `PermissionDenied`.
pub(super) fn write_beside(target: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let name = target.file_name().ok_or_else(|| {
        let message = "the target has no file name; name a directory to be made";
        Error::new(ErrorKind::InvalidArgument, "checkpoint", message)
    })?;
    if fs::symlink_metadata(target).is_ok() {
        return Err(exists());
    }
    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".partial");
    let partial = parent.join(hidden);
    fs::create_dir_all(&partial).map_err(failed)?;
    let lock = DirLock::exclusive(&partial.join(LOCK_FILE)).map_err(|error| {
        let kind = error.kind();
        let busy = "another checkpoint to this target is being written; wait for it";
        if kind == ErrorKind::Locked {
            Error::new(ErrorKind::Busy, "checkpoint", busy)
        } else {
            error
        }
    })?;
    let copy = partial.join("copy");
    let written = remove(&copy)
        .and_then(|()| write(&copy))
        .and_then(|()| sync_tree(&copy).map_err(failed))
        .and_then(|()| rename_new(&copy, target))
        .and_then(|()| sync_path(parent).map_err(failed));
    // The write's own error is the one to report; the lock's file goes with the directory, before the lock.
    let _ = fs::remove_dir_all(&partial);
    drop(lock);
    written
}

fn failed(error: io::Error) -> Error {
    Error::io("checkpoint", error)
}

fn exists() -> Error {
    let message = "the target exists; name a path that does not";
    Error::new(ErrorKind::InvalidArgument, "checkpoint", message)
}

fn remove(copy: &Path) -> Result<()> {
    match fs::remove_dir_all(copy) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
        _ => Ok(()),
    }
}

/// As `fs::rename`, which would replace an empty directory that was made meanwhile; this does not.
fn rename_new(from: &Path, to: &Path) -> Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => Err(exists()),
        // Some network and user-space file systems do not have it; replacing an empty directory is the lesser evil there.
        Err(Errno::INVAL | Errno::NOSYS) => fs::rename(from, to).map_err(failed),
        Err(error) => Err(failed(error.into())),
    }
}

fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            sync_path(&entry.path())?;
        }
    }
    sync_path(dir)
}

fn sync_path(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
