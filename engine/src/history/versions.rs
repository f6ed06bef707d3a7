//! The versions of a key.

use super::History;
use super::view::View;
use crate::layout::{
    STATE_LIMITS, Version, history_key, latest_key, split_history_key, split_record,
};
use supervm_plugin_sdk::{ByteBuf, Direction, KeyRange, Result, check_key};

/// What a key was for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyVersion {
    /// The version that wrote or deleted the key.
    pub version: Version,
    /// The value; `None` when the version deleted the key.
    pub value: Option<Vec<u8>>,
    /// The version that wrote or deleted it next; `None` when that is how the key is.
    pub superseded_at: Option<Version>,
}

impl History {
    /// What `key` was at each version from the [`floor`](Self::floor) on, from the newest to the oldest.
    ///
    /// # Behavior
    /// - Empty for a key that was absent throughout.
    /// - The oldest may be from below the floor: it is what the key was at the floor.
    /// - All values are in memory at once.
    ///
    /// # Errors
    /// `InvalidKey`, `KeyTooLarge`; `Corruption`; what the storage fails with.
    pub fn versions(&self, key: &[u8]) -> Result<Vec<KeyVersion>> {
        check_key(key, &STATE_LIMITS)?;
        let view = View::new(&self.storage)?;
        let meta = view.meta()?;
        let last = meta.last_version;
        // IMPORTANT: the latest value before the old ones, and what was committed after `last` left out; see `View::Live`.
        let latest = latest_version(&view, key)?.filter(|latest| latest.version <= last);
        let (mut start, mut end) = (Vec::new(), Vec::new());
        history_key(key, meta.oldest_version().next(), &mut start);
        history_key(key, Version::MAX, &mut end);
        let mut rows = view.rows(KeyRange::new(&start, Some(&end)), Direction::Forward)?;
        let mut values = Vec::new();
        while let Some((stored, record)) = rows.next()? {
            let superseded_at = split_history_key(stored, &mut start)?;
            let (version, value) = split_record(record)?;
            if version > last {
                break;
            }
            let superseded_at = Some(superseded_at).filter(|at| *at <= last);
            values.push(KeyVersion { version, value: Some(value.to_vec()), superseded_at });
        }
        view.confirm(meta.oldest_version())?;
        // On a live view the latest value may have become an old one meanwhile.
        let newest = values.last().map(|newest| newest.version);
        values.extend(latest.filter(|latest| newest.is_none_or(|newest| newest < latest.version)));
        Ok(with_deletions(values))
    }
}

fn latest_version(view: &View, key: &[u8]) -> Result<Option<KeyVersion>> {
    let (mut stored, mut record) = (Vec::new(), ByteBuf::new());
    latest_key(key, &mut stored);
    if !view.get_into(&stored, &mut record)? {
        return Ok(None);
    }
    let (version, value) = split_record(&record)?;
    Ok(Some(KeyVersion { version, value: Some(value.to_vec()), superseded_at: None }))
}

/// `values`, from the oldest to the newest, with the deletions that ended them, from the newest to the oldest.
fn with_deletions(values: Vec<KeyVersion>) -> Vec<KeyVersion> {
    let mut versions: Vec<KeyVersion> = Vec::new();
    let mut written = values.into_iter().peekable();
    while let Some(value) = written.next() {
        let ended = value.superseded_at;
        let next = written.peek().map(|next| next.version);
        versions.push(value);
        if let Some(version) = ended.filter(|ended| next.is_none_or(|next| *ended < next)) {
            versions.push(KeyVersion { version, value: None, superseded_at: next });
        }
    }
    versions.reverse();
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_between_two_values_is_a_deletion() {
        let version = |version, value: Option<&str>, superseded_at: Option<u64>| KeyVersion {
            version: Version(version),
            value: value.map(|value| value.as_bytes().to_vec()),
            superseded_at: superseded_at.map(Version),
        };
        let values = [
            version(3, Some("a"), Some(5)),
            version(5, Some("b"), Some(8)),
            version(9, Some("c"), None),
        ];
        let expected = [
            version(9, Some("c"), None),
            version(8, None, Some(9)),
            version(5, Some("b"), Some(8)),
            version(3, Some("a"), Some(5)),
        ];
        assert_eq!(with_deletions(values.to_vec()), expected);
        let deleted = [version(5, None, None), version(3, Some("a"), Some(5))];
        assert_eq!(with_deletions(values[..1].to_vec()), deleted);
        assert_eq!(with_deletions(Vec::new()), []);
    }
}
