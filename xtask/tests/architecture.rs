//! The house rules that a machine can check: who may import whom, how large a file and a function may be, which files a
//! plugin has, where `unsafe` may stand.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "architecture/edges.rs"]
mod edges;
#[path = "architecture/files.rs"]
mod files;
#[path = "architecture/sizes.rs"]
mod sizes;
#[path = "architecture/sources.rs"]
mod sources;
