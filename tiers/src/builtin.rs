//! The plugins that are linked into every program that uses this crate.
//!
//! A crate that is only listed in `Cargo.toml` is dropped by the linker, and its registration with it: naming each one here is
//! what keeps it.

use supervm_host_chain as _;
use supervm_host_crypto as _;
use supervm_host_storage as _;
use supervm_storage_lmdb as _;
use supervm_storage_memory as _;
use supervm_storage_sqlite as _;

/// Names of the storage backends that are linked in, sorted.
pub const STORAGE_BACKENDS: [&str; 3] = ["lmdb", "memory", "sqlite"];

/// Names of the host packs that are linked in, sorted.
pub const HOST_PACKS: [&str; 3] = ["chain", "crypto", "storage"];

#[cfg(test)]
mod tests {
    use super::*;
    use supervm_plugin_sdk::PluginKind;

    fn linked(kind: PluginKind) -> Vec<String> {
        let plugins = supervm_plugin_sdk::load::linked().expect("well-formed descriptors");
        let descriptors = plugins.iter().map(|plugin| plugin.descriptor());
        descriptors
            .filter(|descriptor| descriptor.kind == kind)
            .map(|descriptor| descriptor.name.clone())
            .collect()
    }

    #[test]
    fn every_named_plugin_is_linked_in_and_no_other() {
        assert_eq!(linked(PluginKind::Storage), STORAGE_BACKENDS);
        assert_eq!(linked(PluginKind::HostPack), HOST_PACKS);
    }
}
