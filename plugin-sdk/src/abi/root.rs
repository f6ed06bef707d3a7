//! The root of a plugin library: what the loader reads first.

#[cfg(feature = "host")]
use super::error::AbiResult;
use super::host::{FunctionRecord, HostPackEntry, record};
use super::storage::StorageEntry;
use super::{contain, export};
use crate::host::HostPack;
use crate::{Error, ErrorKind, PluginDescriptor, PluginKind, StorageFactory};
use abi_stable::StableAbi;
use abi_stable::declare_root_module_statics;
#[cfg(feature = "host")]
use abi_stable::library::{AbiHeaderRef, LibraryError};
use abi_stable::library::{CheckTypeLayout, LibHeader, RootModule, RootModuleResult};
use abi_stable::prefix_type::{PrefixRefTrait, WithMetadata};
use abi_stable::sabi_types::VersionStrings;
use abi_stable::staticref;
use abi_stable::std_types::{ROption, RResult, RString, RVec};
use std::marker::PhantomData;

/// The type of the exported header.
pub type Header = LibHeader;

/// The version of the boundary. A host loads plugins of its own version only; it rises with every change that an older
/// build cannot understand.
pub const ABI_VERSION: u32 = 1;
const ABI_VERSION_TEXT: &str = "1.0.0";

/// What a plugin library exports.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginRootRef)))]
#[sabi(missing_field(panic))]
pub struct PluginRoot {
    pub abi_version: u32,
    /// Was the library built so that a panic unwinds? Only then can it be caught.
    pub panic_unwinds: bool,
    /// [`PluginDescriptor`] as JSON.
    pub descriptor: extern "C" fn() -> super::error::AbiResult<RString>,
    pub storage: ROption<StorageEntry>,
    #[sabi(last_prefix_field)]
    pub host_pack: ROption<HostPackEntry>,
}

impl RootModule for PluginRootRef {
    declare_root_module_statics! {PluginRootRef}
    const BASE_NAME: &'static str = "supervm_plugin";
    const NAME: &'static str = "supervm_plugin";
    const VERSION_STRINGS: VersionStrings = VersionStrings::new(ABI_VERSION_TEXT);
}

/// What `export_plugin!` knows of the crate it stands in.
#[derive(Debug, Clone, Copy)]
pub struct Identity {
    pub name: &'static str,
    pub version: &'static str,
    pub description: &'static str,
    pub license: &'static str,
    /// Was the library, not only this SDK, built so that a panic unwinds?
    pub panic_unwinds: bool,
}

impl Identity {
    fn descriptor(&self, kind: PluginKind) -> PluginDescriptor {
        PluginDescriptor {
            name: self.name.to_owned(),
            kind,
            version: self.version.to_owned(),
            sdk_version: env!("CARGO_PKG_VERSION").to_owned(),
            abi_version: ABI_VERSION,
            description: self.description.to_owned(),
            license: self.license.to_owned(),
            capabilities: None,
            config_schema: serde_json::Value::Null,
            config_defaults: String::new(),
            module: None,
            deterministic: false,
        }
    }
}

/// A plugin as `export_plugin!` describes it: the making of its root.
pub trait Exportable: 'static {
    const IDENTITY: Identity;

    fn root() -> PluginRootRef;

    /// The constructor in the library's header.
    extern "C" fn construct() -> RootModuleResult
    where
        Self: Sized,
    {
        // SAFETY: an erased prefix reference is what the header's constructor has to return; the header was made for
        // `PluginRootRef`, to which the loader turns it back.
        RResult::ROk(unsafe { Self::root().to_prefix_ref().cast() })
    }
}

/// The header that `export_plugin!` exports.
pub const fn header<P: Exportable>() -> LibHeader {
    // SAFETY: `construct` returns a `PrefixRef` of `PluginRoot`, erased.
    unsafe { LibHeader::from_constructor::<PluginRootRef>(P::construct, CheckTypeLayout::Yes) }
}

/// The root of a storage plugin.
#[derive(Debug)]
pub struct StorageRoot<P, B>(PhantomData<(P, B)>);

impl<P: Exportable, B: StorageFactory> StorageRoot<P, B> {
    staticref! {
        const ROOT: WithMetadata<PluginRoot> = WithMetadata::new(PluginRoot {
            abi_version: ABI_VERSION,
            panic_unwinds: P::IDENTITY.panic_unwinds,
            descriptor: Self::descriptor,
            storage: ROption::RSome(export::storage_entry::<B>()),
            host_pack: ROption::RNone,
        });
    }

    pub fn root() -> PluginRootRef {
        PluginRootRef(Self::ROOT.as_prefix())
    }

    extern "C" fn descriptor() -> super::error::AbiResult<RString> {
        contain(
            "describe",
            || (),
            || {
                let schema = schemars::schema_for!(B::Config);
                encode(&PluginDescriptor {
                    capabilities: Some(B::declared_capabilities()),
                    config_schema: schema.to_value(),
                    config_defaults: toml::to_string(&B::Config::default()).map_err(|error| {
                        Error::new(
                            ErrorKind::Internal,
                            "describe",
                            "the default options do not serialise",
                        )
                        .with_source(error)
                    })?,
                    ..P::IDENTITY.descriptor(PluginKind::Storage)
                })
            },
        )
    }
}

/// The root of a host pack.
#[derive(Debug)]
pub struct HostPackRoot<P, H>(PhantomData<(P, H)>);

impl<P: Exportable, H: HostPack> HostPackRoot<P, H> {
    staticref! {
        const ROOT: WithMetadata<PluginRoot> = WithMetadata::new(PluginRoot {
            abi_version: ABI_VERSION,
            panic_unwinds: P::IDENTITY.panic_unwinds,
            descriptor: Self::descriptor,
            storage: ROption::RNone,
            host_pack: ROption::RSome(HostPackEntry { functions: Self::functions }),
        });
    }

    pub fn root() -> PluginRootRef {
        PluginRootRef(Self::ROOT.as_prefix())
    }

    extern "C" fn descriptor() -> super::error::AbiResult<RString> {
        contain(
            "describe",
            || (),
            || {
                encode(&PluginDescriptor {
                    module: Some(H::MODULE.to_owned()),
                    deterministic: H::DETERMINISTIC,
                    ..P::IDENTITY.descriptor(PluginKind::HostPack)
                })
            },
        )
    }

    extern "C" fn functions() -> RVec<FunctionRecord> {
        let rows = contain(
            "list functions",
            || (),
            || Ok(H::functions().iter().map(record).collect::<RVec<_>>()),
        );
        // A table that panics has no functions; the loader refuses an empty one.
        rows.unwrap_or_default()
    }
}

fn encode(descriptor: &PluginDescriptor) -> crate::Result<RString> {
    let text = serde_json::to_string(descriptor);
    text.map(RString::from)
        .map_err(|error| Error::new(ErrorKind::Internal, "describe", error.to_string()))
}

/// A plugin that is compiled into this binary, as `inventory` collects it.
#[derive(Debug)]
pub struct Linked {
    pub crate_name: &'static str,
    pub root: fn() -> PluginRootRef,
}

inventory::collect!(Linked);

/// Why the bytes at a plugin's symbol are not a root that this host can use.
#[cfg(feature = "host")]
#[derive(Debug)]
pub(crate) enum RootProblem {
    /// Not an abi_stable header, or one of another abi_stable.
    Header(String),
    /// Another version of the boundary.
    Version { found: String },
    /// The types of the boundary differ; the whole comparison as text.
    Layout(String),
    /// The constructor failed.
    Constructor(String),
}

/// Reads a library's header and checks its ABI version.
///
/// # Safety
/// `header` is the address of a symbol with at least [`HEADER_BYTES`] readable bytes, aligned to [`HEADER_ALIGN`], in a library
/// that is never unloaded.
#[cfg(feature = "host")]
pub(crate) unsafe fn read_header(header: *const ()) -> Result<&'static LibHeader, RootProblem> {
    // SAFETY: `AbiHeaderRef` is a transparent pointer; the caller's promise makes the bytes readable, and `upgrade` checks
    // the magic before it looks at more.
    let header: AbiHeaderRef = unsafe { std::mem::transmute(header) };
    let header = header.upgrade().map_err(|error| RootProblem::Header(error.to_string()))?;
    let found = header.version_strings().version.as_str();
    if found == ABI_VERSION_TEXT {
        Ok(header)
    } else {
        Err(RootProblem::Version { found: found.to_owned() })
    }
}

/// Reads the root behind a header after its types were compared with this host's.
#[cfg(feature = "host")]
pub(crate) fn read_root(header: &'static LibHeader) -> Result<PluginRootRef, RootProblem> {
    // Without a description there is nothing to compare, and the comparison below would succeed.
    if header.layout().is_none() {
        return Err(RootProblem::Layout("the plugin does not describe its types".to_owned()));
    }
    header.ensure_layout::<PluginRootRef>().map_err(|error| match error {
        LibraryError::AbiInstability(report) => RootProblem::Layout(report.to_string()),
        other => RootProblem::Layout(other.to_string()),
    })?;
    // SAFETY: the layout was checked in the line above.
    let root = unsafe { header.unchecked_layout::<PluginRootRef>() };
    root.map_err(|error| RootProblem::Constructor(error.to_string()))
}

/// Bytes of a library's header; a symbol that is smaller is none.
#[cfg(feature = "host")]
pub(crate) const HEADER_BYTES: usize = size_of::<LibHeader>();
/// Alignment of a library's header, bytes.
#[cfg(feature = "host")]
pub(crate) const HEADER_ALIGN: usize = align_of::<LibHeader>();

#[cfg(feature = "host")]
impl PluginRootRef {
    pub(crate) fn storage_entry(self) -> Option<StorageEntry> {
        self.storage().into_option()
    }

    /// The rows of a host pack's table; `None` when the plugin is none.
    pub(crate) fn functions(self) -> Option<RVec<FunctionRecord>> {
        self.host_pack().into_option().map(|pack| (pack.functions)())
    }

    pub(crate) fn describe(self) -> crate::Result<PluginDescriptor> {
        let text: AbiResult<RString> = (self.descriptor())();
        let text = text.into_result().map_err(Error::from)?;
        serde_json::from_str(&text).map_err(|error| {
            Error::new(ErrorKind::AbiMismatch, "describe", "the plugin's descriptor does not parse")
                .with_source(error)
        })
    }
}
