//! Every host function with every kind of bad pointer; the cases come from the packs' own tables.

use crate::support::{Bench, packs};
use supervm_engine::config::ExecutionConfig;
use supervm_engine::runtime::{CallContext, Trap};
use supervm_plugin_sdk::host::ValueType;
use supervm_plugin_sdk::load::PackFunction;

const PAGE: i64 = 65_536;

/// A contract that calls the function with the values of its globals.
fn caller(module: &str, function: &PackFunction, arguments: &[i64]) -> String {
    let params: String = function.params.iter().map(|(_, kind)| format!("{kind} ")).collect();
    let result = function.result.map_or(String::new(), |kind| format!("(result {kind})"));
    let pushed: String = function
        .params
        .iter()
        .zip(arguments)
        .map(|((_, kind), value)| match kind {
            ValueType::I32 => format!("(i32.const {}) ", *value as i32),
            ValueType::I64 => format!("(i64.const {value}) "),
        })
        .collect();
    let drop = if function.result.is_some() { "drop" } else { "" };
    format!(
        r#"(module (import "{module}" "{}" (func $f (param {params}) {result}))
            (memory (export "memory") 1)
            (func (export "run") {pushed} call $f {drop}))"#,
        function.name()
    )
}

/// The places of pointers among the parameters, each with the place of its length.
fn pointers(function: &PackFunction) -> Vec<(usize, Option<usize>)> {
    let named = |wanted: &str| function.params.iter().position(|(name, _)| name == wanted);
    let pointer = |(index, (name, _)): (usize, &(String, ValueType))| {
        let stem = if name == "ptr" { Some("") } else { name.strip_suffix("_ptr") }?;
        let length = if stem.is_empty() { "len".to_owned() } else { format!("{stem}_len") };
        Some((index, named(&length)))
    };
    function.params.iter().enumerate().filter_map(pointer).collect()
}

/// Calls with each pointer outside of memory, at its end, overflowing, and overlapping the others.
#[test]
fn no_host_function_reaches_outside_of_memory_whatever_it_is_given() {
    let gas_limit = 1 << 50;
    let bench = Bench::with(ExecutionConfig { gas_limit, ..ExecutionConfig::default() });
    let context = CallContext { gas_limit, ..CallContext::default() };
    let (mut functions, mut refusals) = (0, 0);
    for pack in packs() {
        let module = pack.descriptor().module.clone().unwrap();
        for function in pack.host_functions().unwrap() {
            functions += 1;
            for (ptr, len) in pointers(&function) {
                for (at, size) in [
                    (PAGE, 1),
                    (PAGE - 1, 2),
                    (-1, 1),
                    (-1, -1),
                    (1, -1),
                    (PAGE + 1, 0),
                    (0, PAGE + 1),
                ] {
                    let mut arguments = vec![0; function.params.len()];
                    arguments[ptr] = at;
                    let Some(len) = len else {
                        // The region has a fixed length, so the pointer decides alone.
                        if at == 0 || at == 1 {
                            continue;
                        }
                        refusals += refused(&bench, &module, &function, &arguments, &context);
                        continue;
                    };
                    arguments[len] = size;
                    refusals += refused(&bench, &module, &function, &arguments, &context);
                }
            }
            for value in [0, 1, PAGE - 64, PAGE] {
                let arguments = vec![value; function.params.len()];
                let wat = caller(&module, &function, &arguments);
                // Whatever comes of it, it is no failure of the node, and nothing outside of memory was touched.
                bench.call_with(&bench.module(&wat), "run", context.clone());
            }
        }
    }
    assert!(functions >= 30, "{functions} functions");
    assert!(refusals >= 150, "{refusals} refusals");
}

/// Calls the function and checks the trap; 1, to be counted.
fn refused(
    bench: &Bench,
    module: &str,
    function: &PackFunction,
    arguments: &[i64],
    context: &CallContext,
) -> usize {
    let wat = caller(module, function, arguments);
    let receipt = bench.call_with(&bench.module(&wat), "run", context.clone());
    let name = function.name();
    assert!(
        matches!(receipt.trap, Some(Trap::OutOfBounds { .. })),
        "{module}.{name}{arguments:?}: {:?} {:?}",
        receipt.trap,
        receipt.result
    );
    assert!(receipt.writes.is_empty() && receipt.events.is_empty());
    1
}
