//! The section `[storage]`: which backend, where, and how.

use super::{check_sha256, invalid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use supervm_plugin_sdk::{Capability, Durability, Result};

/// Greatest chain id; what an integer in TOML holds.
pub const CHAIN_ID_MAX: u64 = i64::MAX as u64;

/// Which backend stores the state, where, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct StorageConfig {
    /// The backend: the name of a storage plugin, or the path of its shared library (with a `/`, or ending in `.so`).
    /// Default: `sqlite`.
    pub backend: String,
    /// The data directory; made when it is missing. Default: `supervm-data`, in the working directory.
    pub dir: PathBuf,
    /// The chain whose state the directory holds; it is written down when the directory is made, and another one is
    /// refused afterwards. 0 to 9223372036854775807. Default: 0, which is a chain like any other, meant for development.
    #[schemars(range(max = 9_223_372_036_854_775_807_u64))]
    pub chain_id: u64,
    /// How long a write lasts when its call returns: `synced` survives a power cut, `buffered` the death of the process.
    /// Default: the strongest that the backend declares. A backend that does not declare `synced_writes` refuses
    /// `synced`.
    pub durability: Option<Durability>,
    /// The sha256 of the backend's shared library, 64 hex digits; another file is refused. Default: none, any file is
    /// taken.
    #[schemars(regex(pattern = "^[0-9a-fA-F]{64}$"))]
    pub sha256: Option<String>,
    /// What the backend must be able to do; the start fails with the list of what is missing. Default: nothing.
    pub require: Vec<Capability>,
    /// The backend's own options; its own schema says which. Default: none, the backend's defaults hold.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub options: toml::Table,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            backend: "sqlite".to_owned(),
            dir: PathBuf::from("supervm-data"),
            chain_id: 0,
            durability: None,
            sha256: None,
            require: Vec::new(),
            options: toml::Table::new(),
        }
    }
}

impl StorageConfig {
    /// Checks what the types cannot say. The backend's options are checked when it is opened.
    ///
    /// # Errors
    /// `ConfigInvalid` with the key, its value and what would be accepted.
    pub fn check(&self) -> Result<()> {
        if self.backend.is_empty() {
            return Err(invalid(
                "storage.backend is empty; name a storage plugin or the path of one",
            ));
        }
        if self.dir.as_os_str().is_empty() {
            return Err(invalid("storage.dir is empty; name a directory"));
        }
        if self.chain_id > CHAIN_ID_MAX {
            return Err(invalid(format!(
                "storage.chain_id = {} is too large; at most {CHAIN_ID_MAX}",
                self.chain_id
            )));
        }
        self.sha256.as_ref().map_or(Ok(()), |pin| check_sha256("storage.sha256", pin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_reads_back_and_an_unknown_key_or_capability_is_named() {
        let text = "backend = \"lmdb\"\nrequire = [\"checkpoint\", \"read_only_open\"]\n\
                    durability = \"buffered\"\n[options]\nmap_bytes = \"1GiB\"\n";
        let config: StorageConfig = toml::from_str(text).expect("a sound section");
        assert_eq!(config.require, [Capability::Checkpoint, Capability::ReadOnlyOpen]);
        assert_eq!(config.durability, Some(Durability::Buffered));
        assert_eq!(config.options["map_bytes"].as_str(), Some("1GiB"));
        let again = toml::from_str(&toml::to_string(&config).expect("serialises"));
        assert_eq!(again, Ok(config));
        let refused =
            |text| toml::from_str::<StorageConfig>(text).expect_err("refused").to_string();
        assert!(refused("backened = \"lmdb\"").contains("backened"));
        let unknown = refused("require = [\"teleport\"]");
        assert!(unknown.contains("teleport") && unknown.contains("checkpoint"), "{unknown}");
    }

    #[test]
    fn a_chain_id_that_toml_cannot_hold_and_a_malformed_pin_are_refused() {
        let sound = StorageConfig { chain_id: CHAIN_ID_MAX, ..StorageConfig::default() };
        assert!(sound.check().is_ok());
        let large = StorageConfig { chain_id: CHAIN_ID_MAX + 1, ..StorageConfig::default() };
        assert!(large.check().expect_err("too large").message().contains("chain_id"));
        let pin = Some("xyz".to_owned());
        let malformed = StorageConfig { sha256: pin, ..StorageConfig::default() };
        assert!(malformed.check().expect_err("malformed").message().contains("64 hex digits"));
    }
}
