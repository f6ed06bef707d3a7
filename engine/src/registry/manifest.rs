//! The manifest beside a plugin's library: what the plugin says of itself, so that it can be listed without being loaded.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{Capabilities, Error, ErrorKind, PluginDescriptor, PluginKind, Result};

/// Largest manifest that is read, bytes.
pub const PLUGIN_MANIFEST_BYTES_MAX: u64 = 1 << 20;

/// A plugin's descriptor and its library's hash, as they are written beside the library.
///
/// # Behavior
/// It saves a load, it proves nothing: who can write the library can write the manifest too. A pin in the configuration
/// is what protects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginManifest {
    /// The name that a configuration uses.
    pub name: String,
    /// What the plugin provides.
    pub kind: PluginKind,
    /// The plugin's own version.
    pub version: String,
    /// The ABI version it was built for.
    pub abi_version: u32,
    /// The version of the SDK it was built with; an engine that is older may not know all it says.
    pub sdk_version: String,
    /// One sentence.
    #[serde(default)]
    pub description: String,
    /// SPDX expression.
    #[serde(default)]
    pub license: String,
    /// The sha256 of the library, 64 hex digits.
    pub sha256: String,
    /// Host pack: the import module that contracts name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Host pack: the same inputs give the same results on every node.
    #[serde(default)]
    pub deterministic: bool,
    /// Storage: its options with their defaults, as TOML.
    #[serde(default)]
    pub config_defaults: String,
    /// Storage: the JSON schema of its options, as text. TOML has no null, which a schema may hold.
    #[serde(default)]
    pub config_schema: String,
    /// Storage: what it can do with some configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Capabilities>,
}

impl PluginManifest {
    /// The manifest of the plugin with this descriptor, whose library has this `sha256`.
    pub fn new(descriptor: &PluginDescriptor, sha256: impl Into<String>) -> Self {
        Self {
            name: descriptor.name.clone(),
            kind: descriptor.kind,
            version: descriptor.version.clone(),
            abi_version: descriptor.abi_version,
            sdk_version: descriptor.sdk_version.clone(),
            description: descriptor.description.clone(),
            license: descriptor.license.clone(),
            sha256: sha256.into(),
            module: descriptor.module.clone(),
            deterministic: descriptor.deterministic,
            config_defaults: descriptor.config_defaults.clone(),
            config_schema: descriptor.config_schema.to_string(),
            capabilities: descriptor.capabilities,
        }
    }

    /// The descriptor in it.
    ///
    /// # Errors
    /// `Corruption` when the schema is no JSON; `InvalidArgument` when the descriptor is not one that a host can use.
    pub fn descriptor(&self) -> Result<PluginDescriptor> {
        let schema = match self.config_schema.as_str() {
            "" => serde_json::Value::Null,
            text => serde_json::from_str(text).map_err(|error| {
                damaged(format!("config_schema is no JSON: {error}")).with_source(error)
            })?,
        };
        let descriptor = PluginDescriptor {
            name: self.name.clone(),
            kind: self.kind,
            version: self.version.clone(),
            sdk_version: self.sdk_version.clone(),
            abi_version: self.abi_version,
            description: self.description.clone(),
            license: self.license.clone(),
            capabilities: self.capabilities,
            config_schema: schema,
            config_defaults: self.config_defaults.clone(),
            module: self.module.clone(),
            deterministic: self.deterministic,
        };
        descriptor.check()?;
        Ok(descriptor)
    }

    /// Where the manifest of the library at `library` is: the same name with `.toml`.
    pub fn path_of(library: &Path) -> PathBuf {
        library.with_extension("toml")
    }

    /// The manifest beside `library`; `None` when there is none.
    ///
    /// # Errors
    /// `Corruption`, naming the file, when it is no manifest; `Io`, `PermissionDenied`.
    pub fn read_beside(library: &Path) -> Result<Option<Self>> {
        let path = Self::path_of(library);
        read(&path).map_err(|error| error.with("path", path.display()))
    }

    /// Writes the manifest beside `library`, in the place of an older one.
    ///
    /// # Errors
    /// `Io`, `NoSpace`, `PermissionDenied`.
    pub fn write_beside(&self, library: &Path) -> Result<()> {
        let path = Self::path_of(library);
        self.write(&path).map_err(|error| error.with("path", path.display()))
    }

    fn write(&self, path: &Path) -> Result<()> {
        let io = |error| Error::io("write plugin manifest", error);
        let text = toml::to_string(self).map_err(|error| {
            let refused = "the manifest does not serialise";
            Error::new(ErrorKind::Internal, "write plugin manifest", refused).with_source(error)
        })?;
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        let builder = builder.permissions(Permissions::from_mode(0o644));
        let mut file = builder.tempfile_in(dir).map_err(io)?;
        file.write_all(text.as_bytes()).map_err(io)?;
        file.persist(path).map(drop).map_err(|error| io(error.error))
    }
}

fn read(path: &Path) -> Result<Option<PluginManifest>> {
    let io = |error| Error::io("read plugin manifest", error);
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
        // Opening a FIFO would wait for ever.
        Ok(metadata) if !metadata.is_file() => return Err(damaged("it is no regular file")),
        Ok(_) => {}
    }
    let mut text = String::new();
    let file = File::open(path).map_err(io)?;
    let read = file.take(PLUGIN_MANIFEST_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => damaged("it is no text"),
        _ => io(error),
    })?;
    if text.len() as u64 > PLUGIN_MANIFEST_BYTES_MAX {
        return Err(damaged(format!("it is larger than {PLUGIN_MANIFEST_BYTES_MAX} bytes")));
    }
    let manifest = toml::from_str(&text);
    manifest.map(Some).map_err(|error| damaged(error.message()).with_source(error))
}

fn damaged(what: impl Into<String>) -> Error {
    let message = format!(
        "the plugin's manifest is damaged: {}; write it again with `supervm plugin inspect --manifest`",
        what.into()
    );
    Error::new(ErrorKind::Corruption, "read plugin manifest", message)
}
