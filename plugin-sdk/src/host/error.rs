//! Why a host function ends a call.

use crate::Error;
use std::fmt;

/// Why a host function ends the call. Each becomes the trap of the same name.
#[derive(Debug)]
#[non_exhaustive]
pub enum HostError {
    /// `[ptr, ptr + len)` is not inside guest memory.
    OutOfBounds {
        /// Where the access begins.
        ptr: u32,
        /// How many bytes it has.
        len: u32,
    },
    /// The call's gas is used up.
    OutOfGas,
    /// A write in a read-only call.
    ReadOnlyCall,
    /// A bound of the call is exceeded: events, event bytes, key or value size, call depth, open scans.
    LimitExceeded(String),
    /// The contract or the pack gave up, with a code of its own.
    Abort {
        /// The code.
        code: i32,
        /// What the contract's author should read.
        message: String,
    },
    /// The storage beneath failed; the call ends and the node must not go on with the block.
    Storage(Error),
    /// A defect in the engine or the pack; a caught panic ends here.
    Internal(String),
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { ptr, len } => {
                write!(f, "access of {len} bytes at {ptr} is outside of the contract's memory")
            }
            Self::OutOfGas => f.write_str("out of gas"),
            Self::ReadOnlyCall => f.write_str("write in a read-only call"),
            Self::LimitExceeded(what) => write!(f, "limit exceeded: {what}"),
            Self::Abort { code, message } => write!(f, "aborted with code {code}: {message}"),
            Self::Storage(error) => write!(f, "storage failed: {error}"),
            Self::Internal(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl std::error::Error for HostError {}

impl From<Error> for HostError {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}
