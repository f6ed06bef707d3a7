//! The manifest of a data directory: whose data it holds (clause 28).
//!
//! Its making is atomic and exclusive: the whole file is written and synced under a temporary name and then takes its
//! name in one step that fails when the name is taken. So a manifest is never seen half-written, and of two processes
//! that make the same directory, the second reads what the first wrote.

use crate::config::CHAIN_ID_MAX;
use serde::{Deserialize, Serialize};
use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use supervm_plugin_sdk::{Error, ErrorKind, PluginDescriptor, Result};

/// The manifest's file name in a data directory.
pub const MANIFEST_FILE: &str = "supervm.toml";
/// The layout of a data directory, and of the engine's keys in it. It rises with every change that an older build cannot
/// read, or that makes this build unable to read an older one's.
pub const FORMAT_VERSION: u32 = 2;
/// The version of the storage contract.
pub const CONTRACT_VERSION: u32 = 1;
/// Largest manifest that is read, bytes.
pub const MANIFEST_BYTES_MAX: u64 = 64 << 10;

/// What an interrupted making leaves behind begins with this.
const TEMPORARY_PREFIX: &str = ".supervm.toml.";

/// Whose data a directory holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name of the storage plugin whose data this is; no other one opens it.
    pub backend: String,
    /// The version of the plugin that made it; other versions of the plugin may open it.
    pub plugin_version: String,
    /// [`FORMAT_VERSION`] of the build that made it.
    pub format_version: u32,
    /// [`CONTRACT_VERSION`] of the build that made it.
    pub contract_version: u32,
    /// The chain whose state this is.
    pub chain_id: u64,
    /// When it was made, in seconds since 1970-01-01 00:00 UTC.
    pub created_seconds: u64,
    /// The version of SuperVM that made it.
    pub created_by: String,
}

/// The part that every format version has, so that a newer file can say that it is newer.
#[derive(Deserialize)]
struct Versions {
    format_version: u32,
    contract_version: u32,
    #[serde(default)]
    created_by: String,
}

impl Manifest {
    /// The manifest of a directory that is made by `plugin` at this moment.
    ///
    /// # Errors
    /// `InvalidArgument` for a chain id past [`CHAIN_ID_MAX`].
    pub(super) fn new(plugin: &PluginDescriptor, chain_id: u64) -> Result<Self> {
        if chain_id > CHAIN_ID_MAX {
            let refused = format!("chain id {chain_id} is too large; at most {CHAIN_ID_MAX}");
            return Err(Error::new(ErrorKind::InvalidArgument, "open", refused));
        }
        // A clock before 1970 is no reason to refuse the directory.
        let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            backend: plugin.name.clone(),
            plugin_version: plugin.version.clone(),
            format_version: FORMAT_VERSION,
            contract_version: CONTRACT_VERSION,
            chain_id,
            created_seconds: created.as_secs(),
            created_by: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    /// The manifest of the data directory `dir`; `None` when it has none.
    ///
    /// # Errors
    /// `Corruption`, naming the file, when it does not parse or is no regular file; `FormatMismatch` when a newer build
    /// made it, or one with an earlier format; `Io`, `PermissionDenied`.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(MANIFEST_FILE);
        Self::read_file(&path).map_err(|error| error.with("path", path.display()))
    }

    fn read_file(path: &Path) -> Result<Option<Self>> {
        let io = |error| Error::io("read manifest", error);
        let metadata = match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            metadata => metadata.map_err(io)?,
        };
        // A link may lead to another directory's manifest, and opening a FIFO would wait for ever.
        if !metadata.is_file() {
            return Err(damaged("it is no regular file"));
        }
        let mut text = Vec::new();
        let file = match File::open(path) {
            // Another opener took its manifest back after the look at it.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file.map_err(io)?,
        };
        file.take(MANIFEST_BYTES_MAX + 1).read_to_end(&mut text).map_err(io)?;
        if text.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(damaged(format!("it is larger than {MANIFEST_BYTES_MAX} bytes")));
        }
        let text = str::from_utf8(&text).map_err(|error| damaged(error.to_string()))?;
        Self::parse(text).map(Some)
    }

    fn parse(text: &str) -> Result<Self> {
        let malformed = |error: toml::de::Error| damaged(error.message()).with_source(error);
        let versions: Versions = toml::from_str(text).map_err(malformed)?;
        let newer = versions.format_version > FORMAT_VERSION
            || versions.contract_version > CONTRACT_VERSION;
        if newer {
            return Err(Error::new(
                ErrorKind::FormatMismatch,
                "read manifest",
                "a newer SuperVM made this data directory; open it with that version or a later one",
            )
            .with("made by", versions.created_by)
            .with("format version", versions.format_version)
            .with("contract version", versions.contract_version)
            .with("this build reads", FORMAT_VERSION));
        }
        if versions.format_version == 0 || versions.contract_version == 0 {
            return Err(damaged("a version is 0; versions begin with 1"));
        }
        if versions.format_version < FORMAT_VERSION {
            return Err(Error::new(
                ErrorKind::FormatMismatch,
                "read manifest",
                "the data directory was made by an earlier format, which this build does not read; open it with the version that made it, or \
                 name another directory",
            )
            .with("made by", versions.created_by)
            .with("format version", versions.format_version)
            .with("this build reads", FORMAT_VERSION));
        }
        toml::from_str(text).map_err(malformed)
    }

    /// Is this the directory that the caller means?
    ///
    /// # Errors
    /// `FormatMismatch`, naming both backends or both chains.
    pub(super) fn check(&self, plugin: &PluginDescriptor, chain_id: u64) -> Result<()> {
        let mismatch = |message| Error::new(ErrorKind::FormatMismatch, "open", message);
        if self.backend != plugin.name {
            return Err(mismatch(format!(
                "the directory holds data of backend \"{}\", not of \"{}\"; open it with \"{0}\" or name another directory",
                self.backend, plugin.name
            )));
        }
        if self.chain_id != chain_id {
            return Err(mismatch(format!(
                "the directory holds the state of chain {}, not of chain {chain_id}; correct the chain id or name another directory",
                self.chain_id
            )));
        }
        if self.plugin_version != plugin.version {
            tracing::info!(
                backend = %self.backend, made_by = %self.plugin_version, opened_by = %plugin.version,
                "the data directory was made by another version of the plugin"
            );
        }
        Ok(())
    }

    /// Gives `dir` this manifest; `false` when it has one already, which stays as it is.
    ///
    /// # Errors
    /// `Io`, `NoSpace`, `PermissionDenied`.
    pub(super) fn create(&self, dir: &Path) -> Result<bool> {
        let path = dir.join(MANIFEST_FILE);
        self.create_file(dir, &path).map_err(|error| error.with("path", path.display()))
    }

    fn create_file(&self, dir: &Path, path: &Path) -> Result<bool> {
        let io = |error| Error::io("write manifest", error);
        let text = toml::to_string(self).map_err(|error| {
            Error::new(ErrorKind::Internal, "write manifest", "the manifest does not serialise")
                .with_source(error)
        })?;
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(TEMPORARY_PREFIX).permissions(Permissions::from_mode(0o644));
        let mut file = builder.tempfile_in(dir).map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)?;
        // IMPORTANT: the content is on disk before it gets its name, and the name before the caller goes on.
        file.as_file().sync_all().map_err(io)?;
        match file.persist_noclobber(path) {
            Ok(_) => {}
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Ok(false);
            }
            Err(error) => return Err(io(error.error)),
        }
        sync_dir(dir).map_err(io)?;
        Ok(true)
    }
}

/// The directory that `path` lies in.
pub(crate) fn parent_dir(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> std::io::Result<()> {
    File::open(dir)?.sync_all()
}

fn damaged(what: impl Into<String>) -> Error {
    let message = format!(
        "the data directory's manifest is damaged: {}; restore it from a checkpoint",
        what.into()
    );
    Error::new(ErrorKind::Corruption, "read manifest", message)
}
