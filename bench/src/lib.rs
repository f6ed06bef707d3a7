//! Benchmarks of SuperVM's storage backends, transactions and blocks.
//!
//! Each database is measured in several legs, over copies of one directory: through its own crate, through SuperVM's backend
//! linked in, and through the same backend loaded from its shared library. What the legs share is here. Two programs use it:
//! `benches/storage.rs` gives criterion's figures for the legs one by one, and the [`boundary`] benchmark compares them in pairs.

pub mod random;
pub mod data;
pub mod leg;
pub mod backend;
pub mod legs;
pub mod statistics;
pub mod machine;
pub mod page;
pub mod boundary;
#[cfg(feature = "mvcc")]
pub mod mvcc;
#[cfg(feature = "block")]
pub mod block;
