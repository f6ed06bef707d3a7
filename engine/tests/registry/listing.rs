//! What there is, and what is wrong with it.

use crate::files::{self, CHAIN_PACK, MEMORY};
use crate::{registry, registry_with};
use std::fs;
use std::os::unix::fs::symlink;
use supervm_engine::config::PluginsConfig;
use supervm_engine::registry::{Listing, Origin, PluginManifest};
use supervm_plugin_sdk::{ABI_VERSION, Capabilities, ErrorKind, PluginKind};

const FILE: &str = "libsupervm_storage_memory.so";

fn named<'a>(listings: &'a [Listing], name: &str) -> Vec<&'a Listing> {
    listings.iter().filter(|listing| listing.name == name).collect()
}

fn problem(listing: &Listing) -> ErrorKind {
    listing.problem.as_ref().unwrap().kind()
}

#[test]
fn linked_in_plugins_are_listed_and_shadow_files_of_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = files::copy(CHAIN_PACK, dir.path(), "libsupervm_host_chain.so");
    let listings = registry(&[dir.path()]).list();
    let chain = named(&listings, "chain");
    assert_eq!(chain.len(), 2);
    let linked = chain.iter().find(|listing| listing.origin == Origin::LinkedIn).unwrap();
    assert!(!linked.shadowed && linked.problem.is_none());
    assert_eq!(linked.kind, Some(PluginKind::HostPack));
    assert!(!linked.version.is_empty() && !linked.description.is_empty());
    let shadow = chain.iter().find(|listing| listing.origin == Origin::File(file.clone())).unwrap();
    assert!(shadow.shadowed && shadow.problem.is_none());
    assert_eq!(named(&listings, "rogue").len(), 1);
}

#[test]
fn a_library_with_a_manifest_is_listed_without_being_loaded() {
    if !files::alone("listing::a_library_with_a_manifest_is_listed_without_being_loaded") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let described = files::copy(MEMORY, dir.path(), FILE);
    let manifest = PluginManifest {
        name: "described".to_owned(),
        kind: PluginKind::Storage,
        version: "1.2.3".to_owned(),
        abi_version: ABI_VERSION,
        sdk_version: "1.0.0".to_owned(),
        description: "by its manifest".to_owned(),
        license: "MIT".to_owned(),
        sha256: files::sha256(&described),
        module: None,
        deterministic: false,
        config_defaults: String::new(),
        config_schema: "{\"default\":null}".to_owned(),
        capabilities: Some(Capabilities::new()),
    };
    manifest.write_beside(&described).unwrap();
    let listings = registry(&[dir.path()]).list();
    let listing = named(&listings, "described")[0];
    assert_eq!((listing.kind, listing.problem.is_none()), (Some(PluginKind::Storage), true));
    assert_eq!((&*listing.version, &*listing.description), ("1.2.3", "by its manifest"));
    assert_eq!(listing.descriptor, Some(manifest.descriptor().unwrap()));
    assert_eq!(files::times_loaded(FILE), 0);
    fs::remove_file(PluginManifest::path_of(&described)).unwrap();
    let listings = registry(&[dir.path()]).list();
    assert!(named(&listings, "memory")[0].descriptor.is_some());
    assert_eq!(files::times_loaded(FILE), 1);
}

#[test]
fn a_stale_or_damaged_manifest_and_another_abi_are_problems() {
    let dir = tempfile::tempdir().unwrap();
    let library = files::copy(MEMORY, dir.path(), FILE);
    let plugin = registry(&[]).storage(library.to_str().unwrap(), None).unwrap();
    let manifest = PluginManifest::new(plugin.descriptor(), files::sha256(&library));
    let listed = || problem(named(&registry(&[dir.path()]).list(), "memory")[0]);
    let stale = PluginManifest { sha256: "0".repeat(64), ..manifest.clone() };
    stale.write_beside(&library).unwrap();
    assert_eq!(listed(), ErrorKind::Corruption);
    let newer = PluginManifest { abi_version: 99, ..manifest };
    newer.write_beside(&library).unwrap();
    assert_eq!(listed(), ErrorKind::AbiMismatch);
    fs::write(PluginManifest::path_of(&library), b"name = ").unwrap();
    assert_eq!(listed(), ErrorKind::Corruption);
    registry(&[dir.path()]).storage("memory", None).unwrap();
}

#[test]
fn what_cannot_be_used_is_listed_with_its_problem_and_hides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    files::copy(MEMORY, dir.path(), FILE);
    files::copy(MEMORY, dir.path(), "libsupervm_storage_second.so");
    fs::write(dir.path().join("libsupervm_storage_broken.so"), b"no library").unwrap();
    fs::write(dir.path().join("libunrelated.so"), b"no library").unwrap();
    symlink("/nowhere", dir.path().join("libsupervm_gone.so")).unwrap();
    let listings = registry(&[dir.path()]).list();
    let broken = named(&listings, "broken")[0];
    assert_eq!((problem(broken), broken.kind), (ErrorKind::AbiMismatch, None));
    assert_eq!(problem(named(&listings, "libsupervm_gone")[0]), ErrorKind::NotFound);
    let twice = named(&listings, "memory");
    assert_eq!(twice.len(), 2);
    for listing in twice {
        let problem = listing.problem.as_ref().unwrap();
        assert_eq!(problem.kind(), ErrorKind::InvalidArgument);
        assert!(problem.to_string().contains("libsupervm_storage_second.so"), "{problem}");
    }
    assert_eq!(listings.len(), 6, "with the two that are linked in: {listings:?}");
}

#[test]
fn an_unpinned_library_is_not_loaded_for_the_list_when_pins_are_required() {
    if !files::alone(
        "listing::an_unpinned_library_is_not_loaded_for_the_list_when_pins_are_required",
    ) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    files::copy(MEMORY, dir.path(), FILE);
    let dirs = vec![dir.path().to_owned()];
    let registry =
        registry_with(PluginsConfig { dirs, require_pinned: true, ..PluginsConfig::default() });
    let listings = registry.list();
    assert_eq!(problem(named(&listings, "memory")[0]), ErrorKind::PermissionDenied);
    assert_eq!(files::times_loaded(FILE), 0);
}
