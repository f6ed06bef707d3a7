//! The runtime's handle.

use super::arguments;
use super::call::{self, Ending, Entry, Stop};
use super::frame::{Called, Transaction};
use super::module::Module;
use super::receipt::{CallArguments, CallContext, Receipt};
use super::shared::Shared;
use super::transact;
use super::trap::Trap;
use super::view::CallView;
use crate::config::ExecutionConfig;
use crate::layout::Version;
use crate::mvcc::{Acknowledgement, AutoGcConfig, CommitOptions, Isolation, MvccConfig, MvccStore};
use crate::state::{Journal, StateView};
use crate::storage::Storage;
use std::sync::Arc;
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::{Durability, Error, ErrorKind, Result};
use wasmtime::Val;

/// How often a commit is tried that checks nothing but that no two write at once.
const COMMIT_TRIES_MAX: u32 = 256;

/// Runs contracts over chain state.
///
/// Cheap to clone; every clone is the same runtime. Every method may be called from any thread: as many calls run at the same
/// time as [`ExecutionConfig::instances`] says, and further ones wait.
#[derive(Debug, Clone)]
pub struct Runtime(pub(super) Arc<Shared>);

impl Runtime {
    /// A runtime with the default configuration and every host pack that is linked into the program.
    ///
    /// It is the only one that changes the chain state in `storage`; for another runtime over the same state, see [`over`](Self::over).
    ///
    /// # Errors
    /// As [`with_config`](Self::with_config).
    pub fn new(storage: Storage) -> Result<Self> {
        Self::with_config(storage, &load::linked()?, &ExecutionConfig::default())
    }

    /// A runtime with these host packs; other plugins among `packs` are passed over.
    ///
    /// # Errors
    /// `ConfigInvalid`; `InvalidArgument` when two packs have a function of one name; `PermissionDenied` when others than the
    /// running user have access to the module cache; `Unsupported`, `Io`; those of [`MvccStore::open`].
    pub fn with_config(
        storage: Storage,
        packs: &[Plugin],
        config: &ExecutionConfig,
    ) -> Result<Self> {
        let auto_gc = Some(AutoGcConfig::default());
        let state = MvccConfig { digest: true, auto_gc, ..MvccConfig::default() };
        Self::over(MvccStore::open(storage, state)?, packs, config)
    }

    /// A runtime over the state of `store`, which others may use at the same time. Contracts are deployed to the storage beneath it, or into
    /// memory when there is none.
    ///
    /// # Errors
    /// As [`with_config`](Self::with_config).
    pub fn over(store: MvccStore, packs: &[Plugin], config: &ExecutionConfig) -> Result<Self> {
        Ok(Self(Arc::new(Shared::new(store, packs, config)?)))
    }

    /// Runs the export `add` of two `i32` parameters.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub fn execute_add(&self, wasm: &[u8], a: i32, b: i32) -> Result<i32> {
        let arguments = CallArguments::Values(vec![a.into(), b.into()]);
        let receipt = self.run(wasm, "add", &arguments, self.context())?;
        i32::try_from(returned(&receipt)).map_err(|_| {
            Error::new(ErrorKind::InvalidArgument, "execute", "the export \"add\" returns no i32")
        })
    }

    /// Runs a function without parameters and commits what it changed; its result, 0 when it has none.
    ///
    /// # Errors
    /// As [`module`](Self::module) and [`transact`](Self::transact); `InvalidArgument` when the contract traps,
    /// with the trap's name as the context `trap`.
    pub fn execute(
        &self,
        wasm: &[u8],
        function: &str,
        block_number: u64,
        timestamp: u64,
    ) -> Result<i64> {
        let context = CallContext { block_number, timestamp, ..self.context() };
        Ok(returned(&self.run(wasm, function, &CallArguments::default(), context)?))
    }

    /// As [`execute`](Self::execute); returns the result, the events' bytes, the block number and the timestamp.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub fn execute_with_context(
        &self,
        wasm: &[u8],
        function: &str,
        block_number: u64,
        timestamp: u64,
    ) -> Result<(i64, Vec<Vec<u8>>, u64, u64)> {
        let context = CallContext { block_number, timestamp, ..self.context() };
        let receipt = self.run(wasm, function, &CallArguments::default(), context)?;
        let result = returned(&receipt);
        let events = receipt.events.into_iter().map(|event| event.data).collect();
        Ok((result, events, block_number, timestamp))
    }

    /// Checks and compiles a contract, WASM or its text form, unless that has been done before.
    ///
    /// # Errors
    /// `InvalidArgument` with what is wrong and what would be accepted; an import that no host pack provides is named.
    pub fn module(&self, wasm_or_wat: &[u8]) -> Result<Module> {
        self.0.module(wasm_or_wat)
    }

    /// Stores the contract's code at its address; `true` when it was not there yet.
    ///
    /// # Behavior
    /// - It takes effect between the calls of [`transact`](Self::transact) and the blocks of this runtime, never within one: it waits for
    ///   those that run.
    /// - The version that is the newest at that moment is recorded with the code; see [`deployed_at`](Self::deployed_at).
    ///
    /// # Errors
    /// `InvalidArgument` for a contract of another runtime, and within a commit of this runtime, which it would wait for
    /// ([`deploy_and_transact`](Self::deploy_and_transact) deploys there); what the storage fails with.
    pub fn deploy(&self, module: &Module) -> Result<bool> {
        self.check_origin(module)?;
        if self.0.is_deployed(&module.address())? {
            return Ok(false);
        }
        let _alone = self.0.turns.alone("deploy")?;
        self.0.deploy_alone(module)
    }

    /// The version that was the newest when the contract at `address` was deployed; `None` when none is deployed there. It is 0 for a
    /// contract that was imported with a state, or that was deployed before this was recorded.
    ///
    /// # Errors
    /// `Corruption`; what the storage fails with.
    pub fn deployed_at(&self, address: &Address) -> Result<Option<Version>> {
        self.0.deployed_at(address)
    }

    /// The contract at `address`; `None` when none is deployed there.
    ///
    /// # Errors
    /// As [`module`](Self::module); `Corruption` when the stored code is not that contract's; what the storage fails with.
    pub fn deployed(&self, address: &Address) -> Result<Option<Module>> {
        self.0.deployed(address)
    }

    /// Calls a function of a contract on the newest state at the call's first read. Changes nothing.
    ///
    /// # Behavior
    /// - The contract need not be deployed; contracts that it calls must be.
    /// - A contract that is already running within the call cannot be called again: that call fails.
    /// - A trap is part of the receipt.
    ///
    /// # Errors
    /// `InvalidArgument` for a contract of another runtime, or a gas limit or input above the configured one; `Internal` for a
    /// defect of the engine or a host pack; what the storage fails with. Such a call has no receipt.
    pub fn call(
        &self,
        module: &Module,
        function: &str,
        arguments: &CallArguments,
        context: &CallContext,
    ) -> Result<Receipt> {
        let view = Box::new(CallView::new(self.0.store.clone()));
        self.call_on(view, module, function, arguments, context)
    }

    /// As [`call`](Self::call), on the state of `view`.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_on(
        &self,
        view: Box<dyn StateView>,
        module: &Module,
        function: &str,
        arguments: &CallArguments,
        context: &CallContext,
    ) -> Result<Receipt> {
        self.check_origin(module)?;
        self.check_bounds(arguments, context)?;
        let _permit = self.0.machine.permits.acquire();
        let called = &mut Called::default();
        self.call_permitted(view, module, function, arguments, context, called)
    }

    /// As [`call_on`](Self::call_on), for who has a permit, and a contract and bounds that were checked. Who runs many calls hands over what
    /// earlier ones `called`.
    pub(super) fn call_permitted(
        &self,
        view: Box<dyn StateView>,
        module: &Module,
        function: &str,
        arguments: &CallArguments,
        context: &CallContext,
        called: &mut Called,
    ) -> Result<Receipt> {
        let mut transaction = Box::new(Transaction {
            runtime: Arc::clone(&self.0),
            journal: Journal::new(view),
            block_number: context.block_number,
            timestamp: context.timestamp,
            running: Vec::new(),
            called: std::mem::take(called),
        });
        let resolved = match module.0.exports.get(function) {
            Some(export) => arguments::resolve(arguments, &export.signature),
            None => Err(Trap::MissingExport { function: function.to_owned() }),
        };
        let ending = match resolved {
            Ok((values, input)) => {
                let entry = entry(module, function, values, input, context);
                let ending;
                (transaction, ending) = call::run(transaction, entry);
                ending
            }
            Err(trap) => Ending::refused(trap, context.gas_limit),
        };
        *called = std::mem::take(&mut transaction.called);
        receipt(*transaction, ending)
    }

    /// Writes what a call changed, as one transaction, whatever has happened since the call; [`transact`](Self::transact) checks that.
    ///
    /// # Errors
    /// `InvalidArgument` for a receipt with a trap; `BatchTooLarge`; `Conflict` when others write the same keys again and again; what the
    /// storage fails with.
    pub fn commit(&self, receipt: &Receipt, durability: Durability) -> Result<()> {
        if let Some(trap) = &receipt.trap {
            let message = "a call that ended with a trap changes nothing and cannot be committed";
            return Err(Error::new(ErrorKind::InvalidArgument, "commit receipt", message)
                .with("trap", trap.name()));
        }
        if receipt.writes.is_empty() {
            return Ok(());
        }
        let acknowledgement = Some(match durability {
            Durability::Synced => Acknowledgement::Durable,
            Durability::Buffered => Acknowledgement::Visible,
        });
        let mut tries = COMMIT_TRIES_MAX;
        loop {
            let mut txn = self.0.store.begin_with(Isolation::Snapshot);
            let read_version = txn.read_version();
            transact::write(&mut txn, receipt)?;
            tries -= 1;
            match txn.commit_with(CommitOptions { acknowledgement, ..CommitOptions::default() }) {
                Err(conflict) if conflict.kind() == ErrorKind::Conflict && tries > 0 => {
                    self.0.store.wait_for_newer(read_version);
                }
                outcome => return outcome.map(drop),
            }
        }
    }

    /// The chain state.
    pub fn store(&self) -> &MvccStore {
        &self.0.store
    }

    /// The hash of everything that decides the gas of a call: the prices of instructions and of every host function.
    pub fn gas_schedule_hash(&self) -> [u8; 32] {
        self.0.schedule
    }

    /// The configuration.
    pub fn config(&self) -> &ExecutionConfig {
        &self.0.config
    }

    fn context(&self) -> CallContext {
        CallContext { gas_limit: self.0.config.gas_limit, ..CallContext::default() }
    }

    /// Calls and commits; a trap is an error.
    fn run(
        &self,
        wasm: &[u8],
        function: &str,
        arguments: &CallArguments,
        context: CallContext,
    ) -> Result<Receipt> {
        let module = self.module(wasm)?;
        self.execute_in(&module, function, arguments, &context)
    }

    fn check_origin(&self, module: &Module) -> Result<()> {
        if module.0.runtime == self.0.id {
            return Ok(());
        }
        let message = "the contract was compiled by another runtime; compile it with this one";
        Err(Error::new(ErrorKind::InvalidArgument, "use contract", message))
    }

    pub(super) fn check_bounds(
        &self,
        arguments: &CallArguments,
        context: &CallContext,
    ) -> Result<()> {
        let config = &self.0.config;
        let refused = |message| Err(Error::new(ErrorKind::InvalidArgument, "call", message));
        if context.gas_limit > config.gas_limit {
            let (asked, most) = (context.gas_limit, config.gas_limit);
            return refused(format!("a gas limit of {asked} is above the configured {most}"));
        }
        match arguments {
            CallArguments::Input(input) if input.len() as u64 > config.input_bytes_max.0 => {
                let (bytes, most) = (input.len(), config.input_bytes_max);
                refused(format!("an input of {bytes} bytes is above the configured {most}"))
            }
            _ => Ok(()),
        }
    }
}

fn entry(
    module: &Module,
    function: &str,
    values: Vec<Val>,
    input: Vec<u8>,
    context: &CallContext,
) -> Entry {
    Entry {
        module: module.clone(),
        function: function.to_owned(),
        caller: context.caller,
        values,
        input,
        gas_limit: context.gas_limit,
        read_only: context.read_only,
    }
}

fn receipt(transaction: Transaction, ending: Ending) -> Result<Receipt> {
    let gas_used = ending.gas_used;
    let changes = transaction.journal.into_changes();
    match ending.outcome {
        Ok(returned) => {
            let result = returned.result.map(|(_, value)| value);
            let output = returned.output.unwrap_or_default();
            Ok(Receipt::succeeded(changes, result, output, gas_used))
        }
        Err(Stop::Trap(trap)) => Ok(Receipt::trapped(changes, trap, gas_used)),
        Err(Stop::Error(error)) => Err(error),
    }
}

fn returned(receipt: &Receipt) -> i64 {
    receipt.result.unwrap_or_default()
}
