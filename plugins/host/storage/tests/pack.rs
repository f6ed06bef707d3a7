//! The pack `storage_api` through the plugin boundary.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../testing/mod.rs"]
mod testing;

use supervm_host_storage::status::{self, INVALID_ARGUMENT, NOT_FOUND, OK};
use supervm_plugin_sdk::host::HostError;
use testing::{Environment, Pack, Pointer, Pointers, Use, check_documentation};

const POINTERS: &[Pointer] = &[
    ("storage_get", "key_ptr", Use::Input(None)),
    ("storage_has", "key_ptr", Use::Input(None)),
    ("storage_read_value", "ptr", Use::Output(None)),
    ("storage_set", "key_ptr", Use::Input(None)),
    ("storage_set", "value_ptr", Use::Input(None)),
    ("storage_delete", "key_ptr", Use::Input(None)),
    ("storage_scan", "prefix_ptr", Use::Input(None)),
    ("storage_scan_key", "ptr", Use::Output(None)),
    ("storage_scan_value", "ptr", Use::Output(None)),
];

/// A call whose memory begins with `memory`, over a state of five entries.
fn call_over(memory: &[u8]) -> (Pack, Environment) {
    let mut bytes = memory.to_vec();
    bytes.resize(512, b'.');
    let mut environment = Environment::with_memory(bytes);
    for (key, value) in [("a", "1"), ("b/1", "one"), ("b/2", ""), ("b/3", "three"), ("c", "3")] {
        environment.state.insert(key.into(), value.into());
    }
    (Pack::linked("storage"), environment)
}

/// What `function` copies of `len` bytes to 100, and its result.
fn copied(pack: &Pack, environment: &mut Environment, function: &str, len: u64) -> (i32, String) {
    environment.memory[100..].fill(b'.');
    let result = pack.status(environment, function, &[100, len]);
    let end = environment.memory[100..].iter().rposition(|byte| *byte != b'.');
    let bytes = &environment.memory[100..100 + end.map_or(0, |end| end + 1)];
    (result, String::from_utf8(bytes.to_vec()).unwrap())
}

#[test]
fn get_gives_the_length_and_keeps_the_value_for_any_number_of_reads() {
    let (pack, mut environment) = call_over(b"b/3");
    assert_eq!(pack.call(&mut environment, "storage_get", &[0, 3]).unwrap(), 5);
    for (len, expected) in [(5, "three"), (64, "three"), (2, "th"), (0, "")] {
        let (bytes, text) = copied(&pack, &mut environment, "storage_read_value", len);
        assert_eq!((bytes as usize, &*text), (expected.len(), expected));
    }
}

#[test]
fn get_of_an_absent_key_is_0_and_forgets_the_value_before() {
    let (pack, mut environment) = call_over(b"b/3x");
    pack.call(&mut environment, "storage_get", &[0, 3]).unwrap();
    assert_eq!(pack.call(&mut environment, "storage_get", &[0, 4]).unwrap(), 0);
    assert_eq!(copied(&pack, &mut environment, "storage_read_value", 64), (0, String::new()));
}

#[test]
fn has_tells_an_empty_value_from_an_absent_key_and_keeps_the_last_value() {
    let (pack, mut environment) = call_over(b"b/3b/2b/9");
    pack.call(&mut environment, "storage_get", &[0, 3]).unwrap();
    assert_eq!(pack.status(&mut environment, "storage_has", &[3, 3]), 1);
    assert_eq!(pack.status(&mut environment, "storage_has", &[6, 3]), 0);
    assert_eq!(copied(&pack, &mut environment, "storage_read_value", 64).1, "three");
}

#[test]
fn set_and_delete_change_the_state_and_a_read_only_call_refuses_them() {
    let (pack, mut environment) = call_over(b"newvalue");
    assert_eq!(pack.status(&mut environment, "storage_set", &[0, 3, 3, 5]), OK);
    assert_eq!(environment.state.get(&b"new"[..]), Some(&b"value".to_vec()));
    assert_eq!(pack.status(&mut environment, "storage_set", &[0, 3, 0, 0]), OK);
    assert_eq!(environment.state.get(&b"new"[..]), Some(&Vec::new()));
    assert_eq!(pack.status(&mut environment, "storage_delete", &[0, 3]), OK);
    assert_eq!(pack.status(&mut environment, "storage_delete", &[0, 3]), OK, "absent is fine");
    assert!(!environment.state.contains_key(&b"new"[..]));

    environment.read_only = true;
    for (function, arguments) in [("storage_set", &[0, 3, 3, 5][..]), ("storage_delete", &[0, 3])] {
        let error = pack.call(&mut environment, function, arguments).unwrap_err();
        assert!(matches!(error, HostError::ReadOnlyCall), "{function}: {error}");
    }
    assert_eq!(pack.call(&mut environment, "storage_get", &[0, 3]).unwrap(), 0);
}

#[test]
fn a_key_outside_of_its_bounds_ends_the_call() {
    for (function, arguments) in [
        ("storage_get", vec![0, 0]),
        ("storage_get", vec![0, 241]),
        ("storage_has", vec![0, 241]),
        ("storage_set", vec![0, 0, 0, 1]),
        ("storage_delete", vec![0, 241]),
    ] {
        let (pack, mut environment) = call_over(b"");
        let error = pack.call(&mut environment, function, &arguments).unwrap_err();
        assert!(matches!(error, HostError::LimitExceeded(_)), "{function}: {error}");
    }
}

#[test]
fn a_scan_walks_the_prefix_in_its_direction_up_to_its_limit() {
    for (limit, direction, expected) in [
        (0, 0, vec!["b/1=one", "b/2=", "b/3=three"]),
        (0, 1, vec!["b/3=three", "b/2=", "b/1=one"]),
        (2, 0, vec!["b/1=one", "b/2="]),
        (2, 1, vec!["b/3=three", "b/2="]),
    ] {
        let (pack, mut environment) = call_over(b"b/");
        let scan = pack.status(&mut environment, "storage_scan", &[0, 2, limit, direction]);
        assert!(scan >= 0);
        let mut found = Vec::new();
        while pack.status(&mut environment, "storage_scan_next", &[scan as u64]) == 1 {
            let (key_len, key) = copied(&pack, &mut environment, "storage_scan_key", 64);
            let (value_len, value) = copied(&pack, &mut environment, "storage_scan_value", 64);
            assert_eq!((key_len as usize, value_len as usize), (key.len(), value.len()));
            found.push(format!("{key}={value}"));
        }
        assert_eq!(found, expected, "limit {limit}, direction {direction}");
        assert_eq!(pack.status(&mut environment, "storage_scan_close", &[scan as u64]), OK);
    }
}

#[test]
fn an_empty_prefix_scans_the_whole_state_and_a_prefix_without_keys_nothing() {
    let (pack, mut environment) = call_over(b"z");
    for (prefix_len, entries) in [(0, 5), (1, 0)] {
        let scan = pack.status(&mut environment, "storage_scan", &[0, prefix_len, 0, 0]) as u64;
        let next = |_: &i32| pack.status(&mut environment, "storage_scan_next", &[scan]) == 1;
        assert_eq!((0..9).take_while(next).count(), entries);
    }
}

#[test]
fn the_current_entry_tells_its_whole_length_when_less_fits() {
    let (pack, mut environment) = call_over(b"b/3");
    let scan = pack.status(&mut environment, "storage_scan", &[0, 3, 0, 0]) as u64;
    pack.status(&mut environment, "storage_scan_next", &[scan]);
    assert_eq!(pack.status(&mut environment, "storage_scan_key", &[0, 0]), 3);
    assert_eq!(copied(&pack, &mut environment, "storage_scan_value", 2), (5, "th".into()));
}

#[test]
fn without_a_current_entry_its_parts_are_not_found() {
    let (pack, mut environment) = call_over(b"b/3");
    let parts = |environment: &mut Environment| {
        ["storage_scan_key", "storage_scan_value"].map(|part| copied(&pack, environment, part, 9).0)
    };
    assert_eq!(parts(&mut environment), [NOT_FOUND; 2], "before a scan");
    let scan = pack.status(&mut environment, "storage_scan", &[0, 3, 0, 0]) as u64;
    assert_eq!(parts(&mut environment), [NOT_FOUND; 2], "before its first entry");
    assert_eq!(pack.status(&mut environment, "storage_scan_next", &[scan]), 1);
    assert_eq!(parts(&mut environment), [3, 5]);
    assert_eq!(pack.status(&mut environment, "storage_scan_next", &[scan]), 0);
    assert_eq!(parts(&mut environment), [NOT_FOUND; 2], "after its end");
}

#[test]
fn a_scan_refuses_an_unknown_direction_and_an_unknown_handle_ends_the_call() {
    let (pack, mut environment) = call_over(b"");
    for direction in [2, 0xffff_ffff] {
        let result = pack.status(&mut environment, "storage_scan", &[0, 0, 0, direction]);
        assert_eq!(result, INVALID_ARGUMENT);
    }
    let scan = pack.status(&mut environment, "storage_scan", &[0, 0, 0, 0]) as u64;
    pack.status(&mut environment, "storage_scan_close", &[scan]);
    for handle in [scan, scan + 1, 0xffff_ffff] {
        for function in ["storage_scan_next", "storage_scan_close"] {
            let error = pack.call(&mut environment, function, &[handle]).unwrap_err();
            assert!(matches!(error, HostError::Abort { .. }), "{function} {handle}: {error}");
        }
    }
}

/// Gas of one call beyond its base and the bytes of its parameters, for each of `units`.
fn data_gas(
    pack: &Pack,
    environment: &mut Environment,
    name: &str,
    arguments: &[u64],
    units: u64,
) -> u64 {
    let before = environment.gas_used;
    pack.call(environment, name, arguments).unwrap();
    let function = pack.function(name);
    let bytes: u64 = function.gas_lengths.iter().map(|index| arguments[*index]).sum();
    let extra = environment.gas_used - before - function.gas_base - bytes * function.gas_per_byte;
    assert_eq!(extra % units, 0, "{name} charges whole units");
    extra / units
}

/// The prices that depend on data, measured: function, gas for each byte.
fn measured_data_prices() -> Vec<(&'static str, u64)> {
    let (pack, mut environment) = call_over(b"b/3");
    let scan = pack.status(&mut environment, "storage_scan", &[0, 3, 0, 0]) as u64;
    let cases: [(&str, &[u64], u64); 6] = [
        ("storage_get", &[0, 3], 5),
        ("storage_has", &[0, 3], 5),
        ("storage_read_value", &[100, 64], 5),
        ("storage_scan_next", &[scan], 3 + 5),
        ("storage_scan_key", &[100, 64], 3),
        ("storage_scan_value", &[100, 64], 5),
    ];
    let measure = |(name, arguments, units): (&'static str, &[u64], u64)| {
        (name, data_gas(&pack, &mut environment, name, arguments, units))
    };
    cases.into_iter().map(measure).collect()
}

#[test]
fn what_is_read_and_copied_is_charged_by_its_length_and_runs_out_of_gas() {
    assert!(measured_data_prices().iter().all(|(_, gas)| *gas > 0));
    let (pack, mut environment) = call_over(b"b/3");
    environment.gas_limit = pack.function("storage_get").gas_base + 10;
    let error = pack.call(&mut environment, "storage_get", &[0, 3]).unwrap_err();
    assert!(matches!(error, HostError::OutOfGas), "{error}");
}

#[test]
fn every_pointer_is_checked_and_only_outputs_are_written() {
    fn prepare(pack: &Pack, environment: &mut Environment) {
        environment.state.insert(b"key".into(), vec![7; 48]);
        environment.memory[..3].copy_from_slice(b"key");
        pack.status(environment, "storage_get", &[0, 3]);
        let scan = pack.status(environment, "storage_scan", &[0, 3, 0, 0]) as u64;
        assert_eq!(pack.status(environment, "storage_scan_next", &[scan]), 1);
    }
    let pack = Pack::linked("storage");
    Pointers { pack, pointers: POINTERS, prepare, content: |_, _| None }.check();
}

#[test]
fn the_page_documents_exactly_what_the_pack_has() {
    let pack = Pack::linked("storage");
    check_documentation(&pack, "storage_api", &status::NAMES, &measured_data_prices());
}
