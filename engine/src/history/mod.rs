//! The past of chain state: what it was as of a version or a block, what a version changed, and giving the past up.
//!
//! A storage of chain state keeps, beside the latest values, those that were replaced, each under the version that replaced it
//! ([`crate::layout`] has the keys). From these follow reads as of any version from the *floor* to the newest. Pruning raises the floor
//! and then deletes what no readable version needs; a read below the floor is refused with `VersionPruned`, whether what it needs is
//! deleted yet or not.
//!
//! ```text
//!             floor                last version
//!  pruned       |                       |
//! ------------- |=======================|--------->  versions
//!               5    as of 5, 6, ... 9  9
//! ```
//!
//! # Invariants
//! 1. The floor only rises, and is raised before anything at or below it is deleted.
//! 2. An old value is deleted only when it was superseded at or below the floor. What a version from the floor on needs is so kept:
//!    its value is either the latest or was superseded above it.
//! 3. A key leaves a list of changed keys no earlier than in the batch that deletes its old value. So a pruning that was killed finds
//!    the rest by the lists that are there.
//!
//! Nothing here changes the latest state, so reads and pruning go on beside commits.

mod view;
mod as_of;
mod rows;
mod versions;
mod changed;
mod blocks;
mod window;
mod prune;
mod sweep;
mod mode;

pub use as_of::AsOf;
pub use changed::{CHANGED_KEYS_BYTES_MAX, ChangedKeyStream};
pub use prune::{
    PruneOptions, PruneProgress, PruneReport, PruneTarget, STEP_OPERATIONS_DEFAULT,
    STEP_OPERATIONS_MAX,
};
pub use rows::{AsOfRow, AsOfRows};
pub use versions::KeyVersion;
pub(crate) use view::View;

use crate::layout::{Meta, Version};
use crate::storage::Storage;
use parking_lot::Mutex;
use std::sync::Arc;
use supervm_plugin_sdk::{Error, ErrorKind, Result};
use window::Window;

/// The past of the chain state in a storage.
///
/// Cheap to clone; holds the storage and where the window of its last blocks begins. Every method may
/// be called from any thread, beside commits too.
#[derive(Debug, Clone)]
pub struct History {
    storage: Storage,
    /// The window that was counted last; shared by clones.
    window: Arc<Mutex<Option<Window>>>,
}

impl History {
    /// The past that `storage` holds; that of the empty state when it holds no chain state.
    ///
    /// # Errors
    /// `Corruption` when the facts about the whole do not parse; what the storage fails with.
    pub fn new(storage: Storage) -> Result<Self> {
        Meta::read(&storage)?;
        Ok(Self { storage, window: Arc::default() })
    }

    /// The storage.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The facts about the whole, as of this moment.
    ///
    /// # Errors
    /// `Corruption`; what the storage fails with.
    pub fn meta(&self) -> Result<Meta> {
        Meta::read(&self.storage)
    }

    /// The oldest version that can be read at this moment: the newest one, where no old values are kept.
    ///
    /// # Errors
    /// As [`meta`](Self::meta).
    pub fn floor(&self) -> Result<Version> {
        Ok(self.meta()?.oldest_version())
    }

    /// The state as of `version`.
    ///
    /// # Errors
    /// `VersionPruned` below the [`floor`](Self::floor); `InvalidArgument` above the newest version; as [`meta`](Self::meta); `Busy`
    /// when too many snapshots are open.
    pub fn as_of(&self, version: Version) -> Result<AsOf> {
        let view = View::new(&self.storage)?;
        let meta = view.meta()?;
        check_readable(version, &meta)?;
        AsOf::new(view, version, &meta)
    }

    /// The state after block `number`.
    ///
    /// # Errors
    /// As [`version_of_block`](Self::version_of_block) and [`as_of`](Self::as_of).
    pub fn as_of_block(&self, number: u64) -> Result<AsOf> {
        self.as_of(self.version_of_block(number)?)
    }

    /// The state as of the newest version.
    ///
    /// # Errors
    /// As [`meta`](Self::meta); `Busy` when too many snapshots are open.
    pub fn latest(&self) -> Result<AsOf> {
        let view = View::new(&self.storage)?;
        let meta = view.meta()?;
        AsOf::new(view, meta.last_version, &meta)
    }
}

/// May `version` be read?
fn check_readable(version: Version, meta: &Meta) -> Result<()> {
    if version > meta.last_version {
        let refused = format!("there is no such version yet; the newest is {}", meta.last_version);
        return Err(Error::new(ErrorKind::InvalidArgument, "read history", refused)
            .with("version", version));
    }
    let floor = meta.oldest_version();
    if version < floor { Err(pruned(version, floor)) } else { Ok(()) }
}

#[cold]
fn pruned(version: Version, floor: Version) -> Error {
    let refused = format!("the version was pruned; the oldest that can be read is {floor}");
    Error::new(ErrorKind::VersionPruned, "read history", refused).with("version", version)
}
