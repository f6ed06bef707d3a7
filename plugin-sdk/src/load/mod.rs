//! The host's view of plugins: what is linked in, and how a plugin is opened.

use crate::abi::host::FunctionRecord;
use crate::abi::proxy;
use crate::abi::root::{Linked, PluginRootRef};
use crate::host::{HostEnvironment, HostError};
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

    /// The functions of a host pack, in the order of its table.
    ///
    /// # Errors
    /// `Unsupported` when this is no host pack.
    pub fn host_functions(&self) -> Result<Vec<PackFunction>> {
        let rows = self.root.functions().ok_or_else(|| self.not_a("host pack"))?;
        Ok(rows.into_iter().map(PackFunction).collect())
    }

    fn storage_entry(&self) -> Result<crate::abi::storage::StorageEntry> {
        self.root.storage_entry().ok_or_else(|| self.not_a("storage backend"))
    }

    fn not_a(&self, what: &str) -> Error {
        let refused = format!("plugin \"{}\" is no {what}", self.descriptor.name);
        Error::new(ErrorKind::Unsupported, "use plugin", refused)
    }
}

/// One function of a host pack.
#[derive(Debug, Clone)]
pub struct PackFunction(FunctionRecord);

impl PackFunction {
    /// The name that contracts import.
    pub fn name(&self) -> &str {
        self.0.name.as_str()
    }

    /// Runs the function over `environment` and returns its result's bits. Charging its gas and checking its access to
    /// state is the caller's part.
    ///
    /// # Errors
    /// What the function ends the call with; `Internal` when it panics.
    #[inline]
    pub fn call<E: HostEnvironment>(
        &self,
        environment: &mut E,
        arguments: &[u64],
    ) -> Result<u64, HostError> {
        self.0.call(environment, arguments)
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
