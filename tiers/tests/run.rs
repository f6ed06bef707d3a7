//! `supervm run`, from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Place, contract, storage_library};
use serde_json::{Value, json};

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn integers_are_the_parameters_and_the_result_is_printed() {
    let place = Place::new();
    let add = contract("add.wat");
    let ran = place.run(&["run", &add, "add", "7", "8"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.lines().any(|line| line.split_whitespace().eq(["result", "15"])),
        "{}",
        ran.stdout
    );
    assert_eq!(place.json(&["run", &add, "add", "-7", "-8"])["result"], -15);
    let out_of_range = place.run(&["run", &add, "add", "4294967296", "0", "--json"]);
    assert_eq!(out_of_range.code, 1);
    assert_eq!(out_of_range.object()["trap"]["name"], "bad-arguments");
}

#[test]
fn without_tier_and_config_the_state_is_in_sqlite_in_supervm_data() {
    let place = Place::new();
    let ran = place.json(&["run", &contract("add.wat"), "add", "1", "2"]);
    assert_eq!(ran["backend"], "sqlite");
    let manifest = std::fs::read_to_string(place.path().join("supervm-data/supervm.toml")).unwrap();
    assert!(manifest.contains("sqlite"), "{manifest}");
}

#[test]
fn a_call_reports_result_events_gas_reads_and_writes() {
    let place = Place::new();
    let demo = contract("demo.wat");
    let call = ["run", &demo, "process", "--block", "12345", "--timestamp", "1704067200"];
    let report = place.json(&call);
    let expected = [
        "backend", "contract", "events", "function", "gas_used", "output", "reads", "result",
        "trap", "writes",
    ];
    let mut found = keys(&report);
    found.sort_unstable();
    assert_eq!(found, expected);
    assert_eq!(report["result"], 1_704_079_545_i64);
    assert_eq!(report["trap"], Value::Null);
    assert!(report["gas_used"].as_u64().unwrap() > 0);
    let contract = report["contract"].as_str().unwrap();
    assert_eq!(contract.len(), 42);
    let event =
        json!({ "contract": contract, "data": "0x55736572416374696f6e", "text": "UserAction" });
    assert_eq!(report["events"][0], event);
    assert_eq!(report["events"][1]["text"], "BlockProcessed");
    let write = json!({
        "contract": contract, "key": "0x63616c6c73", "key_text": "calls", "value": "0x0100000000000000",
    });
    assert_eq!(report["writes"][0], write);
    assert_eq!(report["reads"][0]["key_text"], "calls");

    let text = place.run(&call).stdout;
    assert!(
        text.contains("UserAction") && text.contains("last_block = 0x3930000000000000"),
        "{text}"
    );
}

#[test]
fn a_second_run_sees_the_state_of_the_first_on_every_backend() {
    let ledger = contract("ledger.wat");
    for backend in ["lmdb", "memory", "sqlite"] {
        let place = Place::new();
        let run = |arguments: &[&str]| {
            place.json(&[&["run", "--backend", backend, &ledger], arguments].concat())
        };
        run(&["mint", "1", "1000"]);
        let transfer = run(&["transfer", "1", "2", "250"]);
        assert_eq!(transfer["events"][0]["text"], "transfer 1 2 250");
        assert_eq!(run(&["balance", "1"])["result"], 750, "{backend}");
        assert_eq!(run(&["balance", "2"])["result"], 250, "{backend}");
    }
}

#[test]
fn one_argument_in_hex_is_the_input_and_the_output_is_printed() {
    let place = Place::new();
    let ran = place.json(&["run", &contract("hashes.wat"), "sha256", "0x616263"]);
    let digest = "0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(ran["output"], digest);
    let empty = place.json(&["run", &contract("hashes.wat"), "keccak256", "0x"]);
    let digest = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470";
    assert_eq!(empty["output"], digest);
}

#[test]
fn what_is_neither_integer_nor_hex_is_wrong_usage() {
    let place = Place::new();
    let add = contract("add.wat");
    for argument in ["seven", "0x1", "99999999999999999999"] {
        let ran = place.run(&["run", &add, "add", argument]);
        assert_eq!(ran.code, 2, "{argument}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    assert_eq!(place.run(&["run", &add, "add", "1", "0x02"]).code, 2, "mixed");
    assert_eq!(place.run(&["run", &add]).code, 2, "no function");
    assert!(!place.path().join("supervm-data").exists(), "wrong usage leaves nothing behind");
}

#[test]
fn options_may_follow_the_arguments_and_gas_is_limited() {
    let place = Place::new();
    let demo = contract("demo.wat");
    let ran = place.run(&["run", &demo, "process", "--gas", "100", "--json"]);
    assert_eq!(ran.code, 1);
    let report = ran.object();
    assert_eq!(report["trap"]["name"], "out-of-gas");
    assert_eq!(report["gas_used"], 100);
    assert_eq!(place.run(&["run", &demo, "process", "--gas", "0"]).code, 1, "below the bound");
    let above = place.run(&["run", &demo, "process", "--gas", "20000000"]);
    assert_eq!(above.code, 0, "above the default: {}", above.stderr);
}

#[test]
fn the_sender_is_who_the_contract_sees() {
    let place = Place::new();
    let who = place.file(
        "who.wat",
        r#"(module
            (import "chain_api" "caller" (func $caller (param i32) (result i32)))
            (import "chain_api" "output" (func $output (param i32 i32) (result i32)))
            (memory (export "memory") 1)
            (func (export "who")
              (drop (call $caller (i32.const 0)))
              (drop (call $output (i32.const 0) (i32.const 20)))))"#,
    );
    let sender = "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf";
    let ran = place.json(&["run", who.to_str().unwrap(), "who", "--sender", sender]);
    assert_eq!(ran["output"], sender);
    assert_eq!(place.run(&["run", who.to_str().unwrap(), "who", "--sender", "0x12"]).code, 2);
}

#[test]
fn a_backend_by_path_is_the_backend_by_name() {
    let ledger = contract("ledger.wat");
    let library = storage_library("lmdb");
    let reports = ["lmdb", &library].map(|backend| {
        let place = Place::new();
        let run = |arguments: &[&str]| {
            place.json(&[&["run", "--backend", backend, &ledger], arguments].concat())
        };
        let receipts = [run(&["mint", "1", "10"]), run(&["transfer", "1", "2", "3"])];
        (receipts, place.digest(&["--backend", backend]))
    });
    assert_eq!(reports[0], reports[1]);

    let place = Place::new();
    place.json(&["run", "--backend", "lmdb", &ledger, "mint", "1", "10"]);
    let balance = place.json(&["run", "--backend", &library, &ledger, "balance", "1"]);
    assert_eq!(balance["result"], 10, "one opens what the other wrote");
}

#[test]
fn an_unknown_backend_function_or_contract_says_what_there_is() {
    let place = Place::new();
    let add = contract("add.wat");
    let backend = place.run(&["run", "--backend", "sqlit", &add, "add", "1", "2"]);
    assert_eq!(backend.code, 1);
    assert!(backend.stderr.contains("did you mean \"sqlite\"?"), "{}", backend.stderr);
    let function = place.run(&["run", &add, "sub", "1", "2"]);
    assert_eq!(function.code, 1);
    assert!(function.stderr.contains("missing-export"), "{}", function.stderr);
    assert!(
        function.stderr.contains("the contract exports add(i32, i32) -> i32"),
        "{}",
        function.stderr
    );
    let file = place.run(&["run", "nowhere.wat", "add"]);
    assert_eq!(file.code, 1);
    assert!(file.stderr.contains("nowhere.wat"), "{}", file.stderr);
    let text = place.file("broken.wat", "(module (func");
    assert_eq!(place.run(&["run", text.to_str().unwrap(), "f"]).code, 1);
}

#[test]
fn a_directory_of_another_backend_is_refused() {
    let place = Place::new();
    let add = contract("add.wat");
    place.json(&["run", "--backend", "lmdb", &add, "add", "1", "2"]);
    let other = place.run(&["run", "--backend", "sqlite", &add, "add", "1", "2", "--json"]);
    assert_eq!(other.code, 1);
    assert_eq!(other.error()["kind"], "format-mismatch");
    assert_eq!(other.stdout, "");
}

#[test]
fn compiled_contracts_are_kept_in_the_data_directory() {
    let place = Place::new();
    place.json(&["run", &contract("add.wat"), "add", "1", "2"]);
    let modules = place.path().join("supervm-data/modules");
    assert!(std::fs::read_dir(modules).unwrap().count() > 0);
}

#[test]
fn data_that_vanished_is_an_error_and_not_an_empty_chain() {
    for backend in ["sqlite", "lmdb", "memory"] {
        let place = Place::new();
        let ledger = contract("ledger.wat");
        place.json(&["run", "--backend", backend, &ledger, "mint", "1", "5"]);
        let store = place.path().join("supervm-data/store");
        std::fs::remove_dir_all(&store).unwrap();
        std::fs::create_dir(&store).unwrap();
        for command in [["run", &ledger, "balance", "1"].as_slice(), &["db", "put", "k", "v"]] {
            let ran = place.run(&[command, &["--backend", backend, "--json"]].concat());
            assert_eq!(ran.code, 1, "{backend}: {command:?}");
            assert_eq!(ran.error()["kind"], "corruption", "{backend}: {command:?}");
        }
    }
}

#[test]
fn a_committed_call_whose_receipt_cannot_be_written_says_that_it_was_committed() {
    let place = Place::new();
    let mut command = place.command(&["run", &contract("ledger.wat"), "mint", "1", "5"]);
    command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let ran = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the call was committed"), "{stderr}");
}

#[test]
fn a_file_that_is_too_large_for_a_contract_is_not_read_to_its_end() {
    let place = Place::new();
    let file = place.file("huge.wasm", "");
    std::fs::File::options().write(true).open(&file).unwrap().set_len(3 << 30).unwrap();
    let ran = place.run(&["run", file.to_str().unwrap(), "f"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("is larger than"), "{}", ran.stderr);
}
