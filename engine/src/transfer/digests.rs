//! The full digest of chain state, from a storage's latest values.

use super::format::Hash;
use crate::layout::split_latest;
use crate::storage::{DigestBuilder, Rows};
use supervm_plugin_sdk::Result;

/// The full digest of what `rows` of the area of latest values hold; `on_row` is told the bytes of each.
pub(super) fn digest_latest(mut rows: Rows, mut on_row: impl FnMut(usize)) -> Result<Hash> {
    let mut digest = DigestBuilder::default();
    while let Some((stored, record)) = rows.next()? {
        let (key, _, value) = split_latest(stored, record)?;
        digest.add(key, value);
        on_row(stored.len() + record.len());
    }
    Ok(digest.finish().0)
}
