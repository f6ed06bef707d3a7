//! The rules of host packs, each broken by a function of this pack and kept by `sound`.

use std::sync::atomic::{AtomicI32, Ordering};
use supervm_conformance::pack::{Environment, Pack, PackCase, Rule};
use supervm_plugin_sdk::host::Parameter;
use supervm_plugin_sdk::prelude::*;

const I32: ValueType = ValueType::I32;
const REGION: &[Parameter] = &[("ptr", I32), ("len", I32)];

struct Broken;

/// Counts its calls, which no function may remember.
static CALLS: AtomicI32 = AtomicI32::new(0);

static FUNCTIONS: [HostFunction; 11] = [
    HostFunction::new(
        "sound",
        &[("key_ptr", I32), ("key_len", I32), ("value_ptr", I32), ("value_len", I32)],
        Some(I32),
    )
    .gas(1)
    .state(StateAccess::Write)
    .body(|context, arguments| {
        context.read(arguments.u32(2), arguments.u32(3))?;
        let key = context.read(arguments.u32(0), arguments.u32(1))?.to_vec();
        let value = vec![1; arguments.u32(3) as usize];
        if !key.is_empty() && key.len() <= 240 {
            context.state_set(&key, &value)?;
        }
        context.write(arguments.u32(2), &value)?;
        Ok(HostValue::I32(0))
    }),
    HostFunction::new("panics", &[("number", I32)], None).gas(1).body(|_, arguments| {
        assert_ne!(arguments.i32(0), i32::MIN, "the smallest number");
        Ok(HostValue::None)
    }),
    HostFunction::new("lies", &[], Some(I32)).gas(1).body(|_, _| Ok(HostValue::None)),
    HostFunction::new("ignores", REGION, Some(I32)).gas(1).body(|context, arguments| {
        let length =
            context.read(arguments.u32(0), arguments.u32(1)).map_or(-1, |it| it.len() as i32);
        Ok(HostValue::I32(length))
    }),
    HostFunction::new("greedy", REGION, None).gas(1).body(|context, arguments| {
        context.read(arguments.u32(0), arguments.u32(1).saturating_add(1))?;
        Ok(HostValue::None)
    }),
    HostFunction::new("early", REGION, None).gas(1).state(StateAccess::Write).body(
        |context, arguments| {
            context.emit_event(b"before the check")?;
            context.read(arguments.u32(0), arguments.u32(1))?;
            Ok(HostValue::None)
        },
    ),
    HostFunction::new("strays", REGION, None).gas(1).body(|context, arguments| {
        context.read(arguments.u32(0), arguments.u32(1))?;
        if !context.read(0, 1).unwrap_or_default().is_empty() {
            context.write(0, b"!")?;
        }
        Ok(HostValue::None)
    }),
    HostFunction::new("secret", &[], None).gas(1).body(|context, _| {
        context.state_get(b"key", &mut ByteBuf::new())?;
        Ok(HostValue::None)
    }),
    HostFunction::new("forgetful", &[], Some(I32))
        .gas(1)
        .body(|_, _| Ok(HostValue::I32(CALLS.fetch_add(1, Ordering::Relaxed)))),
    HostFunction::new("free", &[], None).body(|_, _| Ok(HostValue::None)),
    HostFunction::new("wide", &[("ptr", ValueType::I64), ("len", I32)], None)
        .gas(1)
        .body(|_, _| Ok(HostValue::None)),
];

impl HostPack for Broken {
    const MODULE: &'static str = "broken_api";
    const DETERMINISTIC: bool = true;

    fn functions() -> &'static [HostFunction] {
        &FUNCTIONS
    }
}

export_plugin!(host_pack: Broken, name: "broken");

/// The broken rules of `function`, and what is said of them.
fn broken(cases: &[PackCase], function: &str) -> Vec<(Rule, String)> {
    let of_function = cases.iter().filter(|case| case.function.as_deref() == Some(function));
    of_function.filter_map(|case| Some((case.rule, case.failure.clone()?))).collect()
}

#[test]
fn each_broken_rule_is_found_and_named_with_the_call() {
    let cases = Pack::linked("broken").unwrap().check(1, |_| ());
    assert_eq!(broken(&cases, "sound"), []);
    for (function, rule, said) in [
        ("panics", Rule::Panic, "panics(2147483648) "),
        ("lies", Rule::Panic, "another type"),
        ("ignores", Rule::Bounds, "outside of 4096 bytes of memory"),
        ("greedy", Rule::Inside, "greedy(4063, 33) is inside, yet"),
        ("early", Rule::TrapChangesNothing, "changed something before it ended"),
        ("strays", Rule::Writes, "changed the byte at 0"),
        ("secret", Rule::State, "declared as None and does a Read"),
        ("forgetful", Rule::Deterministic, "gave Ok("),
        ("free", Rule::Table, "it costs nothing"),
        ("wide", Rule::Table, "ptr is a pointer or a length and no i32"),
    ] {
        let found = broken(&cases, function);
        let names = found.iter().any(|(broken, text)| *broken == rule && text.contains(said));
        assert!(names, "{function}: {found:?}");
        assert_eq!(found.len(), 1, "{function}: {found:?}");
    }
}

#[test]
fn progress_names_every_function_once_in_order() {
    let pack = Pack::linked("broken").unwrap();
    let mut seen = Vec::new();
    pack.check(1, |function| seen.push(function.to_owned()));
    let names: Vec<_> = pack.functions().iter().map(|function| function.name()).collect();
    assert_eq!(seen, names);
}

#[test]
fn a_call_is_charged_and_a_write_is_refused_in_a_read_only_call() {
    let pack = Pack::linked("broken").unwrap();
    let mut environment = Environment::with_memory(vec![0; 64]);
    pack.call(&mut environment, "sound", &[0, 3, 8, 2]).unwrap();
    assert_eq!(environment.gas_used, 1);
    assert_eq!(environment.state[&vec![0; 3]], [1; 2]);
    environment.read_only = true;
    let refused = pack.call(&mut environment, "sound", &[0, 3, 8, 2]);
    assert!(matches!(refused, Err(HostError::ReadOnlyCall)), "{refused:?}");
    environment.gas_limit = 1;
    let broke = pack.call(&mut environment, "free", &[]);
    assert!(broke.is_ok(), "{broke:?}");
    let broke = pack.call(&mut environment, "panics", &[0]);
    assert!(matches!(broke, Err(HostError::OutOfGas)), "{broke:?}");
}

#[test]
#[should_panic(expected = "it costs nothing")]
fn assert_rules_panics_with_what_is_broken() {
    Pack::linked("broken").unwrap().assert_rules();
}
