//! What a host pack can and cannot do, over a pack of the test's own.

use crate::support::{Bench, contract, escaped};
use parking_lot::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use supervm_engine::config::ExecutionConfig;
use supervm_engine::runtime::{CallArguments, CallContext, Receipt, Runtime, Trap};
use supervm_engine::state::{StateRows, StateView};
use supervm_plugin_sdk::host::{CallOutcome, ContractCall};
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::prelude::*;

struct TestPack;

const I32: ValueType = ValueType::I32;

static FUNCTIONS: [HostFunction; 11] = [
    HostFunction::new("call_back", &[("times", I32)], Some(I32)).body(|context, arguments| {
        let bits = context.call_guest("back", &[arguments.u32(0).into()])?;
        Ok(HostValue::I32(bits as i32))
    }),
    HostFunction::new("swallow_call_back", &[], Some(I32)).body(|context, _| {
        let ended = context.call_guest("back", &[0]).is_err();
        Ok(HostValue::I32(ended.into()))
    }),
    HostFunction::new("place", &[("size", I32)], Some(I32)).body(|context, arguments| {
        let ptr = context.guest_alloc(arguments.u32(0))?;
        let filled = vec![7; arguments.u32(0) as usize];
        context.write(ptr, &filled)?;
        Ok(HostValue::I32(ptr as i32))
    }),
    HostFunction::new("sneak_write", &[], None).body(|context, _| {
        context.state_set(b"key", b"value")?;
        Ok(HostValue::None)
    }),
    HostFunction::new("swallow_read", &[], Some(I32)).body(|context, _| {
        let mut value = ByteBuf::new();
        let failed = context.state_get(b"key", &mut value).is_err();
        Ok(HostValue::I32(failed.into()))
    }),
    HostFunction::new("swallow_charge", &[], Some(I32))
        .body(|context, _| Ok(HostValue::I32(context.charge(u64::MAX).is_err().into()))),
    HostFunction::new("explode", &[], None).body(|_, _| panic!("boom")),
    HostFunction::new("keep", &[("value", I32)], Some(I32)).body(|context, arguments| {
        let kept = context.scratch(0);
        kept.extend(&[arguments.u32(0) as u8]);
        Ok(HostValue::I32(kept.len() as i32))
    }),
    HostFunction::new("sneak_call", &[("address_ptr", I32)], Some(I32)).body(
        |context, arguments| {
            let address = context.read(arguments.u32(0), 20)?.try_into().expect("20 bytes");
            let call =
                ContractCall { address: &address, function: "write", input: b"", gas: 100_000 };
            let outcome = context.call_contract(call, &mut ByteBuf::new())?;
            Ok(HostValue::I32(outcome as i32))
        },
    ),
    HostFunction::new("gate", &[], None).body(|_, _| {
        GATE.pass();
        Ok(HostValue::None)
    }),
    HostFunction::new("gas_left", &[], Some(ValueType::I64))
        .body(|context, _| Ok(HostValue::I64(context.gas_remaining() as i64))),
];

/// Where a call of `gate` waits; of one test.
pub(crate) static GATE: Gate = Gate(Mutex::new(None));

/// What holds a call until it is let go.
pub(crate) struct Gate(Mutex<Option<(Sender<()>, Receiver<()>)>>);

impl Gate {
    /// Holds the next call of `gate`: it sends when it has come there, and goes on when it is sent something.
    pub(crate) fn hold(&self) -> (Receiver<()>, Sender<()>) {
        let ((come, has_come), (let_go, go_on)) = (channel(), channel());
        *self.0.lock() = Some((come, go_on));
        (has_come, let_go)
    }

    fn pass(&self) {
        let held = self.0.lock().take();
        if let Some((come, go_on)) = held {
            come.send(()).unwrap();
            go_on.recv().unwrap();
        }
    }
}

impl HostPack for TestPack {
    const MODULE: &'static str = "test_api";
    const DETERMINISTIC: bool = true;

    fn functions() -> &'static [HostFunction] {
        &FUNCTIONS
    }
}

export_plugin!(host_pack: TestPack, name: "test-pack");

fn bench() -> Bench {
    Bench::with_packs(ExecutionConfig::default(), &[test_pack()])
}

pub(crate) fn test_pack() -> Plugin {
    let mut plugins = load::linked().unwrap().into_iter();
    plugins.find(|plugin| plugin.descriptor().name == "test-pack").unwrap()
}

/// A storage whose reads fail.
struct Broken;

impl StateView for Broken {
    fn get(&mut self, _: &[u8], _: &mut ByteBuf) -> supervm_plugin_sdk::Result<bool> {
        Err(Error::new(ErrorKind::Io, "get", "the disk is gone"))
    }

    fn rows(
        &mut self,
        _: KeyRange<'_>,
        _: Direction,
    ) -> supervm_plugin_sdk::Result<Box<dyn StateRows>> {
        Err(Error::new(ErrorKind::Io, "cursor", "the disk is gone"))
    }
}

fn run_on_broken(runtime: &Runtime, wat: &str) -> supervm_plugin_sdk::Result<Receipt> {
    let module = runtime.module(wat.as_bytes()).unwrap();
    let arguments = CallArguments::default();
    runtime.call_on(Box::new(Broken), &module, "run", &arguments, &CallContext::default())
}

#[test]
fn a_pack_calls_the_contract_back_and_memory_that_grew_meanwhile_is_seen() {
    let wat = contract(
        &["test_api.place(i)i"],
        r#"(func (export "alloc") (param i32) (result i32)
            (drop (memory.grow (i32.const 2)))
            (i32.const 131072))
        (func (export "run") (result i32)
            (i32.load8_u (i32.sub (i32.add (call $place (i32.const 60000)) (i32.const 60000)) (i32.const 1))))"#,
    );
    let receipt = bench().run(&wat);
    assert_eq!((receipt.trap, receipt.result), (None, Some(7)));
}

#[test]
fn a_contract_without_the_export_that_a_pack_needs_is_aborted() {
    let wat = contract(
        &["test_api.place(i)i"],
        r#"(func (export "run") (drop (call $place (i32.const 1))))"#,
    );
    let trap = bench().trap(&wat);
    assert!(
        matches!(&trap, Trap::Abort { message, .. } if message.contains("\"alloc\"")),
        "{trap:?}"
    );
}

#[test]
fn what_the_contracts_code_ends_with_ends_the_call_even_if_the_pack_swallows_it() {
    let wat = contract(
        &["test_api.swallow_call_back()i"],
        r#"(func (export "back") (param i32) (result i32) unreachable)
        (func (export "run") (result i32) (call $swallow_call_back))"#,
    );
    assert_eq!(bench().trap(&wat), Trap::Unreachable);
}

#[test]
fn endless_recursion_through_a_pack_overflows_the_stack() {
    let wat = contract(
        &["test_api.call_back(i)i"],
        r#"(func $back (export "back") (param i32) (result i32)
            (call $call_back (i32.add (local.get 0) (i32.const 1))))
        (func (export "run") (result i32) (call $back (i32.const 0)))"#,
    );
    assert_eq!(bench().trap(&wat), Trap::StackOverflow);
}

#[test]
fn a_pack_that_does_not_say_that_it_writes_cannot_write_in_a_read_only_call() {
    let wat = contract(&[], "").replacen(
        "(module",
        r#"(module (import "test_api" "sneak_write" (func $sneak)) (func (export "run") (call $sneak))"#,
        1,
    );
    let bench = bench();
    let module = bench.module(&wat);
    let context = CallContext { read_only: true, ..CallContext::default() };
    assert_eq!(bench.call_with(&module, "run", context).trap, Some(Trap::ReadOnlyCall));
    assert_eq!(bench.call(&module, "run").writes.len(), 1);
}

#[test]
fn a_contract_called_within_a_read_only_call_cannot_write_either() {
    let bench = bench();
    let callee = bench.module(
        r#"(module (import "test_api" "sneak_write" (func $sneak)) (func (export "write") (call $sneak)))"#,
    );
    bench.runtime.deploy(&callee).unwrap();
    let module = bench.module(&contract(
        &["test_api.sneak_call(i)i"],
        &format!(
            r#"(data (i32.const 0) "{}") (func (export "run") (result i32) (call $sneak_call (i32.const 0)))"#,
            escaped(&callee.address())
        ),
    ));
    let context = CallContext { read_only: true, ..CallContext::default() };
    let read_only = bench.call_with(&module, "run", context);
    assert_eq!(read_only.result, Some(CallOutcome::Failed as i64));
    let writing = bench.call(&module, "run");
    assert_eq!((writing.result, writing.writes.len()), (Some(CallOutcome::Ok as i64), 1));
}

#[test]
fn a_failed_read_of_the_storage_fails_the_call_even_if_the_pack_swallows_it() {
    let swallowing = contract(
        &["test_api.swallow_read()i"],
        r#"(func (export "run") (result i32) (call $swallow_read))"#,
    );
    let bench = bench();
    assert_eq!(run_on_broken(&bench.runtime, &swallowing).unwrap_err().kind(), ErrorKind::Io);
    let plain = contract(
        &[crate::support::GET],
        r#"(func (export "run") (drop (call $storage_get (i32.const 0) (i32.const 1))))"#,
    );
    let error = run_on_broken(&Bench::new().runtime, &plain).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Io, "the disk is gone"));
}

#[test]
fn a_pack_that_swallows_running_out_of_gas_does_not_save_the_call() {
    let wat = contract(
        &["test_api.swallow_charge()i"],
        r#"(func (export "run") (result i32) (call $swallow_charge))"#,
    );
    assert_eq!(bench().trap(&wat), Trap::OutOfGas);
}

#[test]
fn a_panic_of_a_pack_fails_the_call_and_the_runtime_goes_on() {
    let wat = r#"(module (import "test_api" "explode" (func $explode))
        (func (export "run") (call $explode)) (func (export "fine") (result i32) (i32.const 1)))"#;
    let bench = bench();
    let module = bench.module(wat);
    let context = CallContext::default();
    let outcome = bench.runtime.call(&module, "run", &CallArguments::default(), &context);
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert!(error.message().contains("boom"), "{error}");
    assert_eq!(bench.call(&module, "fine").result, Some(1));
}

#[test]
fn scratch_lives_as_long_as_the_call_and_no_longer() {
    let wat = contract(
        &["test_api.keep(i)i"],
        r#"(func (export "run") (result i32) (drop (call $keep (i32.const 1))) (call $keep (i32.const 2)))"#,
    );
    let bench = bench();
    let module = bench.module(&wat);
    for _ in 0..2 {
        assert_eq!(bench.call(&module, "run").result, Some(2));
    }
}

#[test]
fn a_pack_sees_the_gas_that_is_left() {
    let wat = contract(
        &["test_api.gas_left()I"],
        r#"(func (export "run") (result i64) (call $gas_left))"#,
    );
    let bench = bench();
    let receipt = bench.run(&wat);
    let left = receipt.result.unwrap() as u64;
    assert_eq!(left, CallContext::default().gas_limit - receipt.gas_used);
}

#[test]
fn two_packs_with_one_function_are_refused() {
    let dir = tempfile::TempDir::new().unwrap();
    let storage = crate::support::storage(&dir);
    let twice = [test_pack(), test_pack()];
    let error = Runtime::with_config(storage, &twice, &ExecutionConfig::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.message().contains("\"test_api\".\"call_back\""), "{error}");
}

#[test]
fn the_gas_schedule_covers_the_packs() {
    let with = bench().runtime.gas_schedule_hash();
    assert_ne!(with, Bench::new().runtime.gas_schedule_hash());
    assert_eq!(with, bench().runtime.gas_schedule_hash());
}
