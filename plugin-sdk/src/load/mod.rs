//! The host's view of plugins: what is linked in, and how a plugin is opened.

#![expect(unsafe_code, reason = "loading a library runs its code; each block says why it is sound")]

mod elf;
mod file;
mod library;
mod probe;
mod step;

pub use library::{inspect, library};
pub use probe::{PROBE_DEADLINE, probe, probe_child};
pub use step::{FAILURE_LINES_MAX, Inspection, Outcome, Step, StepReport};

use crate::abi::host::FunctionRecord;
use crate::abi::proxy;
use crate::abi::root::{Linked, PluginRootRef};
use crate::host::{HostEnvironment, HostError, StateAccess, ValueType};
use crate::{Error, ErrorKind, OpenMode, PluginDescriptor, Result, StorageBackend};
use std::collections::BTreeSet;
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
    /// `Unsupported` when this is no host pack; `AbiMismatch` when the table is empty, has a name twice, or says what this host
    /// does not know.
    pub fn host_functions(&self) -> Result<Vec<PackFunction>> {
        let rows = self.root.functions().ok_or_else(|| self.not_a("host pack"))?;
        let functions: Vec<_> =
            rows.into_iter().map(PackFunction::from_record).collect::<Result<_>>()?;
        let names: BTreeSet<_> = functions.iter().map(PackFunction::name).collect();
        if functions.is_empty() || names.len() < functions.len() {
            let refused =
                format!("host pack \"{}\" has no function or one twice", self.descriptor.name);
            return Err(Error::new(ErrorKind::AbiMismatch, "list functions", refused));
        }
        Ok(functions)
    }

    fn storage_entry(&self) -> Result<crate::abi::storage::StorageEntry> {
        self.root.storage_entry().ok_or_else(|| self.not_a("storage backend"))
    }

    fn not_a(&self, what: &str) -> Error {
        let refused = format!("plugin \"{}\" is no {what}", self.descriptor.name);
        Error::new(ErrorKind::Unsupported, "use plugin", refused)
    }
}

/// One function of a host pack: its row of the pack's table, and its body.
#[derive(Debug, Clone)]
pub struct PackFunction {
    record: FunctionRecord,
    /// The parameters' names and types, in order.
    pub params: Vec<(String, ValueType)>,
    /// The result's type.
    pub result: Option<ValueType>,
    /// Gas charged for each call.
    pub gas_base: u64,
    /// Gas charged for each unit of the parameters at [`gas_lengths`](Self::gas_lengths), taken as unsigned.
    pub gas_per_byte: u64,
    /// Indices into [`params`](Self::params).
    pub gas_lengths: Vec<usize>,
    /// What it does to contract state.
    pub state: StateAccess,
}

impl PackFunction {
    fn from_record(record: FunctionRecord) -> Result<Self> {
        let unknown = |what: &str| {
            let refused = format!("function \"{}\" has an unknown {what}", record.name);
            Error::new(ErrorKind::AbiMismatch, "list functions", refused)
        };
        let value_type = |code: u8| ValueType::from_code(code).ok_or_else(|| unknown("type"));
        let params: Vec<_> = record
            .params
            .iter()
            .map(|param| Ok((param.0.to_string(), value_type(param.1)?)))
            .collect::<Result<_>>()?;
        let gas_lengths: Vec<_> = record.gas_length.iter().map(|index| *index as usize).collect();
        if gas_lengths.iter().any(|index| *index >= params.len()) {
            return Err(unknown("length parameter in its price"));
        }
        Ok(Self {
            params,
            result: (record.result != 0).then(|| value_type(record.result)).transpose()?,
            gas_base: record.gas_base,
            gas_per_byte: record.gas_per_byte,
            gas_lengths,
            state: StateAccess::from_code(record.state).ok_or_else(|| unknown("access"))?,
            record,
        })
    }

    /// The name that contracts import.
    pub fn name(&self) -> &str {
        self.record.name.as_str()
    }

    /// One sentence for the contract author.
    pub fn doc(&self) -> &str {
        self.record.doc.as_str()
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
        self.record.call(environment, arguments)
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
