//! The mark of a data directory whose content is still being brought in.
//!
//! Import, conversion and restoring write into a directory for a long time and know only at the end that everything is there and
//! right. Until then the directory has a file that says what is being done, and opening it as a node's is refused.

use super::manifest::sync_dir;
use std::fs::File;
use std::io::{ErrorKind as IoKind, Read, Write};
use std::path::Path;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// The file of a data directory that says that its content is not whole, and what was bringing it in.
pub const UNFINISHED_FILE: &str = "unfinished";

const TEXT_BYTES_MAX: u64 = 4 << 10;

/// What is bringing in the content of the data directory `dir` and has not finished, in words; `None` for a whole directory and for
/// none at all.
///
/// # Errors
/// `Io`, `PermissionDenied`.
pub fn unfinished(dir: &Path) -> Result<Option<String>> {
    let failed = |error| Error::io("read the mark of an unfinished directory", error);
    let file = match File::open(dir.join(UNFINISHED_FILE)) {
        Err(error) if matches!(error.kind(), IoKind::NotFound | IoKind::NotADirectory) => {
            return Ok(None);
        }
        file => file.map_err(failed)?,
    };
    let mut text = Vec::new();
    file.take(TEXT_BYTES_MAX).read_to_end(&mut text).map_err(failed)?;
    Ok(Some(String::from_utf8_lossy(&text).trim().to_owned()))
}

/// Refuses a directory whose content is not whole.
pub(super) fn check_finished(dir: &Path) -> Result<()> {
    let Some(what) = unfinished(dir)? else { return Ok(()) };
    let refused = format!(
        "the data directory is not whole: {what} has not finished; run it again to finish it, or remove the directory"
    );
    Err(Error::new(ErrorKind::FormatMismatch, "open", refused).with("dir", dir.display()))
}

/// Marks `dir`; on disk when it returns.
pub(crate) fn mark_unfinished(dir: &Path, what: &str) -> Result<()> {
    let write = || {
        let mut file = File::create(dir.join(UNFINISHED_FILE))?;
        file.write_all(what.as_bytes())?;
        file.sync_all()?;
        sync_dir(dir)
    };
    write().map_err(|error| Error::io("mark directory as unfinished", error))
}

/// Takes the mark off `dir`; on disk when it returns.
pub(crate) fn mark_finished(dir: &Path) -> Result<()> {
    std::fs::remove_file(dir.join(UNFINISHED_FILE))
        .and_then(|()| sync_dir(dir))
        .map_err(|error| Error::io("mark directory as whole", error))
}
