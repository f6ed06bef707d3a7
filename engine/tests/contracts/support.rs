//! A chain in memory on which the example contracts run.

use std::path::Path;
use supervm_engine::config::ExecutionConfig;
use supervm_engine::mvcc::MvccStore;
use supervm_engine::runtime::{CallArguments, CallContext, Event, Module, Receipt, Runtime, Trap};
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::load;
use supervm_plugin_sdk::{Durability, PluginKind};

pub(crate) const ALICE: Address = [0xa1; 20];
pub(crate) const BOB: Address = [0xb0; 20];
pub(crate) const CAROL: Address = [0xca; 20];

/// The code that every contract here aborts with when its input has another length.
pub(crate) const WRONG_LENGTH: i32 = 1;

/// What a call leaves that succeeded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) output: Vec<u8>,
    /// Each with the contract that emitted it.
    pub(crate) events: Vec<(Address, Vec<u8>)>,
}

pub(crate) struct Chain {
    pub(crate) runtime: Runtime,
}

impl Chain {
    pub(crate) fn new() -> Self {
        let plugins = load::linked().unwrap().into_iter();
        let packs: Vec<_> =
            plugins.filter(|plugin| plugin.descriptor().kind == PluginKind::HostPack).collect();
        let runtime = Runtime::over(MvccStore::new(), &packs, &ExecutionConfig::default()).unwrap();
        Self { runtime }
    }

    /// Deploys the example contract of that name.
    pub(crate) fn deploy(&self, name: &str) -> Contract<'_> {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/contracts");
        let code = std::fs::read(examples.join(name).join(format!("{name}.wat"))).unwrap();
        self.deploy_code(&code)
    }

    pub(crate) fn deploy_code(&self, code: &[u8]) -> Contract<'_> {
        let module = self.runtime.module(code).unwrap();
        self.runtime.deploy(&module).unwrap();
        Contract { chain: self, module }
    }
}

/// A deployed contract.
pub(crate) struct Contract<'chain> {
    pub(crate) chain: &'chain Chain,
    pub(crate) module: Module,
}

impl Contract<'_> {
    pub(crate) fn address(&self) -> Address {
        self.module.address()
    }

    /// Calls without committing.
    pub(crate) fn receipt(&self, caller: Address, function: &str, input: &[u8]) -> Receipt {
        let context = CallContext { caller, ..CallContext::default() };
        self.call(&context, function, input)
    }

    fn call(&self, context: &CallContext, function: &str, input: &[u8]) -> Receipt {
        let input = CallArguments::Input(input.to_vec());
        self.chain.runtime.call(&self.module, function, &input, context).unwrap()
    }

    /// Calls and commits what must succeed.
    pub(crate) fn done(&self, caller: Address, function: &str, input: &[u8]) -> Done {
        let receipt = self.receipt(caller, function, input);
        assert_eq!(receipt.trap, None, "{function}");
        self.chain.runtime.commit(&receipt, Durability::Buffered).unwrap();
        let event = |event: Event| (event.contract, event.data.to_vec());
        Done { output: receipt.output, events: receipt.events.into_iter().map(event).collect() }
    }

    /// The output of a function that only reads, in a call that can do nothing else.
    pub(crate) fn view(&self, function: &str, input: &[u8]) -> Vec<u8> {
        let context = CallContext { read_only: true, ..CallContext::default() };
        let receipt = self.call(&context, function, input);
        assert_eq!(receipt.trap, None, "{function}");
        receipt.output
    }

    /// The number that a function of 8 bytes of output gives.
    pub(crate) fn number(&self, function: &str, input: &[u8]) -> u64 {
        u64::from_le_bytes(self.view(function, input).try_into().unwrap())
    }

    /// The code and message with which a call is aborted.
    pub(crate) fn refusal(&self, caller: Address, function: &str, input: &[u8]) -> (i32, String) {
        match self.receipt(caller, function, input).trap {
            Some(Trap::Abort { code, message }) => (code, message),
            other => panic!("{function} did not abort: {other:?}"),
        }
    }

    /// Calls that must be aborted with `code`, and with the same message each time.
    pub(crate) fn refuses(&self, caller: Address, function: &str, input: &[u8], code: i32) {
        let (found, message) = self.refusal(caller, function, input);
        assert_eq!(found, code, "{function}: {message}");
        assert!(message.is_ascii() && !message.is_empty(), "{function}: {message:?}");
    }

    /// Refuses every input that is not `len` bytes long.
    pub(crate) fn takes(&self, function: &str, len: usize) {
        for other in [0, 1, len.saturating_sub(1), len + 1, len + 2, 2 * len + 7, 100_000] {
            if other != len {
                self.refuses(ALICE, function, &vec![1; other], WRONG_LENGTH);
            }
        }
    }

    /// Everything that the contract keeps, in the order of the keys.
    pub(crate) fn state(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut txn = self.chain.runtime.store().begin_read_only();
        let all = txn.scan_prefix(b"", usize::MAX).unwrap();
        let of_contract = |(key, value): (Vec<u8>, Vec<u8>)| {
            let key = supervm_engine::state::StateKey::from_bytes(&key)?;
            (key.contract == self.address()).then_some((key.key, value))
        };
        all.into_iter().filter_map(of_contract).collect()
    }
}

/// Bytes one after the other.
pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An amount as contracts read it.
pub(crate) fn le(number: u64) -> [u8; 8] {
    number.to_le_bytes()
}
