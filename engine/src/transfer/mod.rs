//! Moving chain state: portable snapshot files, conversion from one backend to another, incremental checkpoints, differences.
//!
//! | function | from | to |
//! |---|---|---|
//! | [`export`] | an open storage, at any readable version | a snapshot file |
//! | [`import`] | a snapshot file | a new data directory of any backend |
//! | [`verify`] | a snapshot file | whether it is right |
//! | [`convert`] | a data directory | a new data directory of any backend, with its history |
//! | [`checkpoint_incremental`] | an open storage and the checkpoint before | the changes between them |
//! | [`restore`] | a checkpoint and the incremental ones that follow it | a new data directory |
//! | [`diff`] | two storages | the keys that differ |
//!
//! What all of them keep:
//! 1. A source is never changed.
//! 2. What is made is complete or is not taken for it: files and checkpoints are renamed into place at the end, data directories are
//!    marked as unfinished until every digest was compared, and no node opens one so long.
//! 3. A file is somebody else's until it is checked: nothing is allocated for a length that was not held against its bound, and nothing
//!    is unpacked whose hash was not compared.
//! 4. Memory has a bound, whatever the size of the state; the disk has one that the caller sets, and what does not fit is refused
//!    before anything is written.
//! 5. The snapshot digest covers everything that is taken from a file. It is computed from the content, never believed.

mod progress;
mod pool;
mod format;
mod digests;
mod codec;
mod writer;
mod reader;
mod space;
mod expected;
mod survey;
mod place;
mod finished;
mod target;
mod moment;
mod export;
mod import;
mod verify;
mod convert;
mod incremental;
mod past;
mod restore;
mod diff;

pub use convert::{ConvertReport, convert};
pub use diff::{DiffReport, Difference, diff};
pub use expected::{Expected, ExpectedBlock};
pub use export::{ExportAt, ExportOptions, ExportReport, export, export_stream};
pub use format::{BlockHeader, Content, Counts, FORMAT_VERSION, Header, Parent, Trailer};
pub use import::{ImportOptions, ImportReport, import, import_stream};
#[doc(hidden)]
pub use incremental::checkpoint_within;
pub use incremental::{CHANGES_FILE, IncrementalReport, ParentCheckpoint, checkpoint_incremental};
pub use place::Place;
pub use progress::{OnProgress, Phase, Progress, Resumed};
pub use restore::{RestoreOptions, RestoreReport, restore};
pub use space::SNAPSHOT_BYTES_MAX;
pub use verify::{VerifiedFile, inspect, verify};

use crate::storage::Digest;
use serde::Serializer;

/// A digest as its hex digits.
fn as_text<S: Serializer>(digest: &Digest, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(digest)
}
