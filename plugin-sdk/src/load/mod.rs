//! The host's view of plugins: what is linked in, and how a plugin is opened.

use crate::abi::proxy;
use crate::abi::root::{Linked, PluginRootRef};
use crate::{Error, ErrorKind, OpenMode, PluginDescriptor, Result, StorageBackend};
use std::fmt;
use std::path::Path;

/// A plugin that is ready to be used. It is never unloaded (clause 27).
#[derive(Clone)]
pub struct Plugin {
    descriptor: PluginDescriptor,
    root: PluginRootRef,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plugin").field(&self.descriptor.name).finish()
    }
}

impl Plugin {
    fn from_root(root: PluginRootRef) -> Result<Self> {
        let descriptor = root.describe()?;
        descriptor.check()?;
        Ok(Self { descriptor, root })
    }

    /// What the plugin says of itself.
    pub fn descriptor(&self) -> &PluginDescriptor {
        &self.descriptor
    }

    /// Would [`open_storage`](Self::open_storage) accept these options? Opens nothing.
    ///
    /// # Errors
    /// `ConfigInvalid` with the key and what would be accepted; `Unsupported` when this is no storage plugin.
    pub fn check_storage_config(&self, options: &str) -> Result<()> {
        proxy::check_config(&self.storage_entry()?, options)
    }

    /// Opens the storage in `dir` with `options`, in TOML.
    ///
    /// # Errors
    /// As [`StorageFactory::open`](crate::StorageFactory::open); `Locked` when the directory is in use; `Unsupported` when this
    /// is no storage plugin.
    pub fn open_storage(
        &self,
        dir: &Path,
        options: &str,
        mode: OpenMode,
    ) -> Result<Box<dyn StorageBackend>> {
        proxy::open(&self.storage_entry()?, dir, options, mode)
    }

    fn storage_entry(&self) -> Result<crate::abi::storage::StorageEntry> {
        self.root.storage_entry().ok_or_else(|| {
            let name = &self.descriptor.name;
            Error::new(
                ErrorKind::Unsupported,
                "open storage",
                format!("plugin \"{name}\" is no storage backend"),
            )
        })
    }
}

/// The plugins that are linked into this program, sorted by name.
///
/// # Errors
/// `InvalidArgument` when a descriptor is malformed or two plugins have one name.
pub fn linked() -> Result<Vec<Plugin>> {
    let mut plugins = Vec::new();
    for linked in inventory::iter::<Linked> {
        let plugin = Plugin::from_root((linked.root)());
        plugins.push(plugin.map_err(|error| error.with("crate", linked.crate_name))?);
    }
    plugins.sort_by(|a: &Plugin, b| a.descriptor.name.cmp(&b.descriptor.name));
    if let Some(twice) =
        plugins.windows(2).find(|pair| pair[0].descriptor.name == pair[1].descriptor.name)
    {
        let name = &twice[0].descriptor.name;
        let refused = format!("two plugins are linked in under the name \"{name}\"");
        return Err(Error::new(ErrorKind::InvalidArgument, "list linked plugins", refused));
    }
    Ok(plugins)
}
