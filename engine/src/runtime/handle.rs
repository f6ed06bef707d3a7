//! The runtime's handle.

use super::arguments;
use super::call::{self, Ending, Entry, Stop};
use super::frame::Transaction;
use super::module::Module;
use super::receipt::{CallArguments, CallContext, Receipt};
use super::shared::Shared;
use super::trap::Trap;
use super::view::CallView;
use crate::config::ExecutionConfig;
use crate::state::{Journal, StateView, code_key};
use crate::storage::Storage;
use std::sync::Arc;
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::{Durability, Error, ErrorKind, Result, WriteBatch};
use wasmtime::Val;

/// Runs contracts over a storage.
///
/// Cheap to clone; every clone is the same runtime. Every method may be called from any thread: as many calls run at the same
/// time as [`ExecutionConfig::instances`] says, and further ones wait.
#[derive(Debug, Clone)]
pub struct Runtime(Arc<Shared>);

impl Runtime {
    /// A runtime with the default configuration and every host pack that is linked into the program.
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
    /// running user have access to the module cache; `Unsupported`, `Io`.
    pub fn with_config(
        storage: Storage,
        packs: &[Plugin],
        config: &ExecutionConfig,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Shared::new(storage, packs, config)?)))
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
    /// As [`module`](Self::module), [`call`](Self::call) and [`commit`](Self::commit); `InvalidArgument` when the contract traps,
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
    /// # Errors
    /// `InvalidArgument` for a contract of another runtime; what the storage fails with.
    pub fn deploy(&self, module: &Module) -> Result<bool> {
        self.check_origin(module)?;
        let (storage, key) = (&self.0.storage, code_key(&module.address()));
        let new = storage.get(&key)?.is_none();
        if new {
            storage.set(&key, module.wasm())?;
        }
        Ok(new)
    }

    /// The contract at `address`; `None` when none is deployed there.
    ///
    /// # Errors
    /// As [`module`](Self::module); `Corruption` when the stored code is not that contract's; what the storage fails with.
    pub fn deployed(&self, address: &Address) -> Result<Option<Module>> {
        self.0.deployed(&self.0.storage, address)
    }

    /// Calls a function of a contract on the state that the storage has at the call's first read. Changes nothing.
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
        let view = Box::new(CallView::new(self.0.storage.clone()));
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
        let mut transaction = Box::new(Transaction {
            runtime: Arc::clone(&self.0),
            journal: Journal::new(view),
            block_number: context.block_number,
            timestamp: context.timestamp,
            running: Vec::new(),
        });
        let resolved = match module.0.exports.get(function) {
            Some(export) => arguments::resolve(arguments, &export.signature),
            None => Err(Trap::MissingExport { function: function.to_owned() }),
        };
        let ending = match resolved {
            Ok((values, input)) => {
                let entry = entry(module, function, values, input, context);
                let _permit = self.0.machine.permits.acquire();
                let ending;
                (transaction, ending) = call::run(transaction, entry);
                ending
            }
            Err(trap) => Ending::refused(trap, context.gas_limit),
        };
        receipt(*transaction, ending)
    }

    /// Writes what a call changed, as one batch.
    ///
    /// # Errors
    /// `InvalidArgument` for a receipt with a trap; what the storage fails with.
    pub fn commit(&self, receipt: &Receipt, durability: Durability) -> Result<()> {
        if let Some(trap) = &receipt.trap {
            let message = "a call that ended with a trap changes nothing and cannot be committed";
            return Err(Error::new(ErrorKind::InvalidArgument, "commit receipt", message)
                .with("trap", trap.name()));
        }
        if receipt.writes.is_empty() {
            return Ok(());
        }
        self.0.storage.write(&batch(receipt), durability)
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
        let receipt = self.call(&module, function, arguments, &context)?;
        if let Some(trap) = &receipt.trap {
            return Err(Error::new(ErrorKind::InvalidArgument, "execute", trap.to_string())
                .with("function", function)
                .with("trap", trap.name()));
        }
        self.commit(&receipt, self.0.storage.durability())?;
        Ok(receipt)
    }

    fn check_origin(&self, module: &Module) -> Result<()> {
        if module.0.runtime == self.0.id {
            return Ok(());
        }
        let message = "the contract was compiled by another runtime; compile it with this one";
        Err(Error::new(ErrorKind::InvalidArgument, "use contract", message))
    }

    fn check_bounds(&self, arguments: &CallArguments, context: &CallContext) -> Result<()> {
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

fn batch(receipt: &Receipt) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (key, value) in &receipt.writes {
        match value {
            Some(value) => batch.put(&key.storage_key(), value),
            None => batch.delete(&key.storage_key()),
        }
    }
    batch
}
