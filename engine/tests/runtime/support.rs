//! What every test needs: a storage, a runtime, and contracts in a few lines.

use std::fmt::Write as _;
use supervm_engine::config::ExecutionConfig;
use supervm_engine::runtime::{CallArguments, CallContext, Module, Receipt, Runtime, Trap};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::{OpenMode, PluginKind};
use tempfile::TempDir;

/// A runtime over the memory backend. The runtime goes before its directory.
pub(crate) struct Bench {
    pub(crate) runtime: Runtime,
    pub(crate) storage: Storage,
    _dir: TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(ExecutionConfig::default())
    }

    pub(crate) fn with(config: ExecutionConfig) -> Self {
        Self::with_packs(config, &packs())
    }

    pub(crate) fn with_packs(config: ExecutionConfig, packs: &[Plugin]) -> Self {
        let dir = TempDir::new().unwrap();
        let storage = storage(&dir);
        let runtime = Runtime::with_config(storage.clone(), packs, &config).unwrap();
        Self { runtime, storage, _dir: dir }
    }

    pub(crate) fn module(&self, wat: &str) -> Module {
        self.runtime.module(wat.as_bytes()).unwrap()
    }

    /// Why `wat` is refused.
    pub(crate) fn refusal(&self, wat: &str) -> String {
        self.runtime.module(wat.as_bytes()).unwrap_err().message().to_owned()
    }

    pub(crate) fn call(&self, module: &Module, function: &str) -> Receipt {
        self.call_with(module, function, CallContext::default())
    }

    pub(crate) fn call_with(
        &self,
        module: &Module,
        function: &str,
        context: CallContext,
    ) -> Receipt {
        self.runtime.call(module, function, &CallArguments::default(), &context).unwrap()
    }

    /// Runs the function `run` of a contract.
    pub(crate) fn run(&self, wat: &str) -> Receipt {
        self.call(&self.module(wat), "run")
    }

    /// The trap that `run` ends with.
    pub(crate) fn trap(&self, wat: &str) -> Trap {
        self.run(wat).trap.expect("the contract traps")
    }

    /// The whole chain state.
    pub(crate) fn content(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut txn = self.runtime.store().begin_read_only();
        txn.scan_prefix(b"", usize::MAX).unwrap()
    }
}

/// The packs that contracts are written against.
pub(crate) fn packs() -> Vec<Plugin> {
    let plugins = load::linked().unwrap().into_iter();
    let of_contracts = |plugin: &Plugin| {
        let descriptor = plugin.descriptor();
        descriptor.kind == PluginKind::HostPack && descriptor.name != "test-pack"
    };
    plugins.filter(of_contracts).collect()
}

pub(crate) fn storage(dir: &TempDir) -> Storage {
    let plugins = load::linked().unwrap();
    let memory = plugins.iter().find(|plugin| plugin.descriptor().name == "memory").unwrap();
    let options = OpenOptions {
        dir: dir.path(),
        chain_id: 0,
        options: &toml::Table::new(),
        mode: OpenMode::Create,
        require: &[],
        durability: None,
    };
    Storage::open(memory, options).unwrap()
}

/// A contract with one page of memory and the host functions `imports`, each `module.name(params)result` with `i` and `I` for
/// the types `i32` and `i64`.
pub(crate) fn contract(imports: &[&str], body: &str) -> String {
    let mut wat = String::from("(module\n");
    for import in imports {
        let (module, rest) = import.split_once('.').unwrap();
        let (name, rest) = rest.split_once('(').unwrap();
        let (params, result) = rest.split_once(')').unwrap();
        let types = |letters: &str| letters.chars().map(wasm_type).collect::<Vec<_>>().join(" ");
        write!(wat, "  (import \"{module}\" \"{name}\" (func ${name} (param {})", types(params))
            .unwrap();
        writeln!(wat, " (result {})))", types(result)).unwrap();
    }
    format!("{wat}  (memory (export \"memory\") 1)\n{body})")
}

fn wasm_type(letter: char) -> &'static str {
    if letter == 'I' { "i64" } else { "i32" }
}

/// Bytes as they stand in a WAT string.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}\\{byte:02x}"))
}

pub(crate) const SET: &str = "storage_api.storage_set(iiii)i";
pub(crate) const GET: &str = "storage_api.storage_get(ii)I";
pub(crate) const EMIT: &str = "chain_api.emit_event(ii)i";
pub(crate) const CALL: &str = "chain_api.call(iiiiiI)i";
