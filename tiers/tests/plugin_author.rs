//! From `plugin new` to a certificate, with the commands of docs/plugin-guide.md.
//!
//! The crates are built in the target directory of this test, with the repository's lock file and without a network, so that
//! little is compiled.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Place;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Writes a plugin's crate with the repository's lock file.
fn new(place: &Place, name: &str, kind: &str) -> PathBuf {
    let ran = place.run(&["plugin", "new", name, "--kind", kind, "--sdk-path", REPOSITORY]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let dir = place.path().join(name);
    fs::copy(Path::new(REPOSITORY).join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    dir
}

/// Builds the crate in `dir` as this test is built, and copies its library to where the guide has it.
fn build(dir: &Path, library: &str) -> String {
    let executable = std::env::current_exe().unwrap();
    let profile = executable.parent().and_then(Path::parent).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--offline", "--quiet", "--target-dir"]).arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let built = dir.join("target/release").join(library);
    fs::create_dir_all(built.parent().unwrap()).unwrap();
    fs::copy(profile.join(library), &built).unwrap();
    built.to_str().unwrap().to_owned()
}

fn replace(file: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "{} has no {old}", file.display());
    fs::write(file, text.replace(old, new)).unwrap();
}

fn read(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_new_backend_compiles_passes_the_core_profile_and_gets_its_certificate() {
    let place = Place::new();
    let dir = new(&place, "new-backend", "storage");
    let library = build(&dir, "libnew_backend.so");
    let ran = place.run(&["plugin", "check", &library, "--seed", "1"]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let certificate = library.replace(".so", ".conformance.json");
    assert!(ran.stdout.contains("verdict      passed"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("certificate  {certificate}")), "{}", ran.stdout);
    let report = read(&certificate);
    let inspected = place.json(&["plugin", "inspect", &library]);
    assert_eq!(report["certificate"]["passed"], true);
    assert_eq!(report["certificate"]["complete"], true);
    assert_eq!(report["certificate"]["sha256"], inspected["sha256"]);
    assert!(report["certificate"]["counts"]["passed"].as_u64().unwrap() > 200, "{report}");
    let pinned = inspected["configuration"].as_str().unwrap();
    place.file("node.toml", pinned);
    let checked = place.run(&["config", "check", "--config", "node.toml"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
}

#[test]
fn a_new_pack_compiles_passes_its_rules_and_serves_a_contract() {
    let place = Place::new();
    let dir = new(&place, "new-pack", "host-pack");
    let library = build(&dir, "libnew_pack.so");
    let ran = place.run(&["plugin", "check", &library]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("fnv1a(ptr: i32, len: i32) -> i64"), "{}", ran.stdout);
    assert!(ran.stdout.contains("not checked  what the functions compute"), "{}", ran.stdout);
    assert_eq!(read(&library.replace(".so", ".conformance.json"))["passed"], true);
    let path = |file: &str| dir.join(file).to_str().unwrap().to_owned();
    let (config, contract) = (path("supervm.toml"), path("contract.wat"));
    let called = place.json(&["run", "--config", &config, &contract, "hash"]);
    assert_eq!(called["result"].as_i64(), Some(0x8594_4171_f739_67e8_u64 as i64));
    let inspected = place.json(&["plugin", "inspect", &library]);
    assert_eq!(inspected["functions"][0]["name"], "fnv1a");
    place.file("node.toml", inspected["configuration"].as_str().unwrap());
    let pinned = place.json(&["run", "--config", "node.toml", &contract, "hash"]);
    assert_eq!(pinned["result"], called["result"]);
}

#[test]
fn a_pack_that_breaks_a_rule_or_its_process_fails_with_the_function_named() {
    let place = Place::new();
    let dir = new(&place, "bad-pack", "host-pack");
    let source = dir.join("src/lib.rs");
    replace(&source, ".gas(20)", "");
    let library = build(&dir, "libbad_pack.so");
    let free = place.run(&["plugin", "check", &library]);
    assert_eq!(free.code, 1, "{}", free.stdout);
    assert!(free.stdout.contains("failed fnv1a: it costs nothing"), "{}", free.stdout);
    assert!(free.stderr.contains("does not keep every rule"), "{}", free.stderr);
    replace(
        &source,
        "let bytes =",
        "std::process::abort();\n    #[expect(unreachable_code)]\n    let bytes =",
    );
    replace(&source, ".gas_per_byte", ".gas(20)\n.gas_per_byte");
    let library = build(&dir, "libbad_pack.so");
    let aborts = place.run(&["plugin", "check", &library, "--json"]);
    assert_eq!(aborts.code, 1, "{}", aborts.stdout);
    let crash = aborts.object()["report"]["crash"].as_str().unwrap().to_owned();
    assert!(crash.contains("the function fnv1a") && crash.contains("signal 6"), "{crash}");
}
