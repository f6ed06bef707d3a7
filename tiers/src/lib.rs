//! SuperVM's tiers: which backend, limits and plugins a node of each kind has, and the node made of them.
//!
//! [`TierProfile`] is a configuration with a built-in one for each tier; [`TierProfile::open`] makes a [`Node`] of it, which runs
//! contracts over the profile's backend. [`Layers`] reads a profile as the `supervm` command does: built-in profile, file,
//! environment and flags, each value with where it came from.
//!
//! Linked in are the storage backends and host packs of [`builtin`]; others are loaded as the profile's `[plugins]` says.
//!
//! # Examples
//! ```
//! use supervm_tiers::TierProfile;
//!
//! # fn main() -> Result<(), supervm_plugin_sdk::Error> {
//! let dir = tempfile::tempdir().expect("a temporary directory");
//! let node = TierProfile::l4().with_dir(dir.path()).open()?;
//! let contract = br#"(module (func (export "answer") (result i64) i64.const 42))"#;
//! assert_eq!(node.execute(contract, "answer", 1, 1_704_067_200)?, 42);
//! node.close()
//! # }
//! ```

pub mod builtin;
mod tier;
mod profile;
mod schema;
mod settings;
mod layers;
mod check;
mod chain;
mod node;
pub mod workload;

pub use check::backend_hint;
pub use layers::{Flag, Layers};
pub use node::Node;
pub use profile::{TierConfig, TierProfile};
pub use settings::{Problem, Setting, Settings, Source};
pub use tier::TierName;
