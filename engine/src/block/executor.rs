//! Running a block.

use super::BLOCK_TRANSACTIONS_MAX;
use super::access::{AccessList, predecessors};
use super::crew::Crew;
use super::limits::{BlockLimits, Refusal};
use super::merged::Merged;
use super::pace::Pace;
use super::run::Run;
use super::stats::BlockStats;
use super::view::BlockView;
use crate::layout::Version;
use crate::mvcc::{Acknowledgement, Block, CommitOptions, Isolation, MvccStore, Txn};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Blocks of fewer transactions run one by one: waking the other threads takes as long.
const PARALLEL_TRANSACTIONS_MIN: usize = 8;

/// The transactions of a block, in their order.
pub trait Transactions: Sync {
    /// What is kept of a transaction.
    type Output: Send;
    /// What a thread has while it runs transactions of the block.
    type Worker;

    /// How many there are; at most [`BLOCK_TRANSACTIONS_MAX`].
    fn len(&self) -> usize;

    /// Are there none?
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the transaction at `index` says it touches; `None` when it says nothing.
    fn access(&self, _index: usize) -> Option<&AccessList> {
        None
    }

    /// How much the block and each of its transactions may change. Asked once, when the block begins to run.
    fn limits(&self) -> BlockLimits {
        BlockLimits::default()
    }

    /// Called by each thread that runs transactions, before its first.
    fn worker(&self) -> Self::Worker;

    /// Runs the transaction at `index` on the state of `view`. What it does must follow from that state alone.
    ///
    /// # Errors
    /// Only what is no fact of the transaction: the whole block fails then.
    fn run(
        &self,
        worker: &mut Self::Worker,
        index: usize,
        view: &BlockView,
    ) -> Result<Ran<Self::Output>>;

    /// Returns what is kept of the transaction at `index` instead of `output`, which its run gave: it changes more than the
    /// [`limits`](Self::limits), so its writes are dropped and those after it go on. No other transaction is merged meanwhile.
    ///
    /// It must follow from what it is given alone. A panic fails the block.
    fn refuse(&self, index: usize, output: Self::Output, refusal: &Refusal) -> Self::Output;
}

/// What a run of a transaction came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ran<T> {
    /// What is kept of it.
    pub output: T,
    /// The keys that it writes, each once; `None` = deleted.
    pub writes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Runs blocks on a number of threads. It learns from block to block whether running ahead pays.
pub struct BlockExecutor {
    threads: usize,
    /// Absent when the caller's thread is the only one.
    crew: Option<Crew>,
    pace: Mutex<Pace>,
    yields: Option<u64>,
}

impl fmt::Debug for BlockExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockExecutor").field("threads", &self.threads).finish_non_exhaustive()
    }
}

impl BlockExecutor {
    /// An executor that runs on `threads` threads, the caller's among them; 0 = as many as the system has processors.
    ///
    /// # Errors
    /// `Io` when the threads cannot be started.
    pub fn new(threads: usize) -> Result<Self> {
        let available = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = if threads == 0 { available() } else { threads };
        let crew = match threads {
            1 => None,
            _ => Some(Crew::new(threads)?),
        };
        Ok(Self { threads, crew, pace: Mutex::default(), yields: None })
    }

    /// Lets threads give way to each other now and then, as chance wants it that begins with `seed`; for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_yields(mut self, seed: u64) -> Self {
        self.yields = Some(seed);
        self
    }

    /// How many threads run transactions.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs a block on the newest state of `store`. Nothing is changed until the result is [committed](Self::commit).
    ///
    /// # Errors
    /// `InvalidArgument` for more than [`BLOCK_TRANSACTIONS_MAX`] transactions; what a transaction fails with; `Internal` when
    /// one panics.
    pub fn execute<T: Transactions>(
        &self,
        store: &MvccStore,
        transactions: &T,
    ) -> Result<Executed<T::Output>> {
        let count = transactions.len();
        if count > BLOCK_TRANSACTIONS_MAX {
            let refused =
                format!("a block has {count} transactions; at most {BLOCK_TRANSACTIONS_MAX}");
            return Err(Error::new(ErrorKind::InvalidArgument, "run block", refused));
        }
        // IMPORTANT: before any worker's view begins, so that none sees an older state than the commit is checked against.
        let mut txn = store.begin_with(Isolation::Snapshot);
        let merged = Arc::new(Merged::new(count));
        let lists = (0..count).map(|index| transactions.access(index));
        let predecessors = predecessors(lists);
        let view = || {
            BlockView::new(Arc::clone(&merged), store.begin_read_only()).with_yields(self.yields)
        };
        let run = Run::new(transactions, &merged, predecessors, self.pace.lock().clone());
        match &self.crew {
            Some(crew) if count >= PARALLEL_TRANSACTIONS_MIN && !run.is_one_by_one() => {
                crew.work(count, &|| run.work(&view()));
            }
            _ => run.one_by_one(&view()),
        }
        let (outputs, stats, pace) = run.finish()?;
        *self.pace.lock() = pace;
        merged.write_to(&mut txn)?;
        Ok(Executed { outputs, stats, txn })
    }

    /// Makes everything that the block changed take effect, whole or not at all, and ends the block.
    ///
    /// # Errors
    /// `Conflict` when anything was committed since the block began to run: run it again. As
    /// [`Txn::commit_with`], whose error also tells whether the block may have taken effect.
    pub fn commit<T>(
        &self,
        executed: Executed<T>,
        block: Block,
        acknowledgement: Option<Acknowledgement>,
    ) -> Result<(Vec<T>, BlockStats, Version)> {
        let Executed { outputs, stats, mut txn } = executed;
        let after = Some(txn.read_version());
        let options = CommitOptions { acknowledgement, block: Some(block), after };
        if let Some(crew) = &self.crew {
            txn.share_digest(|work| crew.work(self.threads, work));
        }
        let version = txn.commit_with(options)?;
        Ok((outputs, stats, version))
    }
}

/// A block that was run, not committed.
#[derive(Debug)]
#[must_use = "nothing is changed until it is committed"]
pub struct Executed<T> {
    /// What is kept of each transaction, in their order.
    pub outputs: Vec<T>,
    /// How the block was run.
    pub stats: BlockStats,
    txn: Txn,
}

impl<T> Executed<T> {
    /// Returns the version of the state that the block was run on.
    pub fn read_version(&self) -> Version {
        self.txn.read_version()
    }
}
