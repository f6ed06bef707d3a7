//! The options of the backend.

use supervm_plugin_sdk::prelude::*;

/// The `[storage.options]` of `memory`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MemoryConfig {
    /// Most bytes of keys and values together; a write that would end above it is refused with `QuotaFull`. Absent (the
    /// default) = no quota. At least 1.
    ///
    /// The map's own memory, about 100 bytes an entry, is not counted.
    pub quota_bytes: Option<ByteSize>,
}

impl MemoryConfig {
    pub(crate) fn check(&self) -> Result<()> {
        if self.quota_bytes != Some(ByteSize(0)) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::ConfigInvalid,
            "check options",
            "quota_bytes is 0; give at least 1 byte, or leave it out for no quota",
        )
        .with("option", "quota_bytes"))
    }
}
