//! The section `[history]`: how much of the past is kept.

use super::invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use supervm_plugin_sdk::Result;

/// Most blocks of a window; what an integer in TOML holds.
pub const HISTORY_BLOCKS_MAX: u64 = i64::MAX as u64;

/// How much of the past of chain state is kept. May differ between nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HistoryConfig {
    /// What is kept. Default: what the data directory has, and `none` for a new one.
    pub mode: Option<HistoryKind>,
    /// Number of blocks that the mode `window` keeps, counted as they exist and not by their numbers: 1 to
    /// 9223372036854775807. Without effect in other modes. Default: 10000.
    #[schemars(range(min = 1, max = 9_223_372_036_854_775_807_u64))]
    pub blocks: u64,
}

/// A mode of history, as a configuration names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryKind {
    /// The latest state alone.
    None,
    /// The states after each of the last blocks.
    Window,
    /// Every state.
    Archive,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self { mode: None, blocks: 10_000 }
    }
}

impl HistoryConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `ConfigInvalid` with the key, its value and what would be accepted.
    pub fn check(&self) -> Result<()> {
        let blocks = self.blocks;
        if (1..=HISTORY_BLOCKS_MAX).contains(&blocks) {
            return Ok(());
        }
        Err(invalid(format!("history.blocks = {blocks}; expected 1 to {HISTORY_BLOCKS_MAX}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_reads_back_and_what_is_not_accepted_is_named() {
        let config: HistoryConfig =
            toml::from_str("mode = \"window\"\nblocks = 7").expect("a sound section");
        assert_eq!(config, HistoryConfig { mode: Some(HistoryKind::Window), blocks: 7 });
        assert_eq!(toml::from_str(&toml::to_string(&config).expect("serialises")), Ok(config));
        let unknown = toml::from_str::<HistoryConfig>("mode = \"all\"").expect_err("unknown");
        assert!(unknown.to_string().contains("archive"), "{unknown}");
        let none = HistoryConfig { blocks: 0, ..HistoryConfig::default() };
        let refused = none.check().expect_err("a window of nothing");
        assert_eq!(refused.message(), "history.blocks = 0; expected 1 to 9223372036854775807");
    }
}
