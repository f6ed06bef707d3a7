//! The hash of a library that is not loaded.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Bytes that are read at a time.
const READ_BYTES: usize = 128 << 10;

/// The real path and the sha256 of the library at `path`.
///
/// # Errors
/// `NotFound`, `Io`, `PermissionDenied`; `InvalidArgument` for what is no regular file.
pub(super) fn hash(path: &Path) -> Result<(PathBuf, String)> {
    hash_file(path).map_err(|error| error.with("path", path.display()))
}

fn hash_file(path: &Path) -> Result<(PathBuf, String)> {
    let failed = |error| Error::io("open library", error);
    let real = path.canonicalize().map_err(failed)?;
    // Opening a FIFO would wait for ever.
    if !real.metadata().map_err(failed)?.is_file() {
        let refused = "this is no regular file; name the plugin's shared library";
        return Err(Error::new(ErrorKind::InvalidArgument, "open library", refused));
    }
    let mut hasher = Sha256::new();
    let file = File::open(&real).map_err(failed)?;
    let mut reader = BufReader::with_capacity(READ_BYTES, file);
    loop {
        let bytes = reader.fill_buf().map_err(failed)?;
        if bytes.is_empty() {
            return Ok((real, hex::encode(hasher.finalize())));
        }
        hasher.update(bytes);
        let read = bytes.len();
        reader.consume(read);
    }
}
