//! What a plugin says of itself.

use crate::{Capabilities, Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longest name of a plugin, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// What a plugin provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PluginKind {
    /// A storage backend.
    Storage,
    /// A host pack: functions that contracts import.
    HostPack,
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Storage => "storage",
            Self::HostPack => "host-pack",
        })
    }
}

/// What a plugin says of itself, before anything of it is opened.
///
/// It crosses the boundary as JSON: a field that the reader does not know is ignored, a missing one takes its default, so
/// that a host and a plugin of different ages understand each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PluginDescriptor {
    /// The name that a configuration uses: `[a-z][a-z0-9-]*`, at most [`NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// What it provides.
    pub kind: PluginKind,
    /// The plugin's own version.
    pub version: String,
    /// The version of the SDK it was built with.
    pub sdk_version: String,
    /// The ABI version it was built for.
    pub abi_version: u32,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// SPDX expression.
    #[serde(default)]
    pub license: String,
    /// Storage: what it can do with some configuration.
    #[serde(default)]
    pub capabilities: Option<Capabilities>,
    /// Storage: the JSON schema of its options.
    #[serde(default)]
    pub config_schema: serde_json::Value,
    /// Storage: its options with their defaults, as TOML.
    #[serde(default)]
    pub config_defaults: String,
    /// Host pack: the import module that contracts name.
    #[serde(default)]
    pub module: Option<String>,
    /// Host pack: the same inputs give the same results on every node.
    #[serde(default)]
    pub deterministic: bool,
}

impl PluginDescriptor {
    /// Is the descriptor one that a host can use?
    ///
    /// # Errors
    /// `InvalidArgument` for a name outside its character set or length, or a part that its kind needs and that is missing.
    pub fn check(&self) -> Result<()> {
        let refused = |what: String| {
            Err(Error::new(ErrorKind::InvalidArgument, "check plugin descriptor", what))
        };
        if !is_plugin_name(&self.name) {
            return refused(format!(
                "invalid plugin name {:?}; a name is a-z, 0-9 and -, begins with a letter, at most {NAME_BYTES_MAX} bytes",
                self.name
            ));
        }
        match self.kind {
            PluginKind::Storage if self.capabilities.is_none() => {
                refused(format!("storage plugin \"{}\" declares no capabilities", self.name))
            }
            PluginKind::HostPack if self.module.as_deref().unwrap_or_default().is_empty() => {
                refused(format!("host pack \"{}\" names no import module", self.name))
            }
            _ => Ok(()),
        }
    }
}

/// Is it `[a-z][a-z0-9-]*`, at most [`NAME_BYTES_MAX`] bytes?
pub(crate) const fn is_plugin_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > NAME_BYTES_MAX || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut index = 1;
    while index < bytes.len() {
        let byte = bytes[index];
        if !byte.is_ascii_lowercase() && !byte.is_ascii_digit() && byte != b'-' {
            return false;
        }
        index += 1;
    }
    true
}
