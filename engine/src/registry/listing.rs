//! What there is: every plugin, with what is wrong with it.

use super::found::Found;
use super::{PluginManifest, Registry, library, lookup};
use std::fmt;
use std::path::PathBuf;
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{ABI_VERSION, Error, ErrorKind, PluginDescriptor, PluginKind, Result};

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// It is part of the program.
    LinkedIn,
    /// It is this shared library.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkedIn => f.write_str("linked in"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// A plugin, or a library that should be one.
#[derive(Debug)]
pub struct Listing {
    /// The name that a configuration uses; of a library that cannot be used, what its file is called.
    pub name: String,
    /// What it provides; `None` when that cannot be told.
    pub kind: Option<PluginKind>,
    /// The plugin's own version; empty when that cannot be told.
    pub version: String,
    /// One sentence; may be empty.
    pub description: String,
    /// Where it comes from.
    pub origin: Origin,
    /// A library whose name a linked-in plugin has, which wins.
    pub shadowed: bool,
    /// Why it cannot be used.
    pub problem: Option<Error>,
    /// Everything that it says of itself; `None` when that cannot be told.
    pub descriptor: Option<PluginDescriptor>,
}

impl Registry {
    /// Every plugin, linked in and in the search path, sorted by name.
    ///
    /// # Behavior
    /// A library with a manifest beside it is hashed and not loaded; one without is loaded, unless the configuration
    /// requires a pin.
    pub fn list(&self) -> Vec<Listing> {
        let linked = self.linked.iter().map(|plugin| {
            let descriptor = plugin.descriptor();
            Listing::new(Origin::LinkedIn, descriptor.name.clone(), Ok(descriptor.clone()))
        });
        let found = self.found.iter().map(|found| self.list_found(found));
        let mut listings: Vec<_> = linked.chain(found).collect();
        self.mark_duplicates(&mut listings);
        listings.sort_by(|a, b| a.name.cmp(&b.name));
        listings
    }

    fn list_found(&self, found: &Found) -> Listing {
        let stem = found.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let name = found.presumed().map_or(stem, |(_, name)| name);
        let descriptor = self.describe(found, &name);
        let mut listing = Listing::new(Origin::File(found.path.clone()), name, descriptor);
        listing.shadowed = self.linked(&listing.name).is_some();
        listing.problem = listing.problem.or_else(|| check_manifest(found).err());
        listing
    }

    fn describe(&self, found: &Found, name: &str) -> Result<PluginDescriptor> {
        if let Some(manifest) = &found.manifest {
            return manifest.descriptor();
        }
        let pin = self.config.sha256.get(name).map(String::as_str);
        let plugin: Plugin = self.load(&found.path, &found.root, pin)?;
        Ok(plugin.descriptor().clone())
    }

    fn mark_duplicates(&self, listings: &mut [Listing]) {
        let called = |listing: &Listing| match &listing.origin {
            Origin::File(path) => Some((listing.name.clone(), path.clone())),
            Origin::LinkedIn => None,
        };
        let names: Vec<_> = listings.iter().filter_map(called).collect();
        for listing in listings.iter_mut().filter(|one| one.origin != Origin::LinkedIn) {
            let same: Vec<_> = names.iter().filter(|(name, _)| *name == listing.name).collect();
            if same.len() > 1 && listing.problem.is_none() && !listing.shadowed {
                let of = |path: &PathBuf| self.found.iter().find(|found| found.path == *path);
                let found: Vec<_> = same.iter().filter_map(|(_, path)| of(path)).collect();
                listing.problem = Some(lookup::duplicate(&listing.name, &found));
            }
        }
    }
}

impl Listing {
    fn new(origin: Origin, name: String, descriptor: Result<PluginDescriptor>) -> Self {
        let (descriptor, problem) = match descriptor {
            Ok(descriptor) => (Some(descriptor), None),
            Err(error) => (None, Some(error)),
        };
        let said = descriptor.as_ref();
        Self {
            name: said.map_or(name, |said| said.name.clone()),
            kind: said.map(|said| said.kind),
            version: said.map_or_else(String::new, |said| said.version.clone()),
            description: said.map_or_else(String::new, |said| said.description.clone()),
            origin,
            shadowed: false,
            problem,
            descriptor,
        }
    }
}

/// Does what the manifest says hold for the library beside it?
fn check_manifest(found: &Found) -> Result<()> {
    let Some(manifest) = PluginManifest::read_beside(&found.path)? else { return Ok(()) };
    if manifest.abi_version != ABI_VERSION {
        let refused = format!(
            "the plugin has ABI {}, this host has {ABI_VERSION}; rebuild the plugin",
            manifest.abi_version
        );
        return Err(Error::new(ErrorKind::AbiMismatch, "list plugins", refused)
            .with("path", found.path.display()));
    }
    let (real, sha256) = library::hash(&found.path)?;
    if sha256.eq_ignore_ascii_case(&manifest.sha256) {
        return Ok(());
    }
    let refused = "the manifest beside the library is of another build; write it again with `supervm plugin inspect --manifest`";
    Err(Error::new(ErrorKind::Corruption, "list plugins", refused)
        .with("path", real.display())
        .with("found", sha256)
        .with("manifest", manifest.sha256))
}
