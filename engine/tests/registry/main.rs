//! The registry over the real libraries of this build.
//!
//! Linked in here: the host pack `chain`, and `rogue`, whose results are not the same on every node.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod files;
mod lookup;
mod listing;
mod manifest;
mod packs;
mod search_path;

use std::path::Path;
use supervm_engine::config::PluginsConfig;
use supervm_engine::registry::{Registry, SearchPath};
use supervm_host_chain as _;

supervm_plugin_sdk::export_plugin!(host_pack: packs::Rogue, name: "rogue");

/// A registry that looks in `dirs` only.
fn registry(dirs: &[&Path]) -> Registry {
    registry_with(PluginsConfig {
        dirs: dirs.iter().map(|dir| (*dir).to_owned()).collect(),
        ..PluginsConfig::default()
    })
}

fn registry_with(config: PluginsConfig) -> Registry {
    Registry::with_search_path(&config, SearchPath::of_config(&config)).unwrap()
}
