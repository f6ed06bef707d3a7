//! What a user trusts of a file that comes from elsewhere.

use super::format::{Hash, Header};
use crate::storage::Digest;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// The digests that a file has to have. Default: none, any file that is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// The snapshot digest: it covers everything that the file says.
    pub digest: Option<Digest>,
    /// The block that the state is of. It covers the entries of chain state: neither their
    /// versions nor the contracts.
    pub block: Option<ExpectedBlock>,
}

/// A block that a user trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedBlock {
    /// Its number.
    pub number: u64,
    /// The state digest after it.
    pub digest: Hash,
}

impl Expected {
    /// Is a file with this header the state of the block?
    ///
    /// The header's digest is a claim until the state digest was computed from the entries, as
    /// [`verify`](super::verify) and [`import`](super::import) do.
    ///
    /// # Errors
    /// `Corruption` for another block, another digest, and a state that is not of a block.
    pub fn check_header(&self, header: &Header) -> Result<()> {
        let Some(expected) = self.block else { return Ok(()) };
        let number = expected.number;
        let refused = match header.block {
            Some(block) if block.number == number => match block.digest {
                Some(digest) if digest == expected.digest => return Ok(()),
                Some(_) => format!("the state after block {number} is not the expected one"),
                None if block.version < header.version => format!(
                    "the state is {} versions after block {number}, and no block's digest covers it",
                    header.version.0 - block.version.0
                ),
                None => format!("the file has no digest of block {number}"),
            },
            Some(block) => {
                format!("the file has the state of block {}, not of block {number}", block.number)
            }
            None => format!("the file has no block; expected is block {number}"),
        };
        Err(unexpected(refused))
    }

    /// Is `digest`, which was computed from a file, the expected one?
    ///
    /// # Errors
    /// `Corruption`, with both digests.
    pub fn check_digest(&self, digest: Digest) -> Result<()> {
        match self.digest {
            Some(expected) if expected != digest => {
                let error = unexpected("the snapshot digest is not the expected one".to_owned());
                Err(error.with("computed", digest).with("expected", expected))
            }
            _ => Ok(()),
        }
    }
}

fn unexpected(message: String) -> Error {
    Error::new(ErrorKind::Corruption, "compare snapshot file", message)
}
