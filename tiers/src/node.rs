//! A node: a profile, its plugins, the chain state and the runtime over it.

use crate::TierProfile;
use crate::chain::Chain;
use std::fmt;
use std::path::Path;
use std::sync::OnceLock;
use supervm_engine::block::BlockExecutor;
use supervm_engine::history::{AsOf, History};
use supervm_engine::layout::HistoryMode;
use supervm_engine::mvcc::{Block, MvccStore};
use supervm_engine::registry::Registry;
use supervm_engine::runtime::{
    BlockReceipts, BlockTransaction, CallArguments, CallContext, Receipt, Runtime,
};
use supervm_engine::storage::{MODULES_DIR, OpenOptions, Storage};
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::{Durability, Error, ErrorKind, Result};

/// An open node.
///
/// It may be used from any thread. Dropping it loses nothing that was promised; [`Node::close`] also makes buffered writes
/// durable.
pub struct Node {
    profile: TierProfile,
    registry: Registry,
    storage: Storage,
    chain: Chain,
    runtime: Runtime,
    /// Made when the first block is run: it has threads of its own.
    executor: OnceLock<BlockExecutor>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("storage", &self.storage).finish_non_exhaustive()
    }
}

impl Node {
    /// Opens the node that `profile` describes; its directory is made when it is missing.
    ///
    /// # Errors
    /// `ConfigInvalid` for a wrong value; `NotFound` for a plugin that is not there; those of loading a plugin and of opening the
    /// storage; `Unsupported` when the backend lacks what the profile requires.
    pub fn open(profile: TierProfile) -> Result<Self> {
        profile.check()?;
        let registry = Registry::new(&profile.plugins)?;
        let config = &profile.storage;
        let plugin = registry.storage(&config.backend, config.sha256.as_deref())?;
        let storage = Storage::open(&plugin, OpenOptions::from(config))?;
        tracing::info!(backend = storage.backend_name(), dir = %storage.dir().display(), "storage opened");
        let packs = registry.host_packs()?;
        let mut execution = profile.execution.clone();
        // Compiled contracts are kept with the data, unless the profile names another place.
        execution.module_cache_dir.get_or_insert_with(|| storage.dir().join(MODULES_DIR));
        let chain = Chain::open(&storage, HistoryMode::of(&profile.history))?;
        let runtime = Runtime::over(chain.store().clone(), &packs, &execution)?;
        Ok(Self { profile, registry, storage, chain, runtime, executor: OnceLock::new() })
    }

    /// Runs `function` of the contract and keeps what it wrote: deploys the contract when it is new, calls it, commits.
    ///
    /// # Behavior
    /// - Calls that run at the same time have the results of some order of them, one by one.
    /// - The first call that changes something in a block of a number above the last block's ends that block: the state after the block is the
    ///   one that it leaves. Later calls of the same number belong to the next block.
    /// - A call that ends in a trap changes nothing, and deploys nothing. One that changes nothing makes no version of the state.
    /// - In the history mode `window`, a call that ends a block also prunes what falls out of the window,
    ///   once for a number of blocks.
    ///
    /// # Errors
    /// `InvalidArgument` for a contract that does not validate, and for a new block of an earlier time than the last; those of the storage.
    /// A trap is no error: see [`Receipt::trap`]. When the write or the sync of the commit failed, the error's effect is `Unknown`, and the
    /// node that is opened anew tells whether the call took effect: see [`Txn::commit_with`](supervm_engine::mvcc::Txn::commit_with).
    pub fn run(
        &self,
        wasm_or_wat: &[u8],
        function: &str,
        arguments: &CallArguments,
        context: &CallContext,
    ) -> Result<Receipt> {
        let runtime = &self.runtime;
        let module = runtime.module(wasm_or_wat)?;
        if context.read_only {
            return runtime.call(&module, function, arguments, context);
        }
        runtime.deploy_and_transact(&module, function, arguments, context, |txn| {
            let writes = txn.writes_len();
            let version = self.chain.commit(txn, context)?;
            tracing::info!(writes, %version, "call committed");
            Ok(version)
        })
    }

    /// Runs a function without parameters in the given block, as [`Node::run`] does, and returns its result.
    ///
    /// # Errors
    /// As [`Node::run`]; `InvalidArgument` when the call ends in a trap or returns nothing.
    pub fn execute(
        &self,
        wasm_or_wat: &[u8],
        function: &str,
        block_number: u64,
        timestamp: u64,
    ) -> Result<i64> {
        let gas_limit = self.profile.execution.gas_limit;
        let context = CallContext { block_number, timestamp, gas_limit, ..CallContext::default() };
        let receipt = self.run(wasm_or_wat, function, &CallArguments::default(), &context)?;
        let refused = |message: String| Error::new(ErrorKind::InvalidArgument, "execute", message);
        match (receipt.trap, receipt.result) {
            (Some(trap), _) => Err(refused(format!("the call trapped: {trap}"))),
            (None, Some(result)) => Ok(result),
            (None, None) => Err(refused(format!("function \"{function}\" returns no result"))),
        }
    }

    /// Stores a contract's code, WASM or its text form, at the address that follows from it; no error when it is there already. It takes
    /// effect between calls and blocks, never within one; see [`Runtime::deploy`].
    ///
    /// # Errors
    /// `InvalidArgument` for a contract that does not validate; those of the storage.
    pub fn deploy(&self, wasm_or_wat: &[u8]) -> Result<Address> {
        let module = self.runtime.module(wasm_or_wat)?;
        self.runtime.deploy(&module)?;
        Ok(module.address())
    }

    /// Runs the transactions of a block on [`ExecutionConfig::threads`](supervm_engine::config::ExecutionConfig::threads) threads, with the
    /// result of running them one by one, and commits the block.
    ///
    /// # Behavior
    /// - After a crash the block is there whole or not at all.
    /// - In the history mode `window`, what falls out of the window is pruned, once for a number of blocks.
    ///
    /// # Errors
    /// As [`Runtime::run_block`]; `Io` when the threads cannot be started. When the error's effect is `Unknown`, the block is there after
    /// the node was opened anew, or it is not: the last block of [`store`](Self::store) tells.
    pub fn run_block(
        &self,
        block: Block,
        transactions: &[BlockTransaction],
    ) -> Result<BlockReceipts> {
        let executor = self.executor()?;
        self.chain.end_block(|| self.runtime.run_block(executor, block, transactions, None))
    }

    /// How many threads run the transactions of a block.
    ///
    /// # Errors
    /// `Io` when they cannot be started.
    pub fn block_threads(&self) -> Result<usize> {
        self.executor().map(BlockExecutor::threads)
    }

    fn executor(&self) -> Result<&BlockExecutor> {
        if let Some(executor) = self.executor.get() {
            return Ok(executor);
        }
        let made = BlockExecutor::new(self.profile.execution.threads as usize)?;
        // Another thread may have been faster; its executor is as good.
        Ok(self.executor.get_or_init(|| made))
    }

    /// Writes a copy of this moment's state into `dir`, which must not exist; the same profile opens it.
    ///
    /// # Errors
    /// As [`Storage::checkpoint`].
    pub fn checkpoint(&self, dir: &Path) -> Result<()> {
        self.storage.checkpoint(dir)
    }

    /// The profile that the node was made of.
    pub fn profile(&self) -> &TierProfile {
        &self.profile
    }

    /// How long a commit of this node lasts: what the profile says, or else the strongest that the backend has.
    pub fn durability(&self) -> Durability {
        self.storage.durability()
    }

    /// The plugins that the node can use.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// The node's storage.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }

    /// The node's chain state. What is committed there by others than [`Node::run`] is part of it like any other commit.
    pub fn store(&self) -> &MvccStore {
        self.chain.store()
    }

    /// The past of the chain state, as far as the profile keeps it.
    pub fn history(&self) -> &History {
        self.chain.history()
    }

    /// The state after a block.
    ///
    /// # Errors
    /// As [`History::as_of_block`].
    pub fn state_at(&self, block_number: u64) -> Result<AsOf> {
        self.history().as_of_block(block_number)
    }

    /// The node's runtime.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Makes everything durable and ends the use of the directory.
    ///
    /// # Errors
    /// `Busy` while snapshots or cursors live; `Io`, `NoSpace`.
    pub fn close(self) -> Result<()> {
        self.store().stop_auto_gc();
        self.storage.close()
    }
}
