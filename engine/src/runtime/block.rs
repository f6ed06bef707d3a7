//! Blocks of calls.

use super::call::Ending;
use super::frame::Called;
use super::handle::Runtime;
use super::module::Module;
use super::pool::Permit;
use super::receipt::{CallArguments, CallContext, Receipt};
use super::transact::begins_anew;
use super::trap::Trap;
use crate::block::{
    AccessList, BlockExecutor, BlockLimits, BlockStats, BlockView, Ran, Refusal, Transactions,
};
use crate::layout::Version;
use crate::mvcc::{Acknowledgement, Block};
use crate::state::Changes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::panic::resume_unwind;
use std::thread::{self, available_parallelism};
use supervm_plugin_sdk::Result;
use supervm_plugin_sdk::host::Address;

/// How often a block is run when others than this runtime's calls commit meanwhile.
const TRIES_MAX: u32 = 16;

/// A transaction of a block: a call of a deployed contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockTransaction {
    /// The contract's address.
    pub contract: Address,
    /// The exported function.
    pub function: String,
    /// What it is called with.
    pub arguments: CallArguments,
    /// Who calls.
    pub sender: Address,
    /// Most gas that it may use, at most the configured limit.
    pub gas_limit: u64,
    /// What it says it touches; a hint that may save time.
    pub access: Option<AccessList>,
}

/// What a block leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockReceipts {
    /// One receipt for each transaction, in their order.
    pub receipts: Vec<Receipt>,
    /// The version of the state after the block.
    pub version: Version,
    /// The digest of the state after the block; zeros when the store keeps none.
    pub digest: [u8; 32],
    /// How the block was run. Unlike the rest it depends on chance.
    pub stats: BlockStats,
}

impl Runtime {
    /// Runs the transactions of a block, in their order, and commits what they changed, whole or not at all, as the end of the block.
    ///
    /// # Behavior
    /// - The receipts and the state are those of running the transactions one by one, whatever the number of threads.
    /// - A transaction that ends in a trap changes nothing and has a receipt like any other; so has one whose contract is not
    ///   deployed.
    /// - A transaction that changes more than a transaction may, alone or in a block, or that takes the block above
    ///   `execution.block_bytes_max`, ends in the trap `limit-exceeded`; those after it go on. So no block fails for what it
    ///   changes.
    /// - Calls by [`transact`](Self::transact) and deployments wait for the block: the contracts that
    ///   are deployed are those of its beginning. When anything else is committed meanwhile, the
    ///   block waits until that is visible and runs again, at most 16 times.
    ///
    /// # Errors
    /// - `InvalidArgument` for a block that does not follow the last one, for too many transactions, and for a gas limit or an input above
    ///   the configured one, with the transaction's index. Nothing was run then.
    /// - `Conflict` when others commit again and again.
    /// - Those of the storage. [`Error::effect`](supervm_plugin_sdk::Error::effect) tells whether nothing has changed: it is `Unknown` when the write
    ///   or the sync of the block failed. After the store was opened anew, [`last_block`](crate::mvcc::MvccStore::last_block) tells.
    pub fn run_block(
        &self,
        executor: &BlockExecutor,
        block: Block,
        transactions: &[BlockTransaction],
        acknowledgement: Option<Acknowledgement>,
    ) -> Result<BlockReceipts> {
        // Outside of the turn, for a contract that is not in memory can take seconds to compile.
        let mut calls = Calls::new(self, block, transactions)?;
        let _alone = self.0.turns.alone("run block")?;
        // IMPORTANT: within the turn, so that the contracts are those at the block's beginning. One
        // that was found stays deployed.
        calls.find_contracts()?;
        let mut tries = TRIES_MAX;
        loop {
            tries -= 1;
            let executed = match executor.execute(self.store(), &calls) {
                // The state that it ran on became too old for memory.
                Err(error) if begins_anew(&error) && tries > 0 => continue,
                executed => executed?,
            };
            let read_version = executed.read_version();
            match executor.commit(executed, block, acknowledgement) {
                Ok((receipts, stats, version)) => {
                    let last = self.store().last_block().filter(|last| last.version == version);
                    let digest = last.map_or([0; 32], |last| last.digest);
                    return Ok(BlockReceipts { receipts, version, digest, stats });
                }
                Err(error) if begins_anew(&error) && tries > 0 => {
                    // What the block conflicts with may still be on its way to the disk.
                    self.store().wait_for_newer(read_version);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The transactions of a block as calls of this runtime.
struct Calls<'a> {
    runtime: &'a Runtime,
    block: Block,
    transactions: &'a [BlockTransaction],
    /// The contracts that they call, so that no thread looks for one while the block runs; `None` = not deployed.
    contracts: HashMap<Address, Option<Module>>,
}

impl<'a> Calls<'a> {
    fn new(
        runtime: &'a Runtime,
        block: Block,
        transactions: &'a [BlockTransaction],
    ) -> Result<Self> {
        runtime.store().check_block(block)?;
        let mut calls = Self { runtime, block, transactions, contracts: HashMap::new() };
        for (index, transaction) in transactions.iter().enumerate() {
            let checked = runtime.check_bounds(&transaction.arguments, &calls.context(transaction));
            checked.map_err(|error| error.with("transaction", index))?;
            calls.contracts.entry(transaction.contract).or_default();
        }
        calls.find_contracts()?;
        Ok(calls)
    }

    /// Finds the contracts that were not found before. Those that are not in memory are loaded or
    /// compiled on several threads, because that can take seconds. They are not the compiler's own
    /// threads: one of these could wait for a compilation that needs it.
    fn find_contracts(&mut self) -> Result<()> {
        let runtime = self.runtime;
        let mut missing = Vec::new();
        for (address, place) in self.contracts.iter_mut().filter(|(_, place)| place.is_none()) {
            *place = runtime.0.in_memory(address);
            if place.is_none() {
                missing.push((address, place));
            }
        }
        let threads = available_parallelism().map_or(1, usize::from).min(missing.len());
        let missing = Mutex::new(missing);
        let find = || -> Result<()> {
            loop {
                let Some((address, place)) = missing.lock().pop() else { return Ok(()) };
                *place = runtime.deployed(address)?;
            }
        };
        if threads <= 1 {
            return find();
        }
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads).map(|_| scope.spawn(find)).collect();
            let found = find();
            let joined = others
                .into_iter()
                .map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.fold(found, Result::and)
        })
    }

    fn context(&self, transaction: &BlockTransaction) -> CallContext {
        CallContext {
            block_number: self.block.number,
            timestamp: self.block.timestamp,
            caller: transaction.sender,
            gas_limit: transaction.gas_limit,
            read_only: false,
        }
    }

    fn receipt(
        &self,
        called: &mut Called,
        transaction: &BlockTransaction,
        view: &BlockView,
    ) -> Result<Receipt> {
        let BlockTransaction { contract, function, arguments, gas_limit, .. } = transaction;
        match self.contracts.get(contract).and_then(Option::as_ref) {
            Some(module) => {
                let context = self.context(transaction);
                let view = Box::new(view.clone());
                self.runtime.call_permitted(view, module, function, arguments, &context, called)
            }
            None => {
                let trap = Trap::MissingContract { address: hex::encode(contract) };
                let gas_used = Ending::refused(trap.clone(), *gas_limit).gas_used;
                Ok(Receipt::trapped(Changes::default(), trap, gas_used))
            }
        }
    }
}

/// What a thread keeps from one transaction to the next, so that none asks for what all threads share.
struct Worker<'a> {
    /// A place in the instance pool.
    _permit: Permit<'a>,
    called: Called,
}

impl<'a> Transactions for Calls<'a> {
    type Output = Receipt;
    type Worker = Worker<'a>;

    fn len(&self) -> usize {
        self.transactions.len()
    }

    fn access(&self, index: usize) -> Option<&AccessList> {
        self.transactions[index].access.as_ref()
    }

    fn limits(&self) -> BlockLimits {
        let block_bytes_max = self.runtime.config().block_bytes_max.0 as usize;
        BlockLimits { block_bytes_max, ..BlockLimits::default() }
    }

    fn worker(&self) -> Worker<'a> {
        let permit = self.runtime.0.machine.permits.acquire();
        Worker { _permit: permit, called: Called::default() }
    }

    fn run(&self, worker: &mut Worker<'a>, index: usize, view: &BlockView) -> Result<Ran<Receipt>> {
        let receipt = self.receipt(&mut worker.called, &self.transactions[index], view)?;
        let write = |(key, value): (&crate::state::StateKey, &Option<Vec<u8>>)| {
            (key.to_bytes(), value.clone())
        };
        let writes = receipt.writes.iter().map(write).collect();
        Ok(Ran { output: receipt, writes })
    }

    fn refuse(&self, index: usize, receipt: Receipt, refusal: &Refusal) -> Receipt {
        let trap = Trap::LimitExceeded { what: refusal.to_string() };
        receipt.retracted(trap, self.transactions[index].gas_limit)
    }
}
