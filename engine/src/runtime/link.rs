//! The host functions that contracts import: the packs' tables, and the trampolines from wasmtime into them.
//!
//! The types of a function are checked once, here: wasmtime compares them with an import's when a module is linked, and the
//! trampoline then reads and writes raw values. A call of a host function that way costs a tenth of one with checked values.

#![expect(
    unsafe_code,
    reason = "raw values are as fast as a typed call; each block says why it is sound"
)]

use super::frame::Frame;
use super::gas;
use super::host::HostCall;
use super::validate::refused;
use std::mem::MaybeUninit;
use std::sync::Arc;
use supervm_plugin_sdk::host::{HostError, StateAccess, ValueType};
use supervm_plugin_sdk::load::{PackFunction, Plugin};
use supervm_plugin_sdk::{Error, ErrorKind, PluginKind, Result};
use wasmtime::{Caller, FuncType, Linker, ValRaw, ValType};

/// Most parameters of a host function.
const PARAMS_MAX: usize = 16;

/// A function of a host pack, with the import module it is found under.
#[derive(Debug)]
pub(super) struct PackRow {
    pub(super) module: String,
    /// The pack's place among the packs; names its scratch buffers.
    pub(super) pack: usize,
    pub(super) function: PackFunction,
}

/// The functions of every loaded host pack, sorted by module and name.
#[derive(Debug)]
pub(super) struct Packs {
    rows: Vec<Arc<PackRow>>,
    modules: Vec<String>,
}

impl Packs {
    /// Reads the tables of `plugins`; a plugin that is no host pack is passed over.
    pub(super) fn new(plugins: &[Plugin]) -> Result<Self> {
        let packs =
            plugins.iter().filter(|plugin| plugin.descriptor().kind == PluginKind::HostPack);
        let (mut rows, mut modules) = (Vec::new(), Vec::new());
        for (pack, plugin) in packs.enumerate() {
            let module = plugin.descriptor().module.clone().unwrap_or_default();
            for function in plugin.host_functions()? {
                if function.params.len() > PARAMS_MAX {
                    let name = function.name();
                    return Err(Error::new(
                        ErrorKind::Unsupported,
                        "load host pack",
                        format!(
                            "\"{module}\".\"{name}\" has too many parameters; at most {PARAMS_MAX} are accepted"
                        ),
                    ));
                }
                rows.push(Arc::new(PackRow { module: module.clone(), pack, function }));
            }
            modules.push(module);
        }
        rows.sort_by(|a: &Arc<PackRow>, b| a.name().cmp(&b.name()));
        if let Some(twice) = rows.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
            let (module, name) = twice[0].name();
            let message = format!("two host packs have the function \"{module}\".\"{name}\"");
            return Err(Error::new(ErrorKind::InvalidArgument, "load host packs", message));
        }
        Ok(Self { rows, modules })
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &PackRow> {
        self.rows.iter().map(|row| &**row)
    }

    /// The function `module`.`name`.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the pack or the function that is missing and what comes nearest.
    pub(super) fn find(&self, module: &str, name: &str) -> Result<&PackRow> {
        if let Ok(at) = self.rows.binary_search_by(|row| row.name().cmp(&(module, name))) {
            return Ok(&self.rows[at]);
        }
        if !self.modules.iter().any(|known| known == module) {
            let known = self.modules.join(", ");
            return Err(refused(format!(
                "the contract imports \"{module}\".\"{name}\", and no host pack provides \"{module}\"; loaded: {known}{}",
                nearest(module, self.modules.iter().map(String::as_str))
            )));
        }
        let others = self.rows.iter().filter(|row| row.module == module);
        Err(refused(format!(
            "the contract imports \"{module}\".\"{name}\", which the host pack \"{module}\" does not have{}",
            nearest(name, others.map(|row| row.function.name()))
        )))
    }

    /// A linker with every function.
    pub(super) fn linker(&self, engine: &wasmtime::Engine) -> Result<Linker<Frame>> {
        let mut linker = Linker::new(engine);
        for row in &self.rows {
            link(&mut linker, engine, row).map_err(|error| {
                Error::new(ErrorKind::Internal, "link host pack", format!("{error:#}"))
            })?;
        }
        Ok(linker)
    }
}

impl PackRow {
    fn name(&self) -> (&str, &str) {
        (&self.module, self.function.name())
    }
}

fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> String {
    let best = known
        .map(|name| (strsim::damerau_levenshtein(wanted, name), name))
        .min()
        .filter(|(distance, _)| *distance <= wanted.len().div_ceil(2));
    best.map_or_else(String::new, |(_, name)| format!("; did you mean \"{name}\"?"))
}

fn link(
    linker: &mut Linker<Frame>,
    engine: &wasmtime::Engine,
    row: &Arc<PackRow>,
) -> wasmtime::Result<()> {
    let kind = |kind: ValueType| match kind {
        ValueType::I32 => ValType::I32,
        ValueType::I64 => ValType::I64,
    };
    let function = &row.function;
    let params = function.params.iter().map(|(_, param)| kind(*param));
    let ty = FuncType::new(engine, params, function.result.map(kind));
    let (module, name) = row.name();
    let trampoline = {
        let row = Arc::clone(row);
        move |caller: Caller<'_, Frame>, values: &mut [MaybeUninit<ValRaw>]| {
            // SAFETY: wasmtime calls the trampoline with the values of the type it is registered with, which is the row's.
            unsafe { enter(&row, caller, values) }
        }
    };
    // SAFETY: the trampoline reads as many values as `ty` has parameters, in their types, and writes a result of its type;
    // none of the types is a reference.
    unsafe { linker.func_new_unchecked(module, name, ty, trampoline) }?;
    Ok(())
}

/// Calls the host function of `row` with `values` and puts its result in their place.
///
/// # Safety
/// `values` holds an initialised value of the row's type for each parameter and has room for the result.
#[inline]
unsafe fn enter(
    row: &PackRow,
    caller: Caller<'_, Frame>,
    values: &mut [MaybeUninit<ValRaw>],
) -> wasmtime::Result<()> {
    let function = &row.function;
    let mut arguments = [0_u64; PARAMS_MAX];
    for ((argument, value), (_, kind)) in arguments.iter_mut().zip(&*values).zip(&function.params) {
        // SAFETY: the caller's promise; the zip ends with the parameters.
        let value = unsafe { value.assume_init_ref() };
        *argument = match kind {
            ValueType::I32 => u64::from(value.get_u32()),
            ValueType::I64 => value.get_u64(),
        };
    }
    let arguments = &arguments[..function.params.len()];
    let mut call = HostCall::new(caller, row.pack);
    call.pay(gas::host_call(row, arguments)).map_err(wasmtime::Error::new)?;
    if function.state == StateAccess::Write && call.is_read_only() {
        return Err(wasmtime::Error::new(HostError::ReadOnlyCall));
    }
    let outcome = function.call(&mut call, arguments);
    if let Some(error) = call.ended() {
        return Err(error);
    }
    let bits = outcome.map_err(wasmtime::Error::new)?;
    match function.result {
        Some(ValueType::I32) => values[0] = MaybeUninit::new(ValRaw::i32(bits as i32)),
        Some(ValueType::I64) => values[0] = MaybeUninit::new(ValRaw::u64(bits)),
        None => {}
    }
    Ok(())
}
