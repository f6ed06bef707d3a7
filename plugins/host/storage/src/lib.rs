//! The host pack `storage_api`: a contract's own state.
//!
//! A value has no place in guest memory until the contract gives it one, so reading has two steps: `storage_get` finds the
//! value and keeps it on the host's side, `storage_read_value` copies it. A scan does the same with its current entry.

mod pack;
pub mod status;

pub use pack::StoragePack;

supervm_plugin_sdk::export_plugin!(host_pack: StoragePack, name: "storage");
