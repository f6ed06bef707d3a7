//! The built-in profiles, the reference, and nodes made of them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use supervm_engine::mvcc::Block;
use supervm_engine::runtime::{CallArguments, CallContext};
use supervm_plugin_sdk::{Durability, ErrorKind};
use supervm_tiers::{Layers, Node, TierName, TierProfile};

fn repository_file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// Keys with their values, joined by dots.
fn flattened(table: &toml::Table) -> BTreeMap<String, toml::Value> {
    let mut flat = BTreeMap::new();
    for (section, keys) in table {
        for (key, value) in keys.as_table().unwrap() {
            if !value.is_table() {
                flat.insert(format!("{section}.{key}"), value.clone());
            }
        }
    }
    flat
}

#[test]
fn every_file_in_config_is_the_library_s_profile() {
    let profiles = [
        ("l1", TierProfile::l1(), TierName::L1),
        ("l2", TierProfile::l2(), TierName::L2),
        ("l3", TierProfile::l3(), TierName::L3),
        ("l4", TierProfile::l4(), TierName::L4),
        ("dev", TierProfile::dev(), TierName::Dev),
    ];
    for (name, profile, tier) in profiles {
        let file = format!("config/{name}.toml");
        assert_eq!(toml::from_str::<TierProfile>(&repository_file(&file)).unwrap(), profile);
        assert_eq!(profile.tier.name, tier);
        profile.check().unwrap();
        let settings = Layers::new().tier(tier).read();
        assert_eq!(settings.profile().unwrap(), profile, "{name} as a layer");
    }
    assert_eq!(Layers::new().read().profile().unwrap(), TierProfile::default());
}

#[test]
fn the_reference_has_exactly_the_keys_of_the_schema_with_their_defaults() {
    let text = repository_file("config/reference.toml");
    let reference: TierProfile = toml::from_str(&text).unwrap();
    assert_eq!(reference, TierProfile::default());

    let written: toml::Table = toml::from_str(&text).unwrap();
    let defaults = toml::Table::try_from(TierProfile::default()).unwrap();
    assert_eq!(
        flattened(&written).keys().collect::<Vec<_>>(),
        flattened(&defaults).keys().collect::<Vec<_>>()
    );

    let (mut section, mut unset) = (String::new(), Vec::new());
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        }
        let key = line.strip_prefix("# ").and_then(|rest| rest.split_once(" = "));
        if let Some((key, example)) = key.filter(|(key, _)| !key.contains(' ')) {
            unset.push(format!("{section}.{key}"));
            let one: toml::Table =
                toml::from_str(&format!("[{section}]\n{key} = {example}\n")).unwrap();
            one.try_into::<TierProfile>().unwrap();
        }
    }
    unset.sort();
    assert_eq!(unset, Layers::new().read().unset());
}

#[test]
fn every_key_of_the_reference_is_explained_in_the_line_above() {
    let text = repository_file("config/reference.toml");
    let lines: Vec<_> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.contains(" = ") && !line.starts_with('#') {
            assert!(lines[index - 1].starts_with("# "), "{line}");
        }
    }
}

#[test]
fn the_documented_environment_variables_and_options_are_accepted() {
    let text = repository_file("docs/configuration.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `SUPERVM_"));
    let variables: Vec<_> = rows
        .map(|row| {
            let (variable, rest) = row.split_once('`').unwrap();
            let (name, value) = variable.split_once('=').unwrap();
            (
                format!("SUPERVM_{name}"),
                value.to_owned(),
                rest.split('`').nth(1).unwrap().to_owned(),
            )
        })
        .collect();
    assert!(variables.len() >= 5);
    for (name, value, key) in variables {
        let settings = Layers::new().environment([(name.clone(), value)]).read();
        assert_eq!(settings.problems(), [], "{name}");
        assert_eq!(settings.source(&key).to_string(), format!("environment {name}"));
    }

    for &backend in supervm_tiers::builtin::STORAGE_BACKENDS {
        let (_, section) = text.split_once(&format!("### {backend}\n")).unwrap();
        let section = section.split("\n#").next().unwrap();
        let mut documented: Vec<_> = section
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned()))
            .collect();
        documented.sort();
        let plugins = supervm_plugin_sdk::load::linked().unwrap();
        let plugin = plugins.iter().find(|one| one.descriptor().name == backend).unwrap();
        let schema = &plugin.descriptor().config_schema["properties"];
        let mut options: Vec<_> = schema.as_object().unwrap().keys().cloned().collect();
        options.sort();
        assert_eq!(documented, options, "{backend}");
    }
}

#[test]
fn a_node_runs_contracts_and_keeps_their_state() {
    let place = common::Place::new();
    let open = || TierProfile::l4().with_dir(place.path().join("node")).open().unwrap();
    let demo = std::fs::read(common::contract("demo.wat")).unwrap();
    let node = open();
    assert_eq!(node.execute(&demo, "process", 12_345, 1_704_067_200).unwrap(), 1_704_079_545);
    assert_eq!(node.durability(), Durability::Synced);
    node.close().unwrap();
    let node = open();
    assert_eq!(node.execute(&demo, "calls", 1, 1).unwrap(), 1);
    let digest = node.storage().digest().unwrap();
    node.checkpoint(&place.path().join("copy")).unwrap();
    node.close().unwrap();
    let copy = TierProfile::l4().with_dir(place.path().join("copy")).open().unwrap();
    assert_eq!(copy.storage().digest().unwrap(), digest);
}

#[test]
fn a_read_only_call_commits_nothing_and_refuses_writes() {
    let place = common::Place::new();
    let node = TierProfile::dev().with_dir(place.path()).open().unwrap();
    let demo = std::fs::read(common::contract("demo.wat")).unwrap();
    let context = CallContext { read_only: true, ..CallContext::default() };
    let run = |function| node.run(&demo, function, &CallArguments::default(), &context).unwrap();
    assert_eq!(run("calls").result, Some(0));
    assert_eq!(run("process").trap.unwrap().name(), "read-only-call");
    assert!(node.storage().scan(b"", 1).unwrap().is_empty(), "not even deployed");
}

#[test]
fn a_trap_is_an_error_of_execute_and_a_part_of_the_receipt_of_run() {
    let place = common::Place::new();
    let node = TierProfile::dev().with_dir(place.path()).open().unwrap();
    let contract = br#"(module (func (export "fail") (result i64) unreachable))"#;
    let error = node.execute(contract, "fail", 1, 1).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    let receipt =
        node.run(contract, "fail", &CallArguments::default(), &CallContext::default()).unwrap();
    assert_eq!(receipt.trap.unwrap().name(), "unreachable");
}

#[test]
fn calls_that_end_blocks_and_blocks_never_wait_for_each_other_in_a_circle() {
    /// Long enough for some seconds' work; on code that is right nobody waits for it.
    const PATIENCE: Duration = Duration::from_secs(60);
    const ROUNDS: u64 = 20_000;
    let next = |node: &Node| node.store().last_block().map_or(1, |last| last.number + 1);
    let place = common::Place::new();
    let node = Arc::new(TierProfile::dev().with_dir(place.path()).open().unwrap());
    let demo = std::fs::read(common::contract("demo.wat")).unwrap();
    let (done, is_done) = channel();
    let (calling, calls_done) = (Arc::clone(&node), done.clone());
    // Not joined: who waits in a circle does so for ever.
    std::thread::spawn(move || {
        for _ in 0..ROUNDS {
            let block_number = next(&calling);
            let context = CallContext { block_number, gas_limit: 1_000_000, ..Default::default() };
            let arguments = CallArguments::default();
            calling.run(&demo, "process", &arguments, &context).unwrap();
        }
        calls_done.send(()).unwrap();
    });
    std::thread::spawn(move || {
        for _ in 0..ROUNDS {
            // A call may have ended a block of that number meanwhile.
            match node.run_block(Block { number: next(&node), timestamp: 0 }, &[]) {
                Ok(_) => {}
                Err(error) => assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}"),
            }
        }
        done.send(()).unwrap();
    });
    for _ in 0..2 {
        is_done.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn another_backend_drops_the_former_one_s_options() {
    let l4 = TierProfile::l4();
    assert!(!l4.storage.options.is_empty());
    assert_eq!(l4.clone().with_backend("sqlite").storage.options, l4.storage.options);
    assert!(l4.with_backend("lmdb").storage.options.is_empty());
}

#[test]
fn a_wrong_profile_is_refused_before_anything_is_opened() {
    let place = common::Place::new();
    let mut profile = TierProfile::dev().with_dir(place.path().join("node"));
    profile.execution.gas_limit = 0;
    assert_eq!(profile.open().unwrap_err().kind(), ErrorKind::ConfigInvalid);
    assert!(!place.path().join("node").exists());
}
