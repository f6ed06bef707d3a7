//! Bounds of what a transfer writes: the operator's, and the disk's.

use rustix::fs::statvfs;
use std::path::Path;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Maximum bytes that a snapshot file may unpack to unless said: 1 TiB.
pub const SNAPSHOT_BYTES_MAX: u64 = 1 << 40;

/// Refuses more than `bytes_max` of entries.
///
/// # Errors
/// `QuotaFull`.
pub(super) fn check_bytes_max(bytes: u64, bytes_max: u64) -> Result<()> {
    if bytes <= bytes_max {
        return Ok(());
    }
    let refused = format!(
        "the file unpacks to {bytes} bytes or more, at most {bytes_max} are allowed; allow more if you trust it"
    );
    Err(Error::new(ErrorKind::QuotaFull, "read snapshot file", refused))
}

/// Refuses `bytes` that the file system of `dir` has no room for. `dir` need not exist.
///
/// # Errors
/// `NoSpace` with both figures; `Io`.
pub(super) fn check_free(dir: &Path, bytes: u64) -> Result<()> {
    check_room(dir, bytes, free_bytes(dir)?)
}

fn check_room(dir: &Path, bytes: u64, free: u64) -> Result<()> {
    if bytes <= free {
        return Ok(());
    }
    let refused = format!(
        "{bytes} bytes are to be written where {free} are free; make room or name a directory on another file system"
    );
    Err(Error::new(ErrorKind::NoSpace, "transfer", refused).with("dir", dir.display()))
}

/// Bytes that may still be written to the file system of `dir`, or of its nearest ancestor that exists.
fn free_bytes(dir: &Path) -> Result<u64> {
    let here = std::env::current_dir();
    let here = here.map_err(|error| Error::io("look for free space", error))?;
    let dir = here.join(dir);
    let existing = dir.ancestors().find(|dir| dir.exists()).unwrap_or(&dir);
    let found = statvfs(existing).map_err(|error| {
        Error::io("look for free space", error.into()).with("dir", existing.display())
    })?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_with_both_figures() {
        let dir = Path::new("/somewhere");
        assert!(check_room(dir, 5, 5).is_ok());
        let error = check_room(dir, 134_000_000, 4_096).expect_err("it does not fit");
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        let text = error.to_string();
        assert!(text.contains("134000000") && text.contains("4096"), "{text}");
        assert!(check_free(&std::env::temp_dir().join("not/there/yet"), 1).is_ok());
        assert!(check_free(&std::env::temp_dir(), u64::MAX).is_err());
    }
}
