//! A value with the version that wrote it.

use super::{Area, VERSION_MAX, Version, corrupt};
use supervm_plugin_sdk::{Result, VALUE_BYTES_MAX};

const VERSION_BYTES: usize = 8;
/// Largest value of chain state, in bytes: a storage's largest value without the version.
pub const STATE_VALUE_BYTES_MAX: usize = VALUE_BYTES_MAX - VERSION_BYTES;

/// Replaces `record` by `value` as `version` wrote it.
pub fn put_record(version: Version, value: &[u8], record: &mut Vec<u8>) {
    record.clear();
    record.extend_from_slice(&version.0.to_be_bytes());
    record.extend_from_slice(value);
}

/// The version and the value in a record.
///
/// # Errors
/// `Corruption`, also for a version above [`VERSION_MAX`].
pub fn split_record(record: &[u8]) -> Result<(Version, &[u8])> {
    let (version, value) = record
        .split_first_chunk::<VERSION_BYTES>()
        .ok_or_else(|| corrupt("a value of chain state", record))?;
    let version = Version(u64::from_be_bytes(*version));
    if version > VERSION_MAX {
        return Err(corrupt("the version of a value of chain state", record));
    }
    Ok((version, value))
}

/// The state key, the version and the value in a row of the area [`Area::Latest`].
///
/// # Errors
/// `Corruption`.
pub fn split_latest<'a>(
    stored: &'a [u8],
    record: &'a [u8],
) -> Result<(&'a [u8], Version, &'a [u8])> {
    let key = stored
        .strip_prefix(Area::Latest.prefix())
        .ok_or_else(|| corrupt("the key of a latest value", stored))?;
    let (version, value) = split_record(record)?;
    Ok((key, version, value))
}
