//! The sections of a configuration that the engine reads.
//!
//! Each is a plain structure with its defaults, its JSON schema and a `check` of what the types cannot say. An unknown key
//! is refused where the text is read.

mod storage;
mod history;
mod plugins;
mod execution;

pub use execution::{ExecutionConfig, PAGE_BYTES};
pub use history::{HISTORY_BLOCKS_MAX, HistoryConfig, HistoryKind};
pub use plugins::PluginsConfig;
pub use storage::{CHAIN_ID_MAX, StorageConfig};

use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Hex digits of a sha256.
const SHA256_DIGITS: usize = 64;

fn check_sha256(key: &str, pin: &str) -> Result<()> {
    if pin.len() == SHA256_DIGITS && pin.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(invalid(format!("{key} = {pin:?} is no sha256; expected {SHA256_DIGITS} hex digits")))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::ConfigInvalid, "check configuration", message)
}
