//! `supervm config`, from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Place;
use serde_json::Value;
use std::process::Command;

/// The value and the source of a key, as `config show --json` prints them.
fn shown(
    place: &Place,
    arguments: &[&str],
    environment: &[(&str, &str)],
    key: &str,
) -> (Value, String) {
    let mut command = place.command(&[&["config", "show", "--json"], arguments].concat());
    let ran = common::Ran::new(command.envs(environment.iter().copied()).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let object = ran.object();
    let settings = object["settings"].as_array().unwrap();
    let setting = settings.iter().find(|setting| setting["key"] == key);
    let setting = setting.unwrap_or_else(|| panic!("{key} is shown"));
    (setting["value"].clone(), setting["source"].as_str().unwrap().to_owned())
}

#[test]
fn a_later_layer_wins_and_every_value_says_where_it_came_from() {
    let place = Place::new();
    place.file("node.toml", "[tier]\nname = \"l4\"\n[storage]\nchain_id = 7\ndir = \"of-file\"\n[execution]\ninstances = 5\n");
    let environment =
        [("SUPERVM_EXECUTION__INSTANCES", "6"), ("SUPERVM_STORAGE__DIR", "of-environment")];
    let arguments = ["--config", "node.toml", "--dir", "of-flag"];
    let of = |key| shown(&place, &arguments, &environment, key);
    assert_eq!(of("execution.gas_limit"), (10_000_000.into(), "default".to_owned()));
    assert_eq!(of("storage.options.quota_bytes"), ("1GiB".into(), "profile L4".to_owned()));
    assert_eq!(of("storage.chain_id"), (7.into(), "file node.toml:4".to_owned()));
    assert_eq!(
        of("execution.instances"),
        (6.into(), "environment SUPERVM_EXECUTION__INSTANCES".to_owned())
    );
    assert_eq!(of("storage.dir"), ("of-flag".into(), "flag --dir".to_owned()));
}

#[test]
fn the_tier_of_the_flag_wins_over_the_environments_and_the_files() {
    let place = Place::new();
    place.file("node.toml", "[tier]\nname = \"dev\"\n");
    let of = |arguments: &[&str], environment: &[(&str, &str)]| {
        shown(&place, arguments, environment, "storage.backend")
    };
    let file = ["--config", "node.toml"];
    assert_eq!(of(&file, &[]).1, "profile dev");
    assert_eq!(of(&file, &[("SUPERVM_TIER__NAME", "L3")]).1, "profile L3");
    assert_eq!(
        of(&["--config", "node.toml", "--tier", "L4"], &[("SUPERVM_TIER__NAME", "L3")]).1,
        "profile L4"
    );
    assert_eq!(of(&[], &[]).1, "default");
}

#[test]
fn text_for_people_has_every_key_with_its_source() {
    let place = Place::new();
    let ran = place.run(&["config", "show", "--tier", "L4", "--backend", "lmdb"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let line =
        |start: &str| ran.stdout.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    assert!(line("storage.backend = \"lmdb\"").ends_with("# flag --backend"));
    assert!(line("storage.sha256").ends_with("# not set"));
    assert!(line("# not used").contains("storage.options.quota_bytes"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\u{1b}'), "plain in a pipe");
}

#[test]
fn values_of_the_environment_have_the_type_of_their_key() {
    let place = Place::new();
    let variables = [
        ("SUPERVM_STORAGE__BACKEND", "12345"),
        ("SUPERVM_STORAGE__REQUIRE", "[\"snapshot\"]"),
        ("SUPERVM_EXECUTION__ALLOW_FLOATS", "false"),
        ("SUPERVM_EXECUTION__MODULE_BYTES_MAX", "2MiB"),
        ("SUPERVM_STORAGE__OPTIONS__FLAG", "true"),
        ("SUPERVM_STORAGE__OPTIONS__SIZE", "8GiB"),
        ("SUPERVM_KILL_ROUNDS", "this configures no node"),
    ];
    let of = |key| shown(&place, &[], &variables, key).0;
    assert_eq!(of("storage.backend"), "12345");
    assert_eq!(of("storage.require"), serde_json::json!(["snapshot"]));
    assert_eq!(of("execution.allow_floats"), false);
    assert_eq!(of("execution.module_bytes_max"), "2MiB");
    assert_eq!(of("storage.options.flag"), true);
    assert_eq!(of("storage.options.size"), "8GiB");
}

#[test]
fn check_names_everything_that_is_wrong_with_its_place_and_a_suggestion() {
    let place = Place::new();
    place.file(
        "node.toml",
        "[storage]\nbackend = \"sqlite\"\nchainid = 1\n[execution]\ngas_limit = 0\ninstances = \"many\"\ncall_depth_max = 99\n[storge]\ndir = \"x\"\n",
    );
    let mut command = place.command(&["config", "check", "--config", "node.toml"]);
    let command = command.env("SUPERVM_EXECUTION__SCANS_MAX", "1000");
    let ran = common::Ran::new(command.output().unwrap());
    assert_eq!(ran.code, 1);
    for expected in [
        "storage.chainid: unknown key \"chainid\"; [storage] has: backend, ",
        "(file node.toml:3)",
        "hint: did you mean \"chain_id\"?",
        "execution.gas_limit = 0; expected 1 to 4611686018427387904 (file node.toml:5)",
        "execution.instances: ",
        "(file node.toml:6)",
        "execution.call_depth_max = 99; expected 1 to 32 (file node.toml:7)",
        "unknown section \"storge\"",
        "hint: did you mean \"storage\"?",
        "execution.scans_max = 1000; expected 0 to 256 (environment SUPERVM_EXECUTION__SCANS_MAX)",
    ] {
        assert!(ran.stderr.contains(expected), "{expected}\nin\n{}", ran.stderr);
    }
    assert_eq!(ran.stderr.matches("error: ").count(), 6, "{}", ran.stderr);
    assert!(!place.path().join("supervm-data").exists());
}

#[test]
fn check_has_the_backend_check_its_own_options() {
    let place = Place::new();
    place.file(
        "node.toml",
        "[storage]\nbackend = \"lmdb\"\n[storage.options]\nreaders_max = 1\nmap_bytes = \"1GiB\"\n",
    );
    let ran = place.run(&["config", "check", "--config", "node.toml", "--json"]);
    assert_eq!(ran.code, 1);
    let all: Value = serde_json::from_str(&ran.stderr).unwrap();
    let messages: Vec<_> = all["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["message"].as_str().unwrap())
        .collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    let about =
        |key: &str, line: &str| messages.iter().any(|one| one.contains(key) && one.contains(line));
    assert!(about("storage.options.readers_max", "node.toml:4"), "{messages:?}");
    assert!(about("storage.options.map_bytes", "node.toml:5"), "{messages:?}");
    assert!(!place.path().join("supervm-data").exists());
}

#[test]
fn check_refuses_what_the_backend_cannot_do() {
    let place = Place::new();
    place.file("node.toml", "[storage]\nbackend = \"memory\"\nrequire = [\"synced_writes\"]\n");
    let ran = place.run(&["config", "check", "--config", "node.toml"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("does not have \"synced_writes\" (file node.toml:3)"),
        "{}",
        ran.stderr
    );
}

#[test]
fn check_of_a_sound_configuration_exits_with_0() {
    let place = Place::new();
    for tier in ["L3", "L4", "dev"] {
        let ran = place.run(&["config", "check", "--tier", tier]);
        assert_eq!(ran.code, 0, "{tier}: {}", ran.stderr);
    }
    assert_eq!(place.json(&["config", "check"])["ok"], true);
}

#[test]
fn check_of_l1_and_l2_says_when_rocksdb_is_missing_and_how_to_get_it() {
    let place = Place::new();
    // A copy of the command, for beside the command itself lie the libraries that were built.
    let alone = place.path().join("supervm");
    // Written by another process: one that a test starts meanwhile would inherit the open file, which then cannot be executed.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_supervm")).arg(&alone).status();
    assert!(copied.unwrap().success());
    for tier in ["l1", "L2"] {
        let mut command = Command::new(&alone);
        command.args(["config", "check", "--tier", tier]).env_remove("SUPERVM_PLUGIN_PATH");
        let ran = common::Ran::new(command.output().unwrap());
        if cfg!(feature = "rocksdb") {
            assert_eq!(ran.code, 0, "{}", ran.stderr);
            continue;
        }
        assert_eq!(ran.code, 1);
        assert!(ran.stderr.contains("unknown storage backend \"rocksdb\""), "{}", ran.stderr);
        assert!(ran.stderr.contains("libsupervm_storage_rocksdb.so"), "{}", ran.stderr);
        assert!(ran.stderr.contains("SUPERVM_PLUGIN_PATH"), "{}", ran.stderr);
        assert!(ran.stderr.contains("cargo build --release -p supervm-storage-rocksdb"));
        let other = place.run(&["config", "check", "--tier", tier, "--backend", "lmdb"]);
        assert_eq!(other.code, 0, "{}", other.stderr);
    }
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_an_error_with_its_line() {
    let place = Place::new();
    let missing = place.run(&["config", "show", "--config", "nowhere.toml"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.contains("nowhere.toml"), "{}", missing.stderr);
    place.file("broken.toml", "[storage]\nbackend = \n");
    let broken = place.run(&["config", "check", "--config", "broken.toml"]);
    assert_eq!(broken.code, 1);
    assert!(broken.stderr.contains("broken.toml:2"), "{}", broken.stderr);
    assert_eq!(place.run(&["config", "show", "--tier", "L5"]).code, 2);
}

#[test]
fn a_configuration_is_used_by_run_and_db() {
    let place = Place::new();
    place.file("node.toml", "[storage]\nbackend = \"lmdb\"\ndir = \"state\"\nchain_id = 3\n");
    let with = ["--config", "node.toml"];
    place.json(
        &[&["run", &common::contract("ledger.wat"), "mint", "1", "5"], with.as_slice()].concat(),
    );
    assert!(place.path().join("state/supervm.toml").exists());
    assert_eq!(
        place.digest(&with),
        place.digest(&["--backend", "lmdb", "--dir", "state", "--config", "node.toml"])
    );
    let other_chain = place.run(&["db", "digest", "--backend", "lmdb", "--dir", "state"]);
    assert_eq!(other_chain.code, 1, "the chain id of the default is another one");
}

#[test]
fn paths_of_plugins_in_a_file_start_at_the_file_and_the_data_directory_does_not() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("etc")).unwrap();
    let sha256 = "a".repeat(64);
    place.file(
        "etc/node.toml",
        &format!(
            "[storage]\nbackend = \"./lib/libx.so\"\ndir = \"state\"\n[plugins]\ndirs = [\"lib\", \"/opt/lib\"]\n\
             packs = [\"bls\", \"lib/liby.so\"]\n[plugins.sha256]\n\"lib/liby.so\" = \"{sha256}\"\n"
        ),
    );
    let of = |key| shown(&place, &["--config", "etc/node.toml"], &[], key).0;
    let etc = place.path().canonicalize().unwrap().join("etc");
    let at = |path: &str| etc.join(path).to_str().unwrap().to_owned();
    assert_eq!(of("storage.backend"), at("lib/libx.so"));
    assert_eq!(of("storage.dir"), "state");
    assert_eq!(of("plugins.dirs"), serde_json::json!([at("lib"), "/opt/lib"]));
    assert_eq!(of("plugins.packs"), serde_json::json!(["bls", at("lib/liby.so")]));
    assert_eq!(of(&format!("plugins.sha256.{}", at("lib/liby.so"))), sha256);
}

#[test]
fn check_refuses_a_durability_that_the_backend_does_not_have() {
    let place = Place::new();
    place.file("node.toml", "[storage]\nbackend = \"memory\"\ndurability = \"synced\"\n");
    let ran = place.run(&["config", "check", "--config", "node.toml"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("storage.durability"), "{}", ran.stderr);
    assert!(ran.stderr.contains("node.toml:3"), "{}", ran.stderr);
}

#[test]
fn a_variable_that_is_not_utf_8_is_refused_and_not_passed_over() {
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new();
    let mut command = place.command(&["config", "check"]);
    command.env("SUPERVM_STORAGE__DIR", std::ffi::OsStr::from_bytes(b"/data/\xff"));
    let ran = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("SUPERVM_STORAGE__DIR") && stderr.contains("UTF-8"), "{stderr}");
}
