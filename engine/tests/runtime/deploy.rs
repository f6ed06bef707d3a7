//! What is refused when a contract is handed in, and what the author is told.

use crate::support::{Bench, contract};
use supervm_engine::config::ExecutionConfig;
use supervm_plugin_sdk::{ByteSize, ErrorKind};

#[test]
fn a_missing_pack_is_named_with_what_is_loaded_and_the_nearest_name() {
    let refusal = Bench::new().refusal(
        r#"(module (import "storage_apy" "storage_get" (func (param i32 i32) (result i64))))"#,
    );
    assert_eq!(
        refusal,
        "the contract imports \"storage_apy\".\"storage_get\", and no host pack provides \"storage_apy\"; loaded: chain_api, \
         crypto_api, storage_api; did you mean \"storage_api\"?"
    );
    let far = Bench::new().refusal(r#"(module (import "env" "print" (func)))"#);
    assert!(!far.contains("did you mean"), "{far}");
}

#[test]
fn a_missing_function_is_named_with_the_nearest_one() {
    let refusal = Bench::new().refusal(
        r#"(module (import "storage_api" "storage_gte" (func (param i32 i32) (result i64))))"#,
    );
    assert_eq!(
        refusal,
        "the contract imports \"storage_api\".\"storage_gte\", which the host pack \"storage_api\" does not have; did you mean \
         \"storage_get\"?"
    );
}

#[test]
fn an_import_of_another_type_is_told_the_right_one() {
    let refusal = Bench::new().refusal(
        r#"(module (import "storage_api" "storage_get" (func (param i32) (result i32))))"#,
    );
    assert_eq!(
        refusal,
        "the contract imports \"storage_api\".\"storage_get\" as (i32) -> (i32); it is (i32, i32) -> (i64)"
    );
}

#[test]
fn only_functions_can_be_imported() {
    for import in [r#"(memory 1)"#, r#"(table 1 funcref)"#, r#"(global i32)"#] {
        let refusal =
            Bench::new().refusal(&format!(r#"(module (import "chain_api" "x" {import}))"#));
        assert!(refusal.contains("which is no function"), "{refusal}");
    }
}

#[test]
fn a_contract_that_hands_out_pointers_exports_its_memory() {
    let bench = Bench::new();
    let import = r#"(import "chain_api" "emit_event" (func (param i32 i32) (result i32)))"#;
    let refusal = bench.refusal(&format!("(module {import} (memory 1))"));
    assert_eq!(
        refusal,
        "the contract imports \"chain_api\".\"emit_event\", which takes a pointer, but exports no memory named \"memory\"; export \
         its memory under that name"
    );
    bench.module(&format!(r#"(module {import} (memory (export "memory") 1))"#));
    bench.module(r#"(module (import "chain_api" "timestamp" (func (result i64))))"#);
}

#[test]
fn a_start_function_is_refused() {
    let refusal = Bench::new().refusal("(module (func $f) (start $f))");
    assert!(refusal.contains("start function"), "{refusal}");
}

#[test]
fn instructions_of_other_proposals_are_refused() {
    let cases = [
        ("simd", "(module (func (drop (v128.const i64x2 1 2))))"),
        ("threads", "(module (memory 1 1 shared))"),
        ("memory64", "(module (memory i64 1))"),
        ("tail calls", "(module (func $f (return_call $f)))"),
        ("exceptions", "(module (tag))"),
        ("multi-memory", "(module (memory 1) (memory 1))"),
        ("gc", "(module (type (struct)))"),
        ("externref", "(module (func (param externref)))"),
        ("extended constants", "(module (global i32 (i32.add (i32.const 1) (i32.const 1))))"),
        ("function references", "(module (type $t (func)) (func (param (ref $t))))"),
        ("two tables", "(module (table 1 funcref) (table 1 funcref))"),
        ("page size", "(module (memory 1 (pagesize 1)))"),
        (
            "wide arithmetic",
            "(module (func (param i64 i64) (result i64 i64) (i64.mul_wide_s (local.get 0) (local.get 1))))",
        ),
        ("component", "(component)"),
    ];
    let bench = Bench::new();
    for (proposal, wat) in cases {
        let error = bench.runtime.module(wat.as_bytes()).expect_err(proposal);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{proposal}: {error}");
    }
}

#[test]
fn floats_are_a_policy() {
    let wat = r#"(module (func (export "run") (result i32) (i32.trunc_f64_s (f64.sqrt (f64.const 16)))))"#;
    assert_eq!(Bench::new().run(wat).result, Some(4));
    let strict = Bench::with(ExecutionConfig { allow_floats: false, ..ExecutionConfig::default() });
    assert!(strict.refusal(wat).contains("float"), "{}", strict.refusal(wat));
}

#[test]
fn the_bits_of_a_nan_are_canonical() {
    let wat = r#"(module (func (export "run") (result i64)
        (i64.reinterpret_f64 (f64.add (f64.reinterpret_i64 (i64.const 0x7ff4dead0000beef)) (f64.const 1)))))"#;
    assert_eq!(Bench::new().run(wat).result, Some(0x7ff8_0000_0000_0000));
}

#[test]
fn every_size_is_bounded_and_the_bound_is_named() {
    let bench = Bench::with(ExecutionConfig {
        memory_bytes_max: ByteSize(1 << 20),
        table_elements_max: 100,
        ..ExecutionConfig::default()
    });
    let many = |count: usize, text: &str| text.repeat(count);
    let distinct =
        |count: usize, make: &dyn Fn(usize) -> String| (0..count).map(make).collect::<String>();
    let cases = [
        ("memory pages at the start", "(memory 17)".to_owned()),
        ("table elements", "(table 101 funcref)".to_owned()),
        ("parameters of a function", format!("(func (param {}))", many(65, "i32 "))),
        ("results of a function", format!("(type (func (result {})))", many(17, "i32 "))),
        ("locals of a function", format!("(func (local {}))", many(4097, "i32 "))),
        ("bytes of a function", format!("(func {})", many(140_000, "(drop (i32.const 1))"))),
        ("functions", many(20_001, "(func)")),
        ("globals", many(1_025, "(global i32 (i32.const 0))")),
        (
            "types",
            distinct(4_097, &|n| {
                let bit = |shift: u32| if n >> shift & 1 == 0 { "i32 " } else { "i64 " };
                format!("(type (func (param {})))", (0..13).map(bit).collect::<String>())
            }),
        ),
        ("imports", many(257, r#"(import "chain_api" "timestamp" (func (result i64)))"#)),
        (
            "exports",
            format!("(func $f){}", distinct(1_025, &|n| format!("(export \"{n}\" (func $f))"))),
        ),
        ("bytes of a name", format!("(func (export \"{}\"))", many(257, "x"))),
        ("data segments", format!("(memory 1){}", many(10_001, "(data \"\")"))),
        ("element segments", format!("(table 1 funcref){}", many(1_025, "(elem func)"))),
        ("module bytes", format!("(memory 1)(data (i32.const 0) \"{}\")", many(1 << 20, "x"))),
    ];
    for (bound, fields) in cases {
        let refusal = bench.refusal(&format!("(module {fields})"));
        assert!(refusal.contains(&format!("{bound}; at most")), "{bound}: {refusal}");
    }
}

#[test]
fn what_is_no_module_is_refused_with_its_place() {
    let bench = Bench::new();
    let text = bench.refusal("(module (func (export \"run\") (i32.ad)))");
    assert!(text.contains("not WASM, and not its text form either"), "{text}");
    for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0\x01\xff", b"\xff\xfe"] {
        let error = bench.runtime.module(bytes).map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{bytes:?}");
    }
}

#[test]
fn a_cut_binary_is_refused_wherever_it_is_cut() {
    let bench = Bench::new();
    let whole =
        wat::parse_str(contract(&["chain_api.timestamp()I"], r#"(func (export "run"))"#)).unwrap();
    let mut refused = 0;
    for length in 0..whole.len() {
        // A binary that is cut between two sections may be a whole one.
        if let Err(error) = bench.runtime.module(&whole[..length]) {
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{length}: {error}");
            refused += 1;
        }
    }
    assert!(refused > whole.len() * 9 / 10, "{refused} of {}", whole.len());
}
