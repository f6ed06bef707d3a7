//! Checkpoints of a whole data directory: manifest and store.

use super::manifest::{parent_dir, sync_dir};
use super::{Manifest, STORE_DIR};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use supervm_plugin_sdk::{Error, ErrorKind, Result, StorageBackend};

/// Writes `backend`'s content and its manifest to `target`: complete or absent.
///
/// IMPORTANT: the store, then its manifest, then the directory's name; each is on disk before the next. The plugin syncs
/// its own files.
pub(super) fn write(
    backend: &dyn StorageBackend,
    manifest: &Manifest,
    target: &Path,
) -> Result<()> {
    let io = |error| Error::io("checkpoint", error);
    let refused = |message| Err(Error::new(ErrorKind::InvalidArgument, "checkpoint", message));
    let Some(name) = target.file_name() else {
        return refused("the target has no name; name a directory that does not exist");
    };
    if target.symlink_metadata().is_ok() {
        return refused("the target exists; name a directory that does not");
    }
    let parent = parent_dir(target);
    fs::create_dir_all(parent).map_err(io)?;
    let prefix = format!(".{}.partial-", name.to_string_lossy());
    let partial = tempfile::Builder::new()
        .prefix(&prefix)
        .permissions(Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .map_err(io)?;
    backend.checkpoint(&partial.path().join(STORE_DIR))?;
    manifest.create(partial.path())?;
    sync_dir(partial.path()).map_err(io)?;
    // Taking the place of an empty directory that appeared meanwhile harms nobody; a full one is refused by the system.
    fs::rename(partial.path(), target).map_err(io)?;
    // The name is gone; what has it next is not ours to remove.
    let _ = partial.keep();
    sync_dir(parent).map_err(io)
}
