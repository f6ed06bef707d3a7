//! The tiers' names.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// A deployment tier; each but [`Custom`](Self::Custom) has a built-in profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TierName {
    /// Supercomputer: the full state, any number of contracts at once.
    L1,
    /// Miner: the state of the chain on one machine.
    L2,
    /// Edge: a rebuildable copy of hot data, close to its readers.
    L3,
    /// Mobile: a local client with a quota.
    L4,
    /// Development and tests: in memory, forgotten at the end.
    Dev,
    /// No built-in profile: every key has its default unless it is set.
    #[default]
    Custom,
}

impl TierName {
    /// Every tier, in the order of the documentation.
    pub const ALL: [Self; 6] = [Self::L1, Self::L2, Self::L3, Self::L4, Self::Dev, Self::Custom];

    /// The name as it is written in a configuration; read in any case.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
            Self::L4 => "L4",
            Self::Dev => "dev",
            Self::Custom => "custom",
        }
    }

    /// The text of the built-in profile; `None` for [`Custom`](Self::Custom).
    pub const fn built_in(self) -> Option<&'static str> {
        match self {
            Self::L1 => Some(include_str!("../../config/l1.toml")),
            Self::L2 => Some(include_str!("../../config/l2.toml")),
            Self::L3 => Some(include_str!("../../config/l3.toml")),
            Self::L4 => Some(include_str!("../../config/l4.toml")),
            Self::Dev => Some(include_str!("../../config/dev.toml")),
            Self::Custom => None,
        }
    }
}

impl fmt::Display for TierName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for TierName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|tier| tier.as_str().eq_ignore_ascii_case(text));
        found.ok_or_else(|| {
            format!("unknown tier \"{text}\"; available: L1, L2, L3, L4, dev, custom")
        })
    }
}

impl Serialize for TierName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TierName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for TierName {
    fn schema_name() -> Cow<'static, str> {
        "TierName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": Self::ALL.map(Self::as_str) })
    }
}
