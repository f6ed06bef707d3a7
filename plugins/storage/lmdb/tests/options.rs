//! Wrong options are refused before anything is opened, with what would be accepted.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use supervm_plugin_sdk::prelude::*;
use support::{open_with, plugin};

fn refusal(options: &str) -> String {
    let error = plugin().check_storage_config(options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    error.to_string()
}

#[test]
fn an_unknown_option_is_refused_with_the_known_ones() {
    let text = refusal("map_size = 1");
    assert!(text.contains("map_size"), "{text}");
    assert!(text.contains("map_bytes_max") && text.contains("readers_max"), "{text}");
}

#[test]
fn a_map_outside_its_bounds_is_refused_with_the_bounds() {
    for bytes in ["0", "\"63MiB\"", "\"65TiB\""] {
        let text = refusal(&format!("map_bytes_max = {bytes}"));
        assert!(text.contains("64MiB") && text.contains("64TiB"), "{text}");
    }
    for bytes in ["\"64MiB\"", "\"64TiB\""] {
        plugin().check_storage_config(&format!("map_bytes_max = {bytes}")).unwrap();
    }
}

#[test]
fn a_table_of_readers_outside_its_bounds_is_refused_with_the_bounds() {
    for readers in [0, 255, 65_537] {
        let text = refusal(&format!("readers_max = {readers}"));
        assert!(text.contains("from 256 to 65536"), "{text}");
    }
    refusal("readers_max = -1");
    refusal("readers_max = \"many\"");
}

#[test]
fn the_limits_follow_the_table_of_readers() {
    let dir = tempfile::tempdir().unwrap();
    let limits = *open_with(dir.path(), "").capabilities().limits();
    assert_eq!((limits.cursors_max, limits.snapshots_max), (1024, 1024));
    let limits = *open_with(dir.path(), "readers_max = 300").capabilities().limits();
    assert_eq!((limits.cursors_max, limits.snapshots_max), (86, 86));
}

#[test]
fn a_map_that_the_address_space_has_no_room_for_names_the_option() {
    let dir = tempfile::tempdir().unwrap();
    let options = "map_bytes_max = \"60TiB\"";
    // A process has 128 TiB on most machines, so the third map of 60 TiB is one too many.
    let mut kept = Vec::new();
    let refused = (0..5).find_map(|index| {
        let opened =
            plugin().open_storage(&dir.path().join(index.to_string()), options, OpenMode::Create);
        opened.map(|storage| kept.push(storage)).err()
    });
    let error = refused.unwrap();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid, "{error}");
    assert!(error.to_string().contains("map_bytes_max"), "{error}");
}
