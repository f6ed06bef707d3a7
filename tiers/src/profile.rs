//! A tier's profile: every setting of a node.

use crate::TierName;
use crate::node::Node;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use supervm_engine::config::{ExecutionConfig, HistoryConfig, PluginsConfig, StorageConfig};
use supervm_plugin_sdk::Result;

/// Every setting of a node, as a configuration file has them.
///
/// `config/reference.toml` lists each key with its unit, bounds and default. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TierProfile {
    /// Which tier this is.
    pub tier: TierConfig,
    /// The backend and where its data is.
    pub storage: StorageConfig,
    /// How much of the past is kept.
    pub history: HistoryConfig,
    /// The runtime's limits.
    pub execution: ExecutionConfig,
    /// Which plugins may be loaded, and from where.
    pub plugins: PluginsConfig,
}

/// The section `[tier]`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TierConfig {
    /// The tier whose built-in profile lies beneath the other keys; `custom` for none.
    pub name: TierName,
}

impl TierProfile {
    /// L1, supercomputer: `config/l1.toml`.
    pub fn l1() -> Self {
        Self::built_in(TierName::L1)
    }

    /// L2, miner: `config/l2.toml`.
    pub fn l2() -> Self {
        Self::built_in(TierName::L2)
    }

    /// L3, edge: `config/l3.toml`.
    pub fn l3() -> Self {
        Self::built_in(TierName::L3)
    }

    /// L4, mobile: `config/l4.toml`.
    pub fn l4() -> Self {
        Self::built_in(TierName::L4)
    }

    /// Development and tests: `config/dev.toml`.
    pub fn dev() -> Self {
        Self::built_in(TierName::Dev)
    }

    /// The built-in profile of `tier`; the defaults for [`TierName::Custom`].
    pub fn built_in(tier: TierName) -> Self {
        let text = tier.built_in().unwrap_or_default();
        toml::from_str(text).expect("the files in config/ parse, which a test checks")
    }

    /// The same profile with its data in `dir`.
    #[must_use]
    pub fn with_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.storage.dir = dir.into();
        self
    }

    /// The same profile over another backend: a name, or the path of a `.so`.
    ///
    /// The options and the pinned hash of the former backend are dropped, unless it is the same one.
    #[must_use]
    pub fn with_backend(mut self, name_or_path: impl Into<String>) -> Self {
        let backend = name_or_path.into();
        if backend != self.storage.backend {
            self.storage.options.clear();
            self.storage.sha256 = None;
            self.storage.backend = backend;
        }
        self
    }

    /// Opens the node that this profile describes; its directory is made when it is missing.
    ///
    /// # Errors
    /// As [`Node::open`].
    pub fn open(self) -> Result<Node> {
        Node::open(self)
    }
}
