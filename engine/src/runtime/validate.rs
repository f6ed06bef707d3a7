//! What a contract's binary may contain.

use super::compile_cost::{self, Exceeded, FunctionCost};
use super::link::Packs;
use crate::config::ExecutionConfig;
use supervm_plugin_sdk::host::ValueType;
use supervm_plugin_sdk::{Error, ErrorKind, Result};
use wasmparser::{
    BlockType, CompositeInnerType, ExternalKind, FuncType, FuncValidator, FuncValidatorAllocations,
    FunctionBody, Import, Operator, Parser, Payload, TypeRef, ValType, ValidPayload, Validator,
    ValidatorResources, WasmFeatures, WasmModuleResources,
};

/// Memories of a contract.
pub(super) const MEMORIES_MAX: u32 = 1;
/// Tables of a contract.
pub(super) const TABLES_MAX: u32 = 1;
const FUNCTIONS_MAX: u32 = 20_000;
const TYPES_MAX: u32 = 4_096;
const PARAMS_MAX: usize = 64;
const RESULTS_MAX: usize = 16;
const LOCALS_MAX: u64 = 4_096;
const FUNCTION_BYTES_MAX: usize = 256 << 10;
const GLOBALS_MAX: u32 = 1_024;
const IMPORTS_MAX: u32 = 256;
const EXPORTS_MAX: u32 = 1_024;
const NAME_BYTES_MAX: usize = 256;
const DATA_SEGMENTS_MAX: u32 = 10_000;
const ELEMENT_SEGMENTS_MAX: u32 = 1_024;
/// The name under which a contract exports its memory.
pub(super) const MEMORY: &str = "memory";

/// The proposals that a contract may use; those that the compiler is configured for.
pub(super) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::CALL_INDIRECT_OVERLONG)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::BULK_MEMORY_OPT)
    .union(WasmFeatures::MULTI_VALUE);

/// Checks that `wasm` is a contract that can run with these packs within these limits. Returns the units of work to compile it.
///
/// # Errors
/// `InvalidArgument` with what is wrong and what would be accepted.
pub(super) fn validate(wasm: &[u8], config: &ExecutionConfig, packs: &Packs) -> Result<u64> {
    at_most("module bytes", wasm.len() as u64, config.module_bytes_max.0)?;
    let mut features = FEATURES;
    features.set(WasmFeatures::FLOATS, config.allow_floats);
    let mut shape = Shape { config, packs, types: Vec::new(), pointers: None, memory: false };
    // Sizes first: the validator then only ever sees what is within them.
    for payload in Parser::new(0).parse_all(wasm) {
        shape.payload(&payload.map_err(malformed)?)?;
    }
    let units = instructions(wasm, features)?;
    match shape.pointers {
        Some(function) if !shape.memory => Err(refused(format!(
            "the contract imports {function}, which takes a pointer, but exports no memory named \"{MEMORY}\"; export its memory under that name"
        ))),
        _ => Ok(units),
    }
}

/// Validates the whole binary. Returns the units of work to compile its functions.
pub(super) fn instructions(wasm: &[u8], features: WasmFeatures) -> Result<u64> {
    let mut validator = Validator::new_with_features(features);
    let mut allocations = FuncValidatorAllocations::default();
    let mut functions = Vec::new();
    let mut parser = Parser::new(0);
    parser.set_features(features);
    for payload in parser.parse_all(wasm) {
        let payload = payload.map_err(malformed)?;
        if let ValidPayload::Func(function, body) =
            validator.payload(&payload).map_err(malformed)?
        {
            functions.push((function, body));
        }
    }
    let mut units = 0;
    for (function, body) in functions {
        let mut function = function.into_validator(allocations);
        units += function_units(&mut function, &body)?;
        let most = compile_cost::MODULE_UNITS_MAX;
        at_most("units of work to compile", units, most)?;
        allocations = function.into_allocations();
    }
    Ok(units)
}

/// Validates a function. Returns the units of work to compile it.
fn function_units(
    function: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
) -> Result<u64> {
    let index = function.index();
    let exceeded = |Exceeded { what, found, most }| {
        refused(format!(
            "the contract's function {index} has {found} {what}; at most {most} are accepted"
        ))
    };
    let mut reader = body.get_binary_reader();
    function.read_locals(&mut reader).map_err(malformed)?;
    let mut cost = FunctionCost::new(function.len_locals());
    while !reader.eof() {
        let offset = reader.original_position();
        let operator = reader.peek_operator(&function.visitor(offset)).map_err(malformed)?;
        let arity = arity(&operator, function.resources());
        let before = function.operand_stack_height();
        reader
            .visit_operator(&mut function.visitor(offset))
            .map_err(malformed)?
            .map_err(malformed)?;
        let height = before.max(function.operand_stack_height());
        cost.instruction(&operator, height.into(), arity).map_err(exceeded)?;
    }
    reader.finish_expression(&function.visitor(reader.original_position())).map_err(malformed)?;
    let units = cost.units();
    compile_cost::at_most("units of work to compile", units, compile_cost::FUNCTION_UNITS_MAX)
        .map_err(exceeded)?;
    Ok(units)
}

/// The numbers of values that a construct, or a called function, takes and leaves; none for other instructions.
fn arity(operator: &Operator<'_>, types: &ValidatorResources) -> (u64, u64) {
    let of_type = |index: u32| {
        let CompositeInnerType::Func(kind) = &types.sub_type_at(index)?.composite_type.inner else {
            return None;
        };
        Some((kind.params().len() as u64, kind.results().len() as u64))
    };
    let arity = match operator {
        Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
            match blockty {
                BlockType::Empty => None,
                BlockType::Type(_) => Some((0, 1)),
                BlockType::FuncType(index) => of_type(*index),
            }
        }
        Operator::Call { function_index } => {
            types.type_index_of_function(*function_index).and_then(of_type)
        }
        Operator::CallIndirect { type_index, .. } => of_type(*type_index),
        _ => None,
    };
    arity.unwrap_or_default()
}

/// What is known of the module while its sections pass by.
struct Shape<'a> {
    config: &'a ExecutionConfig,
    packs: &'a Packs,
    types: Vec<Option<FuncType>>,
    /// An imported host function that takes a pointer.
    pointers: Option<String>,
    memory: bool,
}

impl Shape<'_> {
    fn payload(&mut self, payload: &Payload<'_>) -> Result<()> {
        match payload {
            Payload::TypeSection(section) => {
                at_most("types", section.count().into(), TYPES_MAX.into())?;
                for group in section.clone() {
                    self.type_group(&group.map_err(malformed)?)?;
                }
            }
            Payload::ImportSection(section) => {
                at_most("imports", section.count().into(), IMPORTS_MAX.into())?;
                for import in section.clone().into_imports() {
                    self.import(&import.map_err(malformed)?)?;
                }
            }
            Payload::FunctionSection(section) => {
                at_most("functions", section.count().into(), FUNCTIONS_MAX.into())?;
            }
            Payload::TableSection(section) => {
                at_most("tables", section.count().into(), TABLES_MAX.into())?;
                for table in section.clone() {
                    let elements = table.map_err(malformed)?.ty.initial;
                    at_most("table elements", elements, self.config.table_elements_max.into())?;
                }
            }
            Payload::MemorySection(section) => self.memories(section)?,
            Payload::GlobalSection(section) => {
                at_most("globals", section.count().into(), GLOBALS_MAX.into())?;
            }
            Payload::ExportSection(section) => {
                at_most("exports", section.count().into(), EXPORTS_MAX.into())?;
                for export in section.clone() {
                    let export = export.map_err(malformed)?;
                    at_most("bytes of a name", export.name.len() as u64, NAME_BYTES_MAX as u64)?;
                    self.memory |= export.name == MEMORY && export.kind == ExternalKind::Memory;
                }
            }
            Payload::StartSection { .. } => {
                return Err(refused(
                    "the contract has a start function; export it and call it instead",
                ));
            }
            Payload::ElementSection(section) => {
                at_most("element segments", section.count().into(), ELEMENT_SEGMENTS_MAX.into())?;
            }
            Payload::DataSection(section) => {
                at_most("data segments", section.count().into(), DATA_SEGMENTS_MAX.into())?;
            }
            Payload::CodeSectionEntry(body) => {
                let bytes = body.as_bytes().len();
                at_most("bytes of a function", bytes as u64, FUNCTION_BYTES_MAX as u64)?;
                let mut locals = 0_u64;
                for group in body.get_locals_reader().map_err(malformed)? {
                    locals += u64::from(group.map_err(malformed)?.0);
                }
                at_most("locals of a function", locals, LOCALS_MAX)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn type_group(&mut self, group: &wasmparser::RecGroup) -> Result<()> {
        for kind in group.types() {
            let wasmparser::CompositeInnerType::Func(function) = &kind.composite_type.inner else {
                self.types.push(None);
                continue;
            };
            let (params, results) = (function.params().len(), function.results().len());
            at_most("parameters of a function", params as u64, PARAMS_MAX as u64)?;
            at_most("results of a function", results as u64, RESULTS_MAX as u64)?;
            self.types.push(Some(function.clone()));
        }
        Ok(())
    }

    fn memories(&self, section: &wasmparser::MemorySectionReader<'_>) -> Result<()> {
        at_most("memories", section.count().into(), MEMORIES_MAX.into())?;
        for memory in section.clone() {
            let pages = memory.map_err(malformed)?.initial;
            let most = self.config.memory_bytes_max.0 / crate::config::PAGE_BYTES;
            at_most("memory pages at the start", pages, most)?;
        }
        Ok(())
    }

    fn import(&mut self, import: &Import<'_>) -> Result<()> {
        let Import { module, name, ty } = *import;
        let TypeRef::Func(index) = ty else {
            return Err(refused(format!(
                "the contract imports \"{module}\".\"{name}\", which is no function; only functions of host packs can be imported"
            )));
        };
        let row = self.packs.find(module, name)?;
        let declared = self.types.get(index as usize).and_then(Option::as_ref);
        let declared = declared.ok_or_else(|| refused("an import has no type"))?;
        let function = &row.function;
        let params = function.params.iter().map(|(_, kind)| wasm_type(*kind));
        let results = function.result.iter().map(|kind| wasm_type(*kind));
        if !params.clone().eq(declared.params().iter().copied())
            || !results.clone().eq(declared.results().iter().copied())
        {
            return Err(refused(format!(
                "the contract imports \"{module}\".\"{name}\" as {}; it is {}",
                signature(declared.params().iter().copied(), declared.results().iter().copied()),
                signature(params, results)
            )));
        }
        if function.params.iter().any(|(name, _)| name == "ptr" || name.ends_with("_ptr")) {
            self.pointers.get_or_insert_with(|| format!("\"{module}\".\"{name}\""));
        }
        Ok(())
    }
}

fn wasm_type(kind: ValueType) -> ValType {
    match kind {
        ValueType::I32 => ValType::I32,
        ValueType::I64 => ValType::I64,
    }
}

fn signature(
    params: impl Iterator<Item = ValType>,
    results: impl Iterator<Item = ValType>,
) -> String {
    let list = |types: Vec<String>| types.join(", ");
    let params = list(params.map(|kind| kind.to_string()).collect());
    let results = list(results.map(|kind| kind.to_string()).collect());
    format!("({params}) -> ({results})")
}

fn at_most(what: &str, found: u64, most: u64) -> Result<()> {
    if found <= most {
        return Ok(());
    }
    Err(refused(format!("the contract has {found} {what}; at most {most} are accepted")))
}

fn malformed(error: wasmparser::BinaryReaderError) -> Error {
    let at = error.offset();
    refused(format!("not a contract that can run: {}", error.message())).with("offset", at)
}

pub(super) fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidArgument, "check contract", message)
}
