//! SuperVM's mechanisms: the storage handle, contract state, the WASM runtime and the plugin registry.
//!
//! The crate knows no concrete plugin: a backend or host pack comes in as a [`supervm_plugin_sdk::load::Plugin`], found by the
//! [`registry`] or handed in by the caller. Which plugins there are, and how they are composed, is the business of the crate
//! above. Modules stand in reading order; each uses only those before it.

mod sync;
mod panics;
mod keyed;
pub mod config;
pub mod storage;
pub mod layout;
pub mod digest;
pub mod mvcc;
pub mod history;
pub mod transfer;
pub mod state;
pub mod scheduler;
pub mod block;
pub mod runtime;
pub mod registry;
