//! The example contracts: each function's work, each refusal, each event byte by byte.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

// Each is named, or the linker drops it and its plugin with it.
use supervm_host_chain as _;
use supervm_host_crypto as _;
use supervm_host_storage as _;

mod support;
mod token;
mod amm;
mod registry;
mod multisig;
mod payments;
