//! `delete_range` on a backend that does not have it: the same batch with a delete for each key that the range removes.
//!
//! What a range removes is what the store holds in it and what the same batch put into it before (clause 6). For the
//! store's part a cursor lists the keys at the moment of the call; the caller keeps other writers out between that moment
//! and the write, so that the result is that of one atomic batch (clause 7).
//!
//! ```text
//! store {a, b, d}   batch: put c, delete_range [b, d), put b   ->   put c, delete b, delete c, put b
//! ```
//!
//! The bound: the batch that results obeys the limits of every batch. A range over more keys than fit is refused with
//! `BatchTooLarge` and nothing is applied.

use super::Rows;
use std::collections::BTreeSet;
use std::ops::Bound;
use supervm_plugin_sdk::{
    Direction, Error, ErrorKind, Limits, Operation, Result, StorageBackend, WriteBatch,
};

/// Does `batch` delete a range?
pub(super) fn occurs_in(batch: &WriteBatch) -> bool {
    batch.iter().any(|operation| matches!(operation, Operation::DeleteRange { .. }))
}

/// `batch` with every range replaced by deletes of the keys that `backend` holds at this moment.
///
/// # Errors
/// `BatchTooLarge` past `limits`; as [`StorageBackend::cursor`] and [`Rows::next`].
pub(super) fn expand(
    batch: &WriteBatch,
    backend: &dyn StorageBackend,
    limits: &Limits,
) -> Result<WriteBatch> {
    let mut expanded = WriteBatch::new();
    let mut put_before = BTreeSet::new();
    for operation in batch.iter() {
        match operation {
            Operation::Put { key, value } => {
                expanded.put(key, value);
                put_before.insert(key);
            }
            Operation::Delete { key } => expanded.delete(key),
            Operation::DeleteRange { range } if range.is_empty() => {}
            Operation::DeleteRange { range } => {
                let mut rows = Rows::new(backend.cursor(range, Direction::Forward)?);
                while let Some((key, _)) = rows.next()? {
                    expanded.delete(key);
                    check_size(&expanded, limits)?;
                }
                let end = range.end.map_or(Bound::Unbounded, Bound::Excluded);
                let bounds = (Bound::Included(range.start), end);
                for key in put_before.range::<[u8], _>(bounds) {
                    expanded.delete(key);
                }
            }
        }
        check_size(&expanded, limits)?;
    }
    Ok(expanded)
}

fn check_size(expanded: &WriteBatch, limits: &Limits) -> Result<()> {
    let fits = expanded.as_bytes().len() as u64 <= limits.batch_bytes_max
        && expanded.len() as u64 <= limits.batch_operations_max;
    if fits {
        return Ok(());
    }
    let refused = format!(
        "this backend deletes a range key by key, and the batch would exceed {} operations or {} bytes; delete smaller ranges",
        limits.batch_operations_max, limits.batch_bytes_max
    );
    Err(Error::new(ErrorKind::BatchTooLarge, "write", refused))
}
