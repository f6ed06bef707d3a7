//! The runtime over a real backend and the real host packs.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

// Each is named, or the linker drops it and its plugin with it.
use supervm_host_chain as _;
use supervm_host_crypto as _;
use supervm_host_storage as _;
use supervm_storage_memory as _;

mod support;
mod api;
mod deploy;
mod gas;
mod hostile;
mod bounds;
mod nested;
mod packs;
mod cache;
mod concurrency;
mod journal;
mod transactions;
mod walks;
mod blocks;
mod removed;
mod turns;
mod block_sizes;
