//! `supervm plugin`, from outside.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Place, storage_library};
use serde_json::Value;

fn named<'a>(list: &'a Value, name: &str) -> Vec<&'a Value> {
    list["plugins"].as_array().unwrap().iter().filter(|row| row["name"] == name).collect()
}

/// A place with LMDB's library in the directory `plugins`.
fn with_library() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path().join("plugins")).unwrap();
    std::fs::copy(storage_library("lmdb"), place.path().join("plugins/libsupervm_storage_lmdb.so"))
        .unwrap();
    place
}

const LIBRARY: &str = "plugins/libsupervm_storage_lmdb.so";

#[test]
fn the_list_has_every_linked_in_plugin() {
    let place = Place::new();
    let list = place.json(&["plugin", "list"]);
    for (names, kind) in [
        (supervm_tiers::builtin::STORAGE_BACKENDS, "storage"),
        (supervm_tiers::builtin::HOST_PACKS, "host-pack"),
    ] {
        for name in names {
            let of_kind = named(&list, name);
            let linked = of_kind.iter().find(|row| row["linked_in"] == true && row["kind"] == kind);
            assert!(linked.is_some_and(|row| row["problem"].is_null()), "{name}: {list}");
        }
    }
    let text = place.run(&["plugin", "list"]).stdout;
    assert!(text.starts_with("name "), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("sqlite ") && line.contains("linked in")),
        "{text}"
    );
}

#[test]
fn a_found_library_is_listed_as_shadowed_by_the_linked_in_plugin_and_a_broken_one_with_its_problem()
{
    let place = with_library();
    std::fs::write(place.path().join("plugins/libsupervm_storage_broken.so"), "no library")
        .unwrap();
    place.file("node.toml", "[plugins]\ndirs = [\"plugins\"]\n");
    let list = place.json(&["plugin", "list", "--config", "node.toml"]);
    let lmdb = named(&list, "lmdb");
    assert!(
        lmdb.iter().any(|row| row["path"].as_str().is_some_and(|path| path.ends_with(LIBRARY))
            && row["shadowed"] == true),
        "{list}"
    );
    let broken = named(&list, "broken");
    assert!(broken[0]["problem"].as_str().unwrap().contains("no shared library"), "{list}");
}

#[test]
fn inspect_of_a_sound_library_shows_every_step_and_what_it_can_do() {
    let place = with_library();
    let ran = place.run(&["plugin", "inspect", LIBRARY]);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for step in [
        "find",
        "path policy",
        "sha256",
        "ELF file",
        "dynamic linker",
        "ABI version",
        "type layout",
        "panic strategy",
        "descriptor",
    ] {
        assert!(
            ran.stdout.lines().any(|line| line.starts_with("ok") && line.contains(step)),
            "{step}: {}",
            ran.stdout
        );
    }
    for said in [
        "can       checkpoint, ",
        "limits    key 511 B, ",
        "option    map_bytes_max = \"64GiB\"  (ByteSize)",
        "[storage]\nbackend = \"/",
        "sha256 = \"",
    ] {
        assert!(ran.stdout.contains(said), "{said}: {}", ran.stdout);
    }
    let report = place.json(&["plugin", "inspect", LIBRARY]);
    assert_eq!(report["inspection"]["descriptor"]["name"], "lmdb");
    assert_eq!(report["manifest"], Value::Null);
    assert_eq!(report["sha256"], report["inspection"]["steps"][2]["found"]);
    assert!(report["inspection"]["descriptor"]["config_schema"]["properties"].is_object());
    assert!(!place.path().join("plugins/libsupervm_storage_lmdb.toml").exists());
}

#[test]
fn inspect_with_manifest_writes_one_that_the_list_reads() {
    let place = with_library();
    let ran = place.run(&["plugin", "inspect", "--manifest", LIBRARY]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let manifest =
        std::fs::read_to_string(place.path().join("plugins/libsupervm_storage_lmdb.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    assert_eq!(manifest["name"].as_str(), Some("lmdb"));
    assert_eq!(manifest["sha256"].as_str().map(str::len), Some(64));
    place.file("node.toml", "[plugins]\ndirs = [\"plugins\"]\n");
    let list = place.json(&["plugin", "list", "--config", "node.toml"]);
    let lmdb = named(&list, "lmdb");
    assert!(
        lmdb.iter().any(|row| row["path"].as_str().is_some_and(|path| path.ends_with(LIBRARY))
            && row["problem"].is_null()),
        "{list}"
    );
}

#[test]
fn inspect_of_what_is_no_plugin_names_the_step_and_exits_with_1() {
    let place = Place::new();
    place.file("libtext.so", "no library");
    let ran = place.run(&["plugin", "inspect", "libtext.so"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stdout.lines().any(|line| line.starts_with("failed") && line.contains("ELF file")),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("libtext.so is no usable plugin"), "{}", ran.stderr);
    let missing = place.run(&["plugin", "inspect", "libmissing.so", "--json"]);
    assert_eq!(missing.code, 1);
    assert_eq!(missing.object()["inspection"]["steps"][0]["outcome"], "failed");
}

#[test]
fn a_pin_is_required_where_the_tier_says_so_and_then_holds() {
    let place = with_library();
    let with = |sha256: &str| {
        place.file(
            "node.toml",
            &format!(
                "[storage]\nbackend = \"./{LIBRARY}\"\n{sha256}[plugins]\nrequire_pinned = true\n"
            ),
        );
        place.run(&["config", "check", "--config", "node.toml"])
    };
    let unpinned = with("");
    assert_eq!(unpinned.code, 1);
    let (_, rest) = unpinned.stderr.split_once("sha256 = \"").unwrap();
    let sha256 = &rest[..64];
    let pinned = with(&format!("sha256 = \"{sha256}\"\n"));
    assert_eq!(pinned.code, 0, "{}", pinned.stderr);
    let other = with(&format!("sha256 = \"{}\"\n", "0".repeat(64)));
    assert_eq!(other.code, 1);
    assert!(other.stderr.contains("not the pinned one"), "{}", other.stderr);
}
