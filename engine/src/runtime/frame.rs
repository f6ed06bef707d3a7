//! What a running contract carries with it: the data of its store, and what all contracts of one call share.

use super::module::Module;
use super::shared::Shared;
use super::validate;
use crate::state::{Journal, Scan, StateView};
use std::collections::HashMap;
use std::sync::Arc;
use supervm_plugin_sdk::host::{Address, SCRATCH_SLOTS};
use supervm_plugin_sdk::{ByteBuf, Result};
use wasmtime::{Instance, Memory, ResourceLimiter};

/// What all contracts of one call share. It is handed from the calling contract to the called one and back.
pub(super) struct Transaction {
    pub(super) runtime: Arc<Shared>,
    pub(super) journal: Journal<Box<dyn StateView>>,
    pub(super) block_number: u64,
    pub(super) timestamp: u64,
    /// The contracts that are running, the first one first. No contract is in it twice.
    pub(super) running: Vec<Address>,
    /// Contracts that were called by others; kept from call to call by who runs many.
    pub(super) called: Called,
}

/// Contracts that were called by others, so that they are not looked for again. That a contract is deployed never ends.
#[derive(Default)]
pub(super) struct Called(HashMap<Address, Module>);

impl Called {
    /// Contracts that are kept; past it the memory starts anew.
    const MAX: usize = 256;

    /// The contract at `address`, when it is deployed.
    pub(super) fn find(&mut self, address: &Address, runtime: &Shared) -> Result<Option<Module>> {
        if let Some(module) = self.0.get(address) {
            return Ok(Some(module.clone()));
        }
        let found = runtime.deployed(address)?;
        if let Some(module) = &found {
            if self.0.len() >= Self::MAX {
                self.0.clear();
            }
            self.0.insert(*address, module.clone());
        }
        Ok(found)
    }
}

/// One running contract.
pub(super) struct Frame {
    /// Absent only while a called contract has it.
    transaction: Option<Box<Transaction>>,
    pub(super) module: Module,
    pub(super) instance: Option<Instance>,
    pub(super) memory: Option<Memory>,
    pub(super) caller: Address,
    pub(super) input: Vec<u8>,
    pub(super) output: Option<Vec<u8>>,
    pub(super) read_only: bool,
    /// Scans by their number; a closed one leaves its place to the next.
    pub(super) scans: Vec<Option<Scan>>,
    /// The packs' buffers, made when a pack asks for its first.
    scratch: Vec<Option<Box<[ByteBuf; SCRATCH_SLOTS]>>>,
    memory_bytes_max: usize,
    table_elements_max: usize,
}

impl Frame {
    pub(super) fn new(
        transaction: Box<Transaction>,
        module: Module,
        caller: Address,
        input: Vec<u8>,
        read_only: bool,
    ) -> Self {
        let config = &transaction.runtime.config;
        Self {
            memory_bytes_max: config.memory_bytes_max.0 as usize,
            table_elements_max: config.table_elements_max as usize,
            transaction: Some(transaction),
            module,
            instance: None,
            memory: None,
            caller,
            input,
            output: None,
            read_only,
            scans: Vec::new(),
            scratch: Vec::new(),
        }
    }

    pub(super) fn transaction(&mut self) -> &mut Transaction {
        self.transaction.as_mut().expect(TRANSACTION)
    }

    pub(super) fn take_transaction(&mut self) -> Box<Transaction> {
        self.transaction.take().expect(TRANSACTION)
    }

    pub(super) fn return_transaction(&mut self, transaction: Box<Transaction>) {
        self.transaction = Some(transaction);
    }

    pub(super) fn scratch(&mut self, pack: usize, slot: usize) -> &mut ByteBuf {
        if self.scratch.len() <= pack {
            self.scratch.resize_with(pack + 1, || None);
        }
        &mut self.scratch[pack].get_or_insert_with(Box::default)[slot]
    }
}

const TRANSACTION: &str = "a contract runs only while no contract that it called does";

impl ResourceLimiter for Frame {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.memory_bytes_max && maximum.is_none_or(|most| desired <= most))
    }

    /// The growth was within every limit, so the system refused it: that is no fact of the contract, and another node would
    /// see the growth succeed.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= self.table_elements_max && maximum.is_none_or(|most| desired <= most))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        validate::TABLES_MAX as usize
    }

    fn memories(&self) -> usize {
        validate::MEMORIES_MAX as usize
    }
}
