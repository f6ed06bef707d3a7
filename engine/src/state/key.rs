//! Keys of contract state.

use crate::layout::{Area, STATE_KEY_BYTES_MAX};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use supervm_plugin_sdk::CONTRACT_KEY_BYTES_MAX;
use supervm_plugin_sdk::host::{ADDRESS_BYTES, Address};

const _: () = assert!(ADDRESS_BYTES + CONTRACT_KEY_BYTES_MAX <= STATE_KEY_BYTES_MAX);

/// A key of a contract's state.
///
/// Keys order by contract first, then by the key's bytes. As text: the address, a colon and the key, in hexadecimal digits.
///
/// # Examples
/// ```
/// use supervm_engine::state::StateKey;
/// let key = StateKey { contract: [7; 20], key: b"balance".to_vec() };
/// assert_eq!(StateKey::from_bytes(&key.to_bytes()), Some(key));
/// assert_eq!(StateKey::from_bytes(b"short"), None);
/// let key = StateKey { contract: [7; 20], key: b"balance".to_vec() };
/// assert_eq!(key.to_string().parse(), Ok(key));
/// assert!("07:62".parse::<StateKey>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey {
    /// The contract that the key belongs to.
    pub contract: Address,
    /// The key as the contract sees it.
    pub key: Vec<u8>,
}

impl StateKey {
    /// The key in chain state: the contract's address and its key.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ADDRESS_BYTES + self.key.len());
        write_state_key(&self.contract, &self.key, &mut bytes);
        bytes
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) gave; `None` for what is shorter than an address.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (contract, key) = bytes.split_first_chunk()?;
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

/// Reads the text back.
impl FromStr for StateKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (contract, key) = text.split_once(':')?;
            let contract = hex::decode(contract).ok()?.try_into().ok()?;
            Some(Self { contract, key: hex::decode(key).ok()? })
        };
        parse().ok_or_else(|| {
            format!(
                "\"{text}\" is no key of state; expected 40 hexadecimal digits of the contract's address, a colon, and those of the key"
            )
        })
    }
}

impl<'de> Deserialize<'de> for StateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// The key under which a storage keeps the code of the contract at `address`.
pub fn code_key(address: &Address) -> Vec<u8> {
    [Area::Code.prefix().as_slice(), address].concat()
}

/// Replaces `bytes` by the key in chain state of `key` of `contract`.
pub(super) fn write_state_key(contract: &Address, key: &[u8], bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.extend_from_slice(contract);
    bytes.extend_from_slice(key);
}
