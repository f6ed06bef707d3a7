//! When contracts were deployed.
//!
//! Code has no versions: it never changes. What is recorded beside it is the version that was the newest when it came, so that a state as
//! of an older version can be told without it.

use super::{Version, corrupt};
use supervm_plugin_sdk::Result;

const PREFIX: &[u8] = b"m/deployed/";

/// The storage key of the version at which the contract at `address` was deployed.
pub fn deployment_key(address: &[u8]) -> Vec<u8> {
    [PREFIX, address].concat()
}

/// The version that was the newest when the contract at `address` was deployed, through `get`, which looks a storage key up. It is 0 for a
/// contract without a record: one that was imported, or deployed by a build that kept none.
///
/// # Errors
/// `Corruption` when the record does not parse; what `get` fails with.
pub fn deployed_at(
    address: &[u8],
    get: impl FnOnce(&[u8]) -> Result<Option<Vec<u8>>>,
) -> Result<Version> {
    let Some(bytes) = get(&deployment_key(address))? else { return Ok(Version::ZERO) };
    let version = bytes.as_slice().try_into().map_err(|_| corrupt("a deployment", &bytes))?;
    Ok(Version(u64::from_be_bytes(version)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Area;
    use supervm_plugin_sdk::ErrorKind;

    #[test]
    fn a_record_is_a_version_and_none_is_version_0() {
        let key = deployment_key(&[7; 20]);
        assert!(Area::Meta.range().contains(&key));
        let record = Version(5).0.to_be_bytes().to_vec();
        assert_eq!(deployed_at(&[7; 20], |_| Ok(Some(record))).expect("a record"), Version(5));
        assert_eq!(deployed_at(&[7; 20], |_| Ok(None)).expect("no record"), Version::ZERO);
        let damaged = deployed_at(&[7; 20], |_| Ok(Some(vec![1]))).expect_err("damaged");
        assert_eq!(damaged.kind(), ErrorKind::Corruption);
    }
}
