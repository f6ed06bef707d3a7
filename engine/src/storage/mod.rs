//! The storage handle: one plugin's storage with the convenience calls that every part of SuperVM uses.
//!
//! What a plugin gives is small: get, one batch write, cursors over pages. Everything else (set, delete, prefix scans,
//! iterators, digests) is built here, once, so that no backend can get it differently. Limits and undeclared capabilities
//! are refused here before a plugin is called (clauses 4 and 29).
//!
//! # A data directory
//! ```text
//! <dir>/supervm.toml   the manifest: whose data this is (clause 28)
//! <dir>/store/         the plugin's own directory
//! <dir>/modules/       compiled contracts; may be deleted
//! <dir>/unfinished     only while an import, a conversion or a restoring goes on: the content is not whole
//! ```

mod digest;
mod handle;
mod limits;
mod manifest;
mod unfinished;
mod open;
mod range_delete;
mod rows;
mod snapshot;
mod checkpoint;

pub(crate) use digest::put_hashed;
pub use digest::{Digest, DigestBuilder};
pub use handle::Storage;
pub use manifest::{CONTRACT_VERSION, FORMAT_VERSION, MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest};
pub(crate) use manifest::{parent_dir, sync_dir};
pub use open::{MODULES_DIR, OpenOptions, STORE_DIR};
pub use rows::{Entry, Iter, Rows};
pub use snapshot::Snapshot;
pub use unfinished::{UNFINISHED_FILE, unfinished};
pub(crate) use unfinished::{mark_finished, mark_unfinished};
