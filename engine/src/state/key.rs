//! Keys of contract state, and where they lie in the storage.

use serde::{Serialize, Serializer};
use std::fmt;
use supervm_plugin_sdk::host::{ADDRESS_BYTES, Address};

const STATE_PREFIX: &[u8] = b"c/";
const CODE_PREFIX: &[u8] = b"a/";
/// Bytes in front of a contract's own key.
pub(super) const HEADER_BYTES: usize = STATE_PREFIX.len() + ADDRESS_BYTES;

/// A key of a contract's state.
///
/// Keys order by contract first, then by the key's bytes. As text: the address, a colon and the key, in hexadecimal digits.
///
/// # Examples
/// ```
/// use supervm_engine::state::StateKey;
/// let key = StateKey { contract: [7; 20], key: b"balance".to_vec() };
/// assert_eq!(StateKey::from_storage_key(&key.storage_key()), Some(key));
/// assert_eq!(StateKey::from_storage_key(b"a/code"), None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// The contract that the key belongs to.
    pub contract: Address,
    /// The key as the contract sees it.
    pub key: Vec<u8>,
}

impl StateKey {
    /// The key under which a storage keeps it.
    pub fn storage_key(&self) -> Vec<u8> {
        let mut stored = Vec::with_capacity(HEADER_BYTES + self.key.len());
        write_storage_key(&self.contract, &self.key, &mut stored);
        stored
    }

    /// The state key that a storage keeps under `stored`; `None` when that is no contract state.
    pub fn from_storage_key(stored: &[u8]) -> Option<Self> {
        let (contract, key) = stored.strip_prefix(STATE_PREFIX)?.split_first_chunk()?;
        Some(Self { contract: *contract, key: key.to_vec() })
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", hex::encode(self.contract), hex::encode(&self.key))
    }
}

impl Serialize for StateKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The key under which a storage keeps the code of the contract at `address`.
pub fn code_key(address: &Address) -> Vec<u8> {
    [CODE_PREFIX, address].concat()
}

/// Replaces `stored` by the storage key of `key` of `contract`.
pub(super) fn write_storage_key(contract: &Address, key: &[u8], stored: &mut Vec<u8>) {
    stored.clear();
    stored.extend_from_slice(STATE_PREFIX);
    stored.extend_from_slice(contract);
    stored.extend_from_slice(key);
}
