//! Compiled contracts in memory: the most recently used ones, by bytes, and what the rejected ones were rejected for.

use super::module::Module;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Contracts whose rejection is remembered.
const REJECTED_MAX: usize = 1024;

/// The sha256 of a binary.
pub(super) type CodeHash = [u8; 32];

/// Compiled contracts, and one compilation at a time for each.
#[derive(Debug)]
pub(super) struct Cache {
    bytes_max: u64,
    kept: Mutex<Kept>,
    /// Held while a contract is compiled, so that others who want it wait for it instead of compiling it too.
    compiling: Mutex<HashMap<CodeHash, Arc<Mutex<()>>>>,
}

#[derive(Debug, Default)]
struct Kept {
    modules: HashMap<CodeHash, Entry>,
    /// The contracts by the time of their last use.
    used: BTreeMap<u64, CodeHash>,
    clock: u64,
    bytes: u64,
    rejected: HashMap<CodeHash, Error>,
    rejected_order: VecDeque<CodeHash>,
}

#[derive(Debug)]
struct Entry {
    module: Module,
    bytes: u64,
    used: u64,
}

impl Cache {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, kept: Mutex::default(), compiling: Mutex::default() }
    }

    /// The contract of this hash, when it is kept.
    pub(super) fn get(&self, hash: &CodeHash) -> Option<Module> {
        self.kept.lock().get(hash)?.ok()
    }

    /// The contract of this hash, or what `compile` makes of it. Only what is the contract's own fault is remembered as its
    /// rejection.
    pub(super) fn get_or_compile(
        &self,
        hash: &CodeHash,
        compile: impl FnOnce() -> Result<Module>,
    ) -> Result<Module> {
        if let Some(known) = self.kept.lock().get(hash) {
            return known;
        }
        let turn = Arc::clone(self.compiling.lock().entry(*hash).or_default());
        let _turn = turn.lock();
        if let Some(known) = self.kept.lock().get(hash) {
            return known;
        }
        let compiled = compile();
        match &compiled {
            Ok(module) => self.kept.lock().insert(*hash, module.clone(), self.bytes_max),
            Err(error) if error.kind() == ErrorKind::InvalidArgument => {
                self.kept.lock().reject(*hash, error);
            }
            Err(_) => {}
        }
        // IMPORTANT: after the result is kept, so that whoever comes next finds it.
        self.compiling.lock().remove(hash);
        compiled
    }
}

impl Kept {
    fn get(&mut self, hash: &CodeHash) -> Option<Result<Module>> {
        if let Some(rejection) = self.rejected.get(hash) {
            return Some(Err(rejection.repeated()));
        }
        let entry = self.modules.get_mut(hash)?;
        self.used.remove(&entry.used);
        self.clock += 1;
        entry.used = self.clock;
        self.used.insert(self.clock, *hash);
        Some(Ok(entry.module.clone()))
    }

    fn insert(&mut self, hash: CodeHash, module: Module, bytes_max: u64) {
        self.clock += 1;
        let bytes = (module.code_bytes() + module.wasm().len()) as u64;
        self.bytes += bytes;
        self.used.insert(self.clock, hash);
        self.modules.insert(hash, Entry { module, bytes, used: self.clock });
        while self.bytes > bytes_max && self.modules.len() > 1 {
            let Some((_, oldest)) = self.used.pop_first() else { return };
            if let Some(entry) = self.modules.remove(&oldest) {
                self.bytes -= entry.bytes;
            }
        }
    }

    fn reject(&mut self, hash: CodeHash, error: &Error) {
        if self.rejected.len() >= REJECTED_MAX
            && let Some(oldest) = self.rejected_order.pop_front()
        {
            self.rejected.remove(&oldest);
        }
        self.rejected.insert(hash, error.repeated());
        self.rejected_order.push_back(hash);
    }
}
