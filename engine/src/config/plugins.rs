//! The section `[plugins]`: where shared libraries are looked for, and which may be loaded.

use super::{check_sha256, invalid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use supervm_plugin_sdk::Result;

/// Where plugins are looked for, and which may be loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PluginsConfig {
    /// Directories in which shared libraries are looked for, before the other places. A relative one is taken from the
    /// working directory of the process. Default: none.
    pub dirs: Vec<PathBuf>,
    /// Refuse a shared library whose sha256 is not pinned. Plugins that are linked in are part of the program and need no
    /// pin. Default: false.
    pub require_pinned: bool,
    /// The host packs to load beyond those that are linked in: names, or paths of shared libraries. Default: none.
    pub packs: Vec<String>,
    /// The sha256 of each host pack's shared library, 64 hex digits, by its entry in `packs`; another file is refused.
    /// Default: none.
    pub sha256: BTreeMap<String, String>,
    /// Accept host packs whose functions may give different results on different nodes. Never for a chain with consensus.
    /// Default: false.
    pub allow_nondeterministic: bool,
}

impl PluginsConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `ConfigInvalid` with the key, its value and what would be accepted.
    pub fn check(&self) -> Result<()> {
        if self.dirs.iter().any(|dir| dir.as_os_str().is_empty()) {
            return Err(invalid("plugins.dirs has an empty entry; name a directory"));
        }
        let unique: BTreeSet<_> = self.packs.iter().collect();
        if unique.len() < self.packs.len() {
            return Err(invalid("plugins.packs names a host pack twice; name each once"));
        }
        for (name, pin) in &self.sha256 {
            check_sha256(&format!("plugins.sha256.{name:?}"), pin)?;
            if !self.packs.contains(name) {
                return Err(invalid(format!(
                    "plugins.sha256 pins {name:?}, which plugins.packs does not load; add it there or remove the pin"
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unused_pin_a_repeated_pack_and_an_empty_directory_are_refused() {
        let pin = "a".repeat(64);
        let text = format!("packs = [\"bls\"]\n[sha256]\nbls = \"{pin}\"\n");
        let sound: PluginsConfig = toml::from_str(&text).expect("a sound section");
        assert!(sound.check().is_ok());
        let unused = PluginsConfig { packs: Vec::new(), ..sound };
        assert!(unused.check().expect_err("unused pin").message().contains("\"bls\""));
        let packs = vec!["bls".to_owned(), "bls".to_owned()];
        let twice = PluginsConfig { packs, ..PluginsConfig::default() };
        assert!(twice.check().expect_err("twice").message().contains("plugins.packs"));
        let empty = PluginsConfig { dirs: vec![PathBuf::new()], ..PluginsConfig::default() };
        assert!(empty.check().expect_err("empty").message().contains("plugins.dirs"));
    }
}
