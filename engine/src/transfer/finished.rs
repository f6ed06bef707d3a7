//! Storages whose latest values are those of the newest version.

use crate::layout::Meta;
use crate::storage::Rows;
use supervm_plugin_sdk::{Error, ErrorKind, KeyRange, Result};

/// Refuses a storage in the middle of a commit of several batches, for who reads the latest values as they lie there. `rows` gives the entries of a
/// range, of the moment of `meta`.
///
/// # Errors
/// `Busy`; what `rows` fails with.
pub(super) fn check_finished(
    meta: &Meta,
    operation: &'static str,
    rows: impl FnOnce(KeyRange<'_>) -> Result<Rows>,
) -> Result<()> {
    if !meta.has_unfinished_commit(rows)? {
        return Ok(());
    }
    let refused = "a commit of several batches is not finished; try again when it is, or, when a crash interrupted it, commit anything to the directory, which rolls it back first";
    Err(Error::new(ErrorKind::Busy, operation, refused).with("last_version", meta.last_version))
}
