//! How much of the past is kept, and changing it.

use super::{History, PruneOptions, PruneReport};
use crate::layout::{HistoryMode, Meta};
use supervm_plugin_sdk::{Error, ErrorKind, Result, WriteBatch};

impl History {
    /// Changes how much of the past is kept from here on.
    ///
    /// # Behavior
    /// - From `none`: the newest version becomes the oldest that can be read, because what was before it is not there.
    /// - To `none`: the newest version becomes the oldest that can be read, and all old values are deleted, in steps as
    ///   [`prune`](Self::prune) does; one that was stopped is finished by [`prune_to_mode`](Self::prune_to_mode).
    /// - Between window and archive: what is there stays. [`prune_to_mode`](Self::prune_to_mode) cuts to a smaller window.
    /// - Commits have to know it: on a storage that an MVCC store has open, ask the store instead.
    ///
    /// # Errors
    /// `InvalidArgument` for a window of no blocks; as [`prune`](Self::prune).
    pub fn set_mode(&self, mode: HistoryMode) -> Result<()> {
        if mode == (HistoryMode::Window { blocks: 0 }) {
            let refused = "a window has at least 1 block; use the mode \"none\" to keep nothing";
            return Err(Error::new(ErrorKind::InvalidArgument, "set history mode", refused));
        }
        self.write_mode(mode)?;
        if mode == HistoryMode::None {
            let _: PruneReport = self.prune_to_mode(PruneOptions::default(), &mut |_| {})?;
        }
        Ok(())
    }

    fn write_mode(&self, mode: HistoryMode) -> Result<()> {
        let _alone = self.storage.lock_facts();
        let meta = self.meta()?;
        if meta.history == mode {
            return Ok(());
        }
        let mut batch = WriteBatch::new();
        let from = meta.last_version.max(meta.floor);
        Meta::put_history_change(&mut batch, meta.history, mode, from);
        self.storage.write(&batch, self.storage.durability())
    }
}
