//! What is remembered of a block.

use super::{VERSION_MAX, Version, block_key, corrupt};
use crate::storage::Storage;
use serde::Serialize;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Largest number of a block: 2^62 - 1.
pub const BLOCK_NUMBER_MAX: u64 = (1 << 62) - 1;
/// Latest timestamp of a block, seconds since 1970-01-01 00:00 UTC: 2^62 - 1.
pub const TIMESTAMP_MAX: u64 = (1 << 62) - 1;

const DIGEST_BYTES: usize = 32;
const RECORD_BYTES: usize = 8 + 8 + DIGEST_BYTES;

/// A block's place in time, and the state that it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BlockRecord {
    /// The block's number.
    pub number: u64,
    /// The version of the block's last commit: the state after the block is the state as of it.
    pub version: Version,
    /// Seconds since 1970-01-01 00:00 UTC, as the block says.
    pub timestamp: u64,
    /// The state digest after the block; zeros when it is not kept.
    #[serde(serialize_with = "hex::serde::serialize")]
    pub digest: [u8; DIGEST_BYTES],
}

impl BlockRecord {
    /// The record that `storage` has of block `number`.
    ///
    /// # Errors
    /// `Corruption`; what the storage fails with.
    pub fn read(storage: &Storage, number: u64) -> Result<Option<Self>> {
        let bytes = storage.get(&block_key(number))?;
        bytes.map(|bytes| Self::from_bytes(number, &bytes)).transpose()
    }

    /// The bytes that the storage keeps under [`block_key`](super::block_key).
    pub fn to_bytes(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[..8].copy_from_slice(&self.version.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[16..].copy_from_slice(&self.digest);
        bytes
    }

    /// Reads back what [`to_bytes`](Self::to_bytes) gave for block `number`.
    ///
    /// # Errors
    /// `Corruption` when they do not parse, or when a number is past its bound.
    pub fn from_bytes(number: u64, bytes: &[u8]) -> Result<Self> {
        let parse = || {
            let (version, rest) = bytes.split_first_chunk()?;
            let (timestamp, rest) = rest.split_first_chunk()?;
            Some(Self {
                number,
                version: Version(u64::from_be_bytes(*version)),
                timestamp: u64::from_be_bytes(*timestamp),
                digest: rest.try_into().ok()?,
            })
        };
        let record: Self = parse().ok_or_else(|| corrupt("a block's record", bytes))?;
        record.check_bounds("read chain state", ErrorKind::Corruption)?;
        Ok(record)
    }

    /// Refuses numbers past their bounds with `kind`.
    pub(crate) fn check_bounds(&self, operation: &'static str, kind: ErrorKind) -> Result<()> {
        let Self { number, version, timestamp, .. } = *self;
        let bounds = [
            ("number", number, BLOCK_NUMBER_MAX),
            ("version", version.0, VERSION_MAX.0),
            ("timestamp", timestamp, TIMESTAMP_MAX),
        ];
        bounds.into_iter().try_for_each(|(what, value, max)| {
            if value <= max {
                return Ok(());
            }
            let refused = format!("the {what} of a block is {value}; at most {max}");
            Err(Error::new(kind, operation, refused).with("block", number))
        })
    }
}
