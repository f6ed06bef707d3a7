//! A compiled contract.

use super::frame::Frame;
use super::validate;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use supervm_plugin_sdk::host::{Address, ValueType};
use wasmtime::{ExternType, InstancePre, ModuleExport, ValType};

/// A contract that has been checked, compiled and linked, ready to be called by the runtime that made it. Cheap to clone.
#[derive(Clone)]
pub struct Module(pub(super) Arc<Compiled>);

pub(super) struct Compiled {
    pub(super) address: Address,
    pub(super) wasm: Vec<u8>,
    pub(super) exports: BTreeMap<String, Export>,
    pub(super) memory: Option<ModuleExport>,
    pub(super) instance: InstancePre<Frame>,
    /// Gas for an instance of it.
    pub(super) instance_gas: u64,
    /// Gas for compiling it.
    pub(super) compile_gas: u64,
    /// The runtime that linked it.
    pub(super) runtime: u64,
}

/// A function that can be called.
pub(super) struct Export {
    pub(super) signature: Signature,
    pub(super) index: ModuleExport,
}

/// The type of an exported function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The parameters' types, in order.
    pub params: Vec<ValueType>,
    /// The result's type.
    pub result: Option<ValueType>,
}

impl Module {
    /// The contract's address: the first 20 bytes of the sha256 of its binary.
    pub fn address(&self) -> Address {
        self.0.address
    }

    /// The binary, whatever form it was given in.
    pub fn wasm(&self) -> &[u8] {
        &self.0.wasm
    }

    /// The functions that can be called, by name: those of integers, with at most one result.
    pub fn exports(&self) -> impl Iterator<Item = (&str, &Signature)> {
        self.0.exports.iter().map(|(name, export)| (name.as_str(), &export.signature))
    }

    /// Gas that compiling the contract is worth, the same on every node: the price of deploying it, for a chain that charges for
    /// deployments. Calls do not pay it.
    pub fn compile_gas(&self) -> u64 {
        self.0.compile_gas
    }

    /// Bytes of machine code.
    pub(super) fn code_bytes(&self) -> usize {
        let image = self.0.instance.module().image_range();
        (image.end as usize) - (image.start as usize)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({})", hex::encode(self.0.address))
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(")?;
        for (index, kind) in self.params.iter().enumerate() {
            write!(f, "{}{kind}", if index == 0 { "" } else { ", " })?;
        }
        f.write_str(")")?;
        self.result.map_or(Ok(()), |kind| write!(f, " -> {kind}"))
    }
}

/// The functions of `module` that can be called.
pub(super) fn exports(module: &wasmtime::Module) -> BTreeMap<String, Export> {
    let callable = module.exports().filter_map(|export| {
        let ExternType::Func(kind) = export.ty() else { return None };
        let params: Option<Vec<_>> = kind.params().map(|param| value_type(&param)).collect();
        let results: Option<Vec<_>> = kind.results().map(|result| value_type(&result)).collect();
        let (params, results) = (params?, results?);
        let signature = Signature { params, result: results.first().copied() };
        let index = module.get_export_index(export.name())?;
        (results.len() <= 1).then(|| (export.name().to_owned(), Export { signature, index }))
    });
    callable.collect()
}

/// Pages of memory that an instance begins with.
pub(super) fn initial_pages(module: &wasmtime::Module) -> u64 {
    module.resources_required().max_initial_memory_size.unwrap_or(0)
}

/// The memory that host functions see.
pub(super) fn memory(module: &wasmtime::Module) -> Option<ModuleExport> {
    matches!(module.get_export(validate::MEMORY), Some(ExternType::Memory(_)))
        .then(|| module.get_export_index(validate::MEMORY))
        .flatten()
}

fn value_type(kind: &ValType) -> Option<ValueType> {
    match kind {
        ValType::I32 => Some(ValueType::I32),
        ValType::I64 => Some(ValueType::I64),
        _ => None,
    }
}
