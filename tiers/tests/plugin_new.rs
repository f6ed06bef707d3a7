//! `supervm plugin new`: what it writes, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Place;
use std::fs;
use std::path::Path;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

fn manifest(place: &Place, dir: &str) -> toml::Table {
    let text = fs::read_to_string(place.path().join(dir).join("Cargo.toml")).unwrap();
    toml::from_str(&text).unwrap()
}

fn entries(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_new_crate_is_a_workspace_of_its_own_without_a_path_in_it() {
    let place = Place::new();
    let ran = place.run(&["plugin", "new", "my-backend"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for line in ["cargo build --release", "supervm plugin check target/release/libmy_backend.so"] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
    assert!(ran.stdout.contains("plugin new my-backend --sdk-path /"), "{}", ran.stdout);
    let manifest = manifest(&place, "my-backend");
    assert!(manifest["workspace"].as_table().unwrap().is_empty());
    assert_eq!(manifest["package"]["license"].as_str(), Some("MIT OR Apache-2.0"));
    assert_eq!(manifest["profile"]["release"]["panic"].as_str(), Some("unwind"));
    let types = manifest["lib"]["crate-type"].as_array().unwrap();
    assert_eq!(
        types.iter().map(|kind| kind.as_str().unwrap()).collect::<Vec<_>>(),
        ["cdylib", "rlib"]
    );
    let version = Some(env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["dependencies"]["supervm-plugin-sdk"].as_str(), version);
    assert_eq!(manifest["dev-dependencies"]["supervm-conformance"].as_str(), version);
    let text = fs::read_to_string(place.path().join("my-backend/Cargo.toml")).unwrap();
    assert!(!text.contains("path"), "{text}");
}

#[test]
fn no_file_has_a_placeholder_left_and_every_toml_parses() {
    for kind in ["storage", "host-pack"] {
        let place = Place::new();
        let made = place.json(&["plugin", "new", "x", "--kind", kind, "--sdk-path", REPOSITORY]);
        for file in made["files"].as_array().unwrap() {
            let file = file.as_str().unwrap();
            let text = fs::read_to_string(place.path().join("x").join(file)).unwrap();
            assert!(!text.contains("{{"), "{file}: {text}");
            if file.ends_with(".toml") {
                toml::from_str::<toml::Table>(&text).unwrap();
            }
        }
        assert_eq!(made["kind"], kind);
        assert_eq!(entries(place.path()), ["x"]);
    }
}

#[test]
fn the_sdk_of_a_checkout_is_named_by_path_by_flag_or_by_variable() {
    let place = Place::new();
    let folder = format!("{REPOSITORY}/plugin-sdk");
    for (name, path) in [("by-checkout", REPOSITORY), ("by-folder", &*folder)] {
        let ran = place.run(&["plugin", "new", name, "--sdk-path", path]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(!ran.stdout.contains("hint"), "{}", ran.stdout);
    }
    let mut command = place.command(&["plugin", "new", "by-variable"]);
    let ran = common::Ran::new(command.env("SUPERVM_SDK_PATH", REPOSITORY).output().unwrap());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let root = fs::canonicalize(REPOSITORY).unwrap();
    for name in ["by-checkout", "by-folder", "by-variable"] {
        let manifest = manifest(&place, name);
        let path = manifest["dependencies"]["supervm-plugin-sdk"]["path"].as_str();
        assert_eq!(path.map(Path::new), Some(&*root.join("plugin-sdk")));
        let path = manifest["dev-dependencies"]["supervm-conformance"]["path"].as_str();
        assert_eq!(path.map(Path::new), Some(&*root.join("conformance")));
    }
    let ran = place.run(&["plugin", "new", "nowhere", "--sdk-path", "."]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("no checkout of SuperVM"), "{}", ran.stderr);
}

#[test]
fn the_licence_is_the_authors_choice() {
    let place = Place::new();
    for (choice, key, files) in [
        ("both", Some("MIT OR Apache-2.0"), &["LICENSE-APACHE", "LICENSE-MIT"][..]),
        ("mit", Some("MIT"), &["LICENSE-MIT"]),
        ("apache-2.0", Some("Apache-2.0"), &["LICENSE-APACHE"]),
        ("none", None, &[]),
    ] {
        let name = format!("l-{}", choice.replace('.', "-"));
        let ran = place.run(&["plugin", "new", &name, "--license", choice]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let manifest = manifest(&place, &name);
        assert_eq!(manifest["package"].get("license").and_then(toml::Value::as_str), key);
        let mut licences = entries(&place.path().join(&name));
        licences.retain(|file| file.starts_with("LICENSE"));
        assert_eq!(licences, files);
    }
    let text = fs::read_to_string(place.path().join("l-mit/LICENSE-MIT")).unwrap();
    assert!(text.contains("The authors of l-mit"), "{text}");
}

#[test]
fn what_cannot_be_made_is_refused_and_leaves_nothing() {
    let place = Place::new();
    fs::create_dir(place.path().join("full")).unwrap();
    place.file("full/kept", "content");
    place.file("file", "content");
    for (arguments, code, said) in [
        (&["My_Backend"][..], 2, "try \"my-backend\""),
        (&["fn"], 2, "a word of Rust's own"),
        (&["sqlite"], 2, "SuperVM's own"),
        (&["serde"], 2, "depends on"),
        (&["full"], 1, "is not empty"),
        (&["x", "--path", "file"], 1, "cannot be used"),
        (&["x", "--path", "missing/x"], 1, "missing does not exist"),
        (&["x", "--kind", "wallet"], 2, "storage, host-pack"),
    ] {
        let ran = place.run(&[&["plugin", "new"], arguments].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
        assert_eq!(entries(place.path()), ["file", "full"], "{arguments:?}");
    }
    assert_eq!(entries(&place.path().join("full")), ["kept"]);
}

#[test]
fn an_empty_directory_is_filled_and_another_name_than_the_plugins_is_allowed() {
    let place = Place::new();
    fs::create_dir(place.path().join("empty")).unwrap();
    let ran = place.run(&["plugin", "new", "mine", "--path", "empty"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(manifest(&place, "empty")["package"]["name"].as_str(), Some("mine"));
    let again = place.run(&["plugin", "new", "mine", "--path", "empty"]);
    assert_eq!(again.code, 1);
}

#[test]
fn the_guide_shows_what_is_written() {
    let guide = fs::read_to_string(Path::new(REPOSITORY).join("docs/plugin-guide.md")).unwrap();
    let place = Place::new();
    for (name, kind) in [("demo", "storage"), ("my-pack", "host-pack")] {
        let arguments = ["plugin", "new", name, "--kind", kind, "--sdk-path", REPOSITORY];
        let ran = place.run(&arguments);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(guide.contains(&ran.stdout), "the guide has not: {}", ran.stdout);
    }
    for (file, begin, end) in [
        ("demo/src/lib.rs", "export_plugin!(", ";"),
        ("my-pack/src/lib.rs", "static FUNCTIONS", "})];"),
        ("my-pack/contract.wat", "(module", "(i32.const 6))))"),
        ("my-pack/supervm.toml", "packs = ", "]"),
        ("my-pack/tests/pack.rs", "assert_eq!(hash", ";"),
    ] {
        let text = fs::read_to_string(place.path().join(file)).unwrap();
        let start = text.find(begin).unwrap();
        let length = text[start..].find(end).unwrap() + end.len();
        let part = &text[start..start + length];
        assert!(guide.contains(part), "the guide has not, of {file}: {part}");
    }
}
