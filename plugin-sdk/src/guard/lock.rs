//! The data directory: whether it is there, and who has it open.

use crate::{Capabilities, Capability, Error, ErrorKind, OpenMode, Result};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The file in a data directory whose lock says that the directory is in use (clause 18).
pub const LOCK_FILE: &str = "supervm.lock";

/// A locked file. The lock ends when it is dropped, or with the process.
pub(super) struct DirLock {
    file: File,
    /// The file's path, when it was made for this lock.
    made: Option<PathBuf>,
}

impl DirLock {
    /// Locks the file at `path`, which is made when it is missing.
    ///
    /// # Errors
    /// `Locked` when somebody has it; `Io`, `PermissionDenied`, `NoSpace`.
    pub(super) fn exclusive(path: &Path) -> Result<Self> {
        let failed = |error| Error::io("lock", error);
        let open = |new| File::options().write(true).create_new(new).open(path);
        let (file, made) = match open(true) {
            Ok(file) => (file, Some(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match open(false) {
                // Who made the file has removed it in between: it was in use a moment ago.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(in_use()),
                file => (file.map_err(failed)?, None),
            },
            Err(error) => return Err(failed(error)),
        };
        locked(file.try_lock())?;
        // Who made the file may have removed it after it was opened here; its lock then says nothing.
        let ids = file.metadata().and_then(|opened| Ok((opened.ino(), fs::metadata(path)?.ino())));
        if !ids.is_ok_and(|(opened, there)| opened == there) {
            return Err(in_use());
        }
        Ok(Self { file, made })
    }

    /// Lets go of a directory that could not be opened, without leaving a file that was not there before (clause 20).
    pub(super) fn undo(self) {
        if let Some(path) = &self.made {
            // A lock file that stays is harmless.
            let _ = fs::remove_file(path);
        }
    }
}

impl Drop for DirLock {
    /// Unlocks instead of only closing: a child process that is just being started has a copy of the descriptor until it runs its
    /// program, and the lock would last as long.
    fn drop(&mut self) {
        // Closing is what is left when it fails.
        let _ = self.file.unlock();
    }
}

/// Makes `dir` in the mode that allows it.
///
/// # Errors
/// `NotFound` when it is missing in a mode that does not; `Io`, `PermissionDenied`, `NoSpace`.
pub(super) fn prepare_dir(dir: &Path, mode: OpenMode) -> Result<()> {
    if mode == OpenMode::Create {
        return fs::create_dir_all(dir).map_err(|error| Error::io("open", error));
    }
    if dir.is_dir() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::NotFound, "open", "there is no such directory"))
}

/// Locks `dir` against other handles and processes, as far as `mode` asks for it.
///
/// # Errors
/// `Locked`; `Io`, `PermissionDenied`, `NoSpace`.
pub(super) fn lock_dir(
    dir: &Path,
    mode: OpenMode,
    capabilities: &Capabilities,
) -> Result<Option<DirLock>> {
    let path = dir.join(LOCK_FILE);
    if mode != OpenMode::ReadOnly {
        return DirLock::exclusive(&path).map(Some);
    }
    // A reader makes no file: without one, nobody has ever written here.
    if capabilities.has(Capability::MultiProcessReaders) || !path.exists() {
        return Ok(None);
    }
    let file = File::open(&path).map_err(|error| Error::io("lock", error))?;
    locked(file.try_lock_shared())?;
    Ok(Some(DirLock { file, made: None }))
}

fn locked(outcome: std::result::Result<(), TryLockError>) -> Result<()> {
    match outcome {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(in_use()),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", error)),
    }
}

fn in_use() -> Error {
    let message = "the directory is in use by another handle or process; close it first";
    Error::new(ErrorKind::Locked, "open", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lock_is_let_go_although_a_copy_of_its_descriptor_lives() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(LOCK_FILE);
        let lock = DirLock::exclusive(&path).expect("free");
        let copy = lock.file.try_clone().expect("a copy");
        assert_eq!(
            DirLock::exclusive(&path).map(drop).map_err(|e| e.kind()),
            Err(ErrorKind::Locked)
        );
        drop(lock);
        assert!(DirLock::exclusive(&path).is_ok());
        drop(copy);
    }
}
