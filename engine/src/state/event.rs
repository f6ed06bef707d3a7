//! What contracts tell the outside.

use serde::{Serialize, Serializer};
use supervm_plugin_sdk::host::Address;

/// An event that a contract emitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The contract that emitted it.
    #[serde(serialize_with = "serialize_hex")]
    pub contract: Address,
    /// Its bytes; what they mean is between the contract and its users.
    #[serde(serialize_with = "serialize_hex")]
    pub data: Vec<u8>,
}

/// Writes bytes as lower-case hexadecimal digits.
pub(crate) fn serialize_hex<S: Serializer>(
    bytes: impl AsRef<[u8]>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(bytes))
}
