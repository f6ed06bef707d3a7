//! Compiled contracts on disk and in memory: only ever a saving, never a danger.

use crate::support::{Bench, packs, storage};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use supervm_engine::config::ExecutionConfig;
use supervm_engine::runtime::Runtime;
use supervm_plugin_sdk::{ByteSize, ErrorKind};
use tempfile::TempDir;

const SEVEN: &str = r#"(module (func (export "run") (result i32) (i32.const 7)))"#;
const EIGHT: &str = r#"(module (func (export "run") (result i32) (i32.const 8)))"#;

fn config(dir: &Path) -> ExecutionConfig {
    ExecutionConfig { module_cache_dir: Some(dir.join("modules")), ..ExecutionConfig::default() }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("modules")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// The result of `wat` in a runtime that starts with what the directory has.
fn fresh(dir: &Path, wat: &str) -> i64 {
    Bench::with(config(dir)).run(wat).result.unwrap()
}

#[test]
fn a_compiled_contract_is_kept_and_read_by_the_next_runtime() {
    let dir = TempDir::new().unwrap();
    assert_eq!(fresh(dir.path(), SEVEN), 7);
    let kept = files(dir.path());
    assert_eq!(kept.len(), 1);
    let before = fs::metadata(&kept[0]).unwrap().modified().unwrap();
    assert_eq!(fresh(dir.path(), SEVEN), 7);
    assert_eq!(fs::metadata(&kept[0]).unwrap().modified().unwrap(), before, "not written again");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&kept[0]), mode(&dir.path().join("modules"))), (0o600, 0o700));
}

#[test]
fn a_damaged_cut_or_emptied_file_is_a_miss_and_is_written_again() {
    let dir = TempDir::new().unwrap();
    fresh(dir.path(), SEVEN);
    let path = files(dir.path()).remove(0);
    let sound = fs::read(&path).unwrap();
    let changed = |at: usize| {
        let mut bytes = sound.clone();
        bytes[at] ^= 1;
        bytes
    };
    let length = sound.len();
    let damaged = [
        changed(0),
        changed(20),
        changed(41),
        changed(length / 2),
        changed(length - 1),
        sound[..length - 1].to_vec(),
        sound[..39].to_vec(),
        Vec::new(),
        [&sound[..], &[0]].concat(),
    ];
    for bytes in damaged {
        fs::write(&path, &bytes).unwrap();
        assert_eq!(fresh(dir.path(), SEVEN), 7);
        assert_eq!(fs::read(&path).unwrap().len(), length, "written again");
    }
}

#[test]
fn a_file_of_another_wasmtime_configuration_is_a_miss() {
    let dir = TempDir::new().unwrap();
    fresh(dir.path(), SEVEN);
    let path = files(dir.path()).remove(0);
    // Code for another configuration, wrapped with a hash that is right.
    let engine = wasmtime::Engine::default();
    let code = engine.precompile_module(&wat::parse_str(SEVEN).unwrap()).unwrap();
    let key = hex::decode(path.file_stem().unwrap().to_str().unwrap()).unwrap();
    let hash = Sha256::new().chain_update(key).chain_update(&code).finalize();
    fs::write(&path, [&b"svmodule"[..], &hash, &code].concat()).unwrap();
    assert_eq!(fresh(dir.path(), SEVEN), 7);
}

#[test]
fn a_file_that_others_can_write_is_a_miss() {
    let dir = TempDir::new().unwrap();
    fresh(dir.path(), SEVEN);
    fresh(dir.path(), EIGHT);
    let paths = files(dir.path());
    // Swapped contents stand for what others could have put there: the code itself is sound.
    let (one, other) = (fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
    fs::write(&paths[0], other).unwrap();
    fs::write(&paths[1], one).unwrap();
    for path in &paths {
        fs::set_permissions(path, fs::Permissions::from_mode(0o622)).unwrap();
    }
    assert_eq!((fresh(dir.path(), SEVEN), fresh(dir.path(), EIGHT)), (7, 8));
}

#[test]
fn swapped_files_are_misses() {
    let dir = TempDir::new().unwrap();
    fresh(dir.path(), SEVEN);
    fresh(dir.path(), EIGHT);
    let paths = files(dir.path());
    let (one, other) = (fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
    fs::write(&paths[0], other).unwrap();
    fs::write(&paths[1], one).unwrap();
    assert_eq!((fresh(dir.path(), SEVEN), fresh(dir.path(), EIGHT)), (7, 8));
}

#[test]
fn a_directory_that_others_can_enter_is_refused() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("modules")).unwrap();
    fs::set_permissions(dir.path().join("modules"), fs::Permissions::from_mode(0o755)).unwrap();
    let store = TempDir::new().unwrap();
    let error = Runtime::with_config(storage(&store), &packs(), &config(dir.path())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.message().contains("0700"), "{error}");
}

#[test]
fn the_directory_keeps_within_its_bytes() {
    let dir = TempDir::new().unwrap();
    let contract =
        |n: u32| format!("(module (func (export \"run\") (result i32) (i32.const {n})))");
    fresh(dir.path(), &contract(0));
    let one = fs::metadata(&files(dir.path())[0]).unwrap().len();
    let bench = Bench::with(ExecutionConfig {
        module_cache_disk_bytes: ByteSize(one * 3),
        ..config(dir.path())
    });
    for n in 1..8 {
        bench.module(&contract(n));
    }
    let kept = files(dir.path());
    assert!((1..=3).contains(&kept.len()), "{kept:?}");
}

#[test]
fn contracts_that_leave_the_memory_cache_still_run() {
    let bench = Bench::with(ExecutionConfig {
        module_cache_bytes: ByteSize(1),
        ..ExecutionConfig::default()
    });
    let (seven, eight) = (bench.module(SEVEN), bench.module(EIGHT));
    for _ in 0..3 {
        assert_eq!(bench.call(&seven, "run").result, Some(7));
        assert_eq!(bench.call(&eight, "run").result, Some(8));
        assert_eq!(bench.run(SEVEN).result, Some(7));
    }
}

#[test]
fn a_rejection_is_remembered_word_for_word() {
    let bench = Bench::new();
    let wat = r#"(module (import "nowhere" "f" (func)))"#;
    let (first, again) = (bench.refusal(wat), bench.refusal(wat));
    assert_eq!(first, again);
}
