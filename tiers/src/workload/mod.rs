//! Blocks as a file, and blocks made up: what `supervm block` runs and generates.
//!
//! A file has one JSON object a line ([`Line`]): contracts, and blocks of calls to them. It says all that is needed to run it on an empty
//! state, so two nodes that run the same file end with the same digest, whatever their backends and numbers of threads.

mod line;
mod random;
mod generate;

pub use generate::{Plan, Workload, generate};
pub use line::{BlockLine, CallLine, LINE_BYTES_MAX, Line, LineError, Lines};
