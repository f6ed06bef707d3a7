//! A node's chain state: commits that end blocks, and a past that is pruned as blocks are added.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use supervm_engine::history::{History, PruneOptions};
use supervm_engine::layout::{HistoryMode, Version};
use supervm_engine::mvcc::{AutoGcConfig, Block, CommitOptions, MvccConfig, MvccStore, Txn};
use supervm_engine::runtime::CallContext;
use supervm_engine::storage::Storage;
use supervm_plugin_sdk::Result;

/// Steps of one pruning; with the deletes of a step, more than one commit can make necessary.
const PRUNE_STEPS_MAX: u64 = 64;
/// Prunings while as many blocks are added as a window has. Each costs syncs beside those of the blocks.
const PRUNINGS_PER_WINDOW: u64 = 32;
/// Maximum number of blocks between two prunings.
const PRUNE_BLOCKS_MAX: u64 = 64;

/// The state and the past of a node.
#[derive(Debug)]
pub(crate) struct Chain {
    store: MvccStore,
    history: History,
    mode: HistoryMode,
    /// Held while a block is ended, so that each is ended once, and by the first commit of its number.
    ending: Mutex<()>,
    /// Held while the past is pruned.
    pruning: Mutex<()>,
    /// Blocks that were ended since the past was pruned as far as the mode says. The first block after
    /// opening finds it at its maximum, because what was before is not known.
    unpruned_blocks: AtomicU64,
}

impl Chain {
    /// The chain state in `storage`, of whose past from here on `mode` is kept; `None` = as it is.
    pub(crate) fn open(storage: &Storage, mode: Option<HistoryMode>) -> Result<Self> {
        let config = MvccConfig {
            auto_gc: Some(AutoGcConfig::default()),
            history: mode,
            digest: true,
            ..MvccConfig::default()
        };
        let store = MvccStore::open(storage.clone(), config)?;
        let history = History::new(storage.clone())?;
        Ok(Self {
            mode: history.meta()?.history,
            store,
            history,
            ending: Mutex::default(),
            pruning: Mutex::default(),
            unpruned_blocks: AtomicU64::new(PRUNE_BLOCKS_MAX),
        })
    }

    pub(crate) fn store(&self) -> &MvccStore {
        &self.store
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// Commits what was done in the block of `context`, which ends it when it is newer than the last block.
    pub(crate) fn commit(&self, txn: Txn, context: &CallContext) -> Result<Version> {
        let number = context.block_number;
        if txn.writes_len() == 0 || !self.is_new(number) {
            return txn.commit_with(CommitOptions::default());
        }
        let ending = lock(&self.ending);
        // Another call may have ended it meanwhile.
        let block = self.is_new(number).then_some(Block { number, timestamp: context.timestamp });
        let version = txn.commit_with(CommitOptions { block, ..CommitOptions::default() })?;
        drop(ending);
        if block.is_some() {
            self.prune_after_block();
        }
        Ok(version)
    }

    /// Runs a block that `run` commits, alone: no call of the runtime commits meanwhile, so none ends
    /// a block.
    ///
    /// IMPORTANT: a call that commits waits for `ending` while the runtime lets no block begin; whoever
    /// held it here would wait for that call.
    pub(crate) fn end_block<T>(&self, run: impl FnOnce() -> Result<T>) -> Result<T> {
        let ended = run()?;
        self.prune_after_block();
        Ok(ended)
    }

    fn is_new(&self, number: u64) -> bool {
        self.store.last_block().is_none_or(|last| number > last.number)
    }

    /// Prunes what the mode does not keep, once for a number of blocks. A failure is no failure of the
    /// block, which is committed: a later block tries again.
    fn prune_after_block(&self) {
        let HistoryMode::Window { blocks } = self.mode else { return };
        let stride = (blocks / PRUNINGS_PER_WINDOW).clamp(1, PRUNE_BLOCKS_MAX);
        let unpruned = self.unpruned_blocks.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if unpruned < stride {
            return;
        }
        let Ok(_alone) = self.pruning.try_lock() else { return };
        // Another pruning may have ended since; blocks that end during this one are for the next.
        let unpruned = self.unpruned_blocks.load(Ordering::Relaxed);
        let options = PruneOptions { steps_max: Some(PRUNE_STEPS_MAX), ..PruneOptions::default() };
        match self.history.prune_to_mode(options, &mut |_| {}) {
            Ok(report) if report.is_complete => {
                self.unpruned_blocks.fetch_sub(unpruned, Ordering::Relaxed);
            }
            Ok(report) => {
                tracing::info!(floor = %report.floor, "pruning goes on after the next block")
            }
            Err(error) => tracing::warn!(%error, "the past could not be pruned"),
        }
    }
}

/// There is nothing in it that a panic could have left half-done.
fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
