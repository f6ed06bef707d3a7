//! A host pack that is linked in, called through the boundary over a real environment's memory and state.
#![cfg(feature = "host")]

use std::collections::BTreeMap;
use supervm_plugin_sdk::host::{Address, CallOutcome, ContractCall, HostEnvironment};
use supervm_plugin_sdk::prelude::*;
use supervm_plugin_sdk::{PluginKind, load};

struct TestPack;

const I32: ValueType = ValueType::I32;

static FUNCTIONS: [HostFunction; 4] = [
    HostFunction::new("store", &[("key_ptr", I32), ("key_len", I32)], Some(I32)).body(
        |context, arguments| {
            let key = context.read(arguments.u32(0), arguments.u32(1))?;
            context.state_set(key, b"stored")?;
            Ok(HostValue::I32(key.len() as i32))
        },
    ),
    HostFunction::new("remember", &[("out_ptr", I32)], None).body(|context, arguments| {
        context.scratch(3).extend(b"!");
        let kept = std::mem::take(context.scratch(3));
        context.write(arguments.u32(0), &kept)?;
        *context.scratch(3) = kept;
        Ok(HostValue::None)
    }),
    HostFunction::new("explode", &[], None).body(|_, _| panic!("boom")),
    HostFunction::new("lie", &[], Some(I32)).body(|_, _| Ok(HostValue::I64(1))),
];

impl HostPack for TestPack {
    const MODULE: &'static str = "test_api";
    const DETERMINISTIC: bool = true;

    fn functions() -> &'static [HostFunction] {
        &FUNCTIONS
    }
}

export_plugin!(host_pack: TestPack, name: "test-pack");

#[derive(Default)]
struct Environment {
    memory: Vec<u8>,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
    scratch: [ByteBuf; 16],
}

impl HostEnvironment for Environment {
    fn memory(&mut self) -> &mut [u8] {
        &mut self.memory
    }
    fn guest_alloc(&mut self, _: u32) -> Result<u32, HostError> {
        Err(HostError::Abort { code: 1, message: "no alloc".into() })
    }
    fn call_guest(&mut self, _: &str, _: &[u64]) -> Result<u64, HostError> {
        Err(HostError::Abort { code: 1, message: "no export".into() })
    }
    fn state_get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool, HostError> {
        Ok(self.state.get(key).inspect(|found| value.set(found)).is_some())
    }
    fn state_set(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.state.insert(key.into(), value.into());
        Ok(())
    }
    fn state_delete(&mut self, key: &[u8]) -> Result<(), HostError> {
        self.state.remove(key);
        Ok(())
    }
    fn scan_open(&mut self, _: &[u8], _: Direction, _: u32) -> Result<u32, HostError> {
        Ok(0)
    }
    fn scan_next(&mut self, _: u32, _: &mut ByteBuf, _: &mut ByteBuf) -> Result<bool, HostError> {
        Ok(false)
    }
    fn scan_close(&mut self, _: u32) -> Result<(), HostError> {
        Ok(())
    }
    fn block_number(&mut self) -> u64 {
        1
    }
    fn timestamp(&mut self) -> u64 {
        2
    }
    fn caller(&mut self) -> Address {
        [3; 20]
    }
    fn self_address(&mut self) -> Address {
        [4; 20]
    }
    fn emit_event(&mut self, _: &[u8]) -> Result<(), HostError> {
        Err(HostError::ReadOnlyCall)
    }
    fn event_count(&mut self) -> u32 {
        0
    }
    fn event(&mut self, _: u32, _: &mut ByteBuf) -> bool {
        false
    }
    fn input(&mut self, _: &mut ByteBuf) {}
    fn set_output(&mut self, _: &[u8]) -> Result<(), HostError> {
        Ok(())
    }
    fn call_contract(
        &mut self,
        _: ContractCall<'_>,
        _: &mut ByteBuf,
    ) -> Result<CallOutcome, HostError> {
        Ok(CallOutcome::NotFound)
    }
    fn charge(&mut self, _: u64) -> Result<(), HostError> {
        Err(HostError::OutOfGas)
    }
    fn gas_remaining(&mut self) -> u64 {
        0
    }
    fn scratch(&mut self, slot: u32) -> &mut ByteBuf {
        &mut self.scratch[slot as usize]
    }
}

fn call(environment: &mut Environment, name: &str, arguments: &[u64]) -> Result<u64, HostError> {
    let plugins = load::linked().expect("linked plugins are sound");
    let pack = plugins.iter().find(|plugin| plugin.descriptor().kind == PluginKind::HostPack);
    let functions =
        pack.expect("export_plugin! registers the pack").host_functions().expect("a pack");
    let function = functions.iter().find(|function| function.name() == name);
    function.expect("the table has it").call(environment, arguments)
}

#[test]
fn a_function_reads_guest_memory_and_writes_state() {
    let mut environment = Environment { memory: b"..key..".to_vec(), ..Default::default() };
    assert_eq!(call(&mut environment, "store", &[2, 3]).expect("stores"), 3);
    assert_eq!(environment.state.get(&b"key"[..]), Some(&b"stored".to_vec()));
}

#[test]
fn an_access_outside_of_memory_is_out_of_bounds_and_changes_nothing() {
    for arguments in [[5, 3], [7, 1], [u64::from(u32::MAX), u64::from(u32::MAX)]] {
        let mut environment = Environment { memory: b"..key..".to_vec(), ..Default::default() };
        let error = call(&mut environment, "store", &arguments).expect_err("outside");
        assert!(matches!(error, HostError::OutOfBounds { .. }), "{error}");
        assert!(environment.state.is_empty());
    }
}

#[test]
fn scratch_lives_as_long_as_the_environment() {
    let mut environment = Environment { memory: vec![0; 4], ..Default::default() };
    call(&mut environment, "remember", &[0]).expect("writes");
    call(&mut environment, "remember", &[1]).expect("writes");
    assert_eq!(environment.memory, b"!!!\0");
}

#[test]
fn a_panic_and_a_result_of_another_type_end_the_call() {
    for (name, expected) in [("explode", "boom"), ("lie", "another type")] {
        let error = call(&mut Environment::default(), name, &[]).expect_err("fails");
        assert!(matches!(&error, HostError::Internal(what) if what.contains(expected)), "{error}");
    }
}
