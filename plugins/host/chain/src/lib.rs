//! The host pack `chain_api`: the block, the call, events, and calls to other contracts.

mod pack;
pub mod status;

pub use pack::{ABORT_MESSAGE_BYTES_MAX, ChainPack};

supervm_plugin_sdk::export_plugin!(host_pack: ChainPack, name: "chain");
