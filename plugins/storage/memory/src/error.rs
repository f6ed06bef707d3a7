//! What can be wrong with an image, in the contract's kinds.

use std::path::Path;
use supervm_plugin_sdk::{Error, ErrorKind};

/// An image whose bytes are not those that were written.
pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Error {
    Error::new(ErrorKind::Corruption, "read image", problem).with("path", path.display())
}

/// A file that is no image of a version that this backend reads.
pub(crate) fn foreign(path: &Path, problem: impl Into<String>) -> Error {
    Error::new(ErrorKind::FormatMismatch, "read image", problem).with("path", path.display())
}

/// A failure of the operating system with the image at `path`.
pub(crate) fn io(operation: &'static str, path: &Path, error: std::io::Error) -> Error {
    Error::io(operation, error).with("path", path.display())
}
