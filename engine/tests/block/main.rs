//! Blocks on several threads have the result of running their transactions one by one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod model;
mod programs;
mod random;
mod rules;
mod failures;
