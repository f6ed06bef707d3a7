//! The plugin libraries in the search path, none of them loaded.

use super::{PluginManifest, SearchPath};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::PluginKind;

const OWN_PREFIX: &str = "libsupervm_";
const STORAGE_PREFIX: &str = "libsupervm_storage_";
const HOST_PACK_PREFIX: &str = "libsupervm_host_";

/// A plugin library in a directory of the search path.
#[derive(Debug)]
pub(super) struct Found {
    /// The library.
    pub(super) path: PathBuf,
    /// The directory it was found in; its real path has to lie inside.
    pub(super) root: PathBuf,
    /// What the file beside it says; `None` when there is none or it is damaged.
    pub(super) manifest: Option<PluginManifest>,
}

impl Found {
    fn new(path: PathBuf, root: &Path) -> Self {
        let manifest = PluginManifest::read_beside(&path).unwrap_or_else(|error| {
            tracing::warn!(%error, "a plugin's manifest is not used");
            None
        });
        Self { path, root: root.to_owned(), manifest }
    }

    /// What the library is called, as far as that can be told without loading it: by its manifest, or else by its file's
    /// name.
    pub(super) fn presumed(&self) -> Option<(PluginKind, String)> {
        if let Some(manifest) = &self.manifest {
            return Some((manifest.kind, manifest.name.clone()));
        }
        let stem = self.path.file_stem()?.to_str()?;
        let by_prefix =
            [(STORAGE_PREFIX, PluginKind::Storage), (HOST_PACK_PREFIX, PluginKind::HostPack)];
        by_prefix
            .into_iter()
            .find_map(|(prefix, kind)| Some((kind, stem.strip_prefix(prefix)?.replace('_', "-"))))
    }
}

/// The plugin libraries in `path`: in its order, within a directory by name, each file once however many names it has.
pub(super) fn scan(path: &SearchPath) -> Vec<Found> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for dir in &path.dirs {
        for library in libraries(&dir.path) {
            let identity = fs::metadata(&library).map(|file| (file.dev(), file.ino()));
            // A link that leads nowhere is kept, so that it is listed with its problem.
            if identity.map_or(true, |identity| seen.insert(identity)) {
                found.push(Found::new(library, &dir.path));
            }
        }
    }
    found
}

fn libraries(dir: &Path) -> Vec<PathBuf> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) => {
            if error.kind() != std::io::ErrorKind::NotFound {
                tracing::warn!(%error, dir = %dir.display(), "a plugin directory cannot be read");
            }
            return Vec::new();
        }
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut libraries: Vec<_> = paths.filter(|path| is_plugin(path)).collect();
    libraries.sort();
    libraries
}

fn is_plugin(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.ends_with(".so")
        && (name.starts_with(OWN_PREFIX)
            || name.starts_with("lib") && PluginManifest::path_of(path).is_file())
}
