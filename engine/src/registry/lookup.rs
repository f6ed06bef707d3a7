//! The registry: from a name or a path to a plugin.

use super::found::{self, Found};
use super::{SearchPath, library};
use crate::config::PluginsConfig;
use std::path::Path;
use supervm_plugin_sdk::load::{self, Plugin};
use supervm_plugin_sdk::{Error, ErrorKind, PluginKind, Result};

/// The plugins of this process: linked in, and in the search path.
#[derive(Debug)]
pub struct Registry {
    pub(super) config: PluginsConfig,
    pub(super) linked: Vec<Plugin>,
    pub(super) found: Vec<Found>,
    search_path: SearchPath,
}

impl Registry {
    /// Looks at what is linked in and at the search path of this process ([`SearchPath::of_process`]). Loads nothing.
    ///
    /// # Errors
    /// `ConfigInvalid`; `InvalidArgument` when two linked-in plugins have one name; `Io`.
    pub fn new(config: &PluginsConfig) -> Result<Self> {
        Self::with_search_path(config, SearchPath::of_process(config)?)
    }

    /// As [`new`](Self::new), with another search path.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_search_path(config: &PluginsConfig, search_path: SearchPath) -> Result<Self> {
        config.check()?;
        let found = found::scan(&search_path);
        Ok(Self { config: config.clone(), linked: load::linked()?, found, search_path })
    }

    /// The storage plugin with this name, or at this path.
    ///
    /// # Behavior
    /// - What has a `/` or ends in `.so` is a path.
    /// - A linked-in plugin wins over a library of the same name. It has no file: a pin for it is refused.
    /// - `sha256` is the hash that the library must have, in hex. Without one any library is taken, unless the
    ///   configuration says `require_pinned`.
    /// - The same library is loaded once in a process, and never unloaded.
    ///
    /// # Errors
    /// `ConfigInvalid` for an unknown name, with those that are available, where it was looked for and the nearest one;
    /// `InvalidArgument` when two libraries have the name, with both paths; `Unsupported` when it is a host pack;
    /// `PermissionDenied` for a library that is not pinned but has to be, with its hash, and for what the path policy or
    /// the pin refuses; `AbiMismatch`, `NotFound`, `Io`.
    pub fn storage(&self, name_or_path: &str, sha256: Option<&str>) -> Result<Plugin> {
        self.plugin(PluginKind::Storage, name_or_path, sha256)
    }

    /// The directories that were looked at, in order.
    pub fn search_path(&self) -> &SearchPath {
        &self.search_path
    }

    pub(super) fn plugin(
        &self,
        kind: PluginKind,
        name_or_path: &str,
        pin: Option<&str>,
    ) -> Result<Plugin> {
        if name_or_path.contains('/') || name_or_path.ends_with(".so") {
            let path = Path::new(name_or_path);
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let plugin = self.load(path, parent.unwrap_or(Path::new(".")), pin)?;
            return of_kind(plugin, kind).map_err(|error| error.with("path", path.display()));
        }
        match self.linked(name_or_path) {
            Some(_) if pin.is_some() => Err(Error::new(
                ErrorKind::ConfigInvalid,
                "find plugin",
                format!(
                    "plugin \"{name_or_path}\" is linked into this program and has no file to pin; remove its sha256 or name a path"
                ),
            )),
            Some(plugin) => of_kind(plugin.clone(), kind),
            None => self.library(kind, name_or_path, pin),
        }
    }

    pub(super) fn linked(&self, name: &str) -> Option<&Plugin> {
        self.linked.iter().find(|plugin| plugin.descriptor().name == name)
    }

    /// The library that is called `name`: by what is said of it, or else by its own answer.
    fn library(&self, kind: PluginKind, name: &str, pin: Option<&str>) -> Result<Plugin> {
        let called = |it: PluginKind| -> Vec<&Found> {
            let name = Some((it, name.to_owned()));
            self.found.iter().filter(|found| found.presumed() == name).collect()
        };
        // A library of another kind is loaded only to say so.
        let mut candidates = called(kind);
        if candidates.is_empty() {
            candidates = called(other(kind));
        }
        check_single(name, &candidates)?;
        if let Some(found) = candidates.first() {
            let plugin = self.load(&found.path, &found.root, pin)?;
            if plugin.descriptor().name == name {
                return of_kind(plugin, kind);
            }
            check_not_stale(found, &plugin)?;
        }
        self.ask(kind, name, pin)
    }

    /// Loads the libraries that say nothing of themselves and asks them for their names.
    fn ask(&self, kind: PluginKind, name: &str, pin: Option<&str>) -> Result<Plugin> {
        let mut answered = Vec::new();
        let mut silent = Vec::new();
        for found in self.found.iter().filter(|found| found.manifest.is_none()) {
            if pin.is_some_and(|pin| !has_hash(&found.path, pin)) {
                continue;
            }
            match self.load(&found.path, &found.root, pin) {
                Ok(plugin) => answered.push((found, plugin)),
                Err(error) => silent.push(error),
            }
        }
        let called: Vec<_> =
            answered.iter().filter(|(_, plugin)| plugin.descriptor().name == name).collect();
        check_single(name, &called.iter().map(|(found, _)| *found).collect::<Vec<_>>())?;
        if let Some((_, plugin)) = called.first() {
            return of_kind(plugin.clone(), kind);
        }
        let plugins = answered.iter().map(|(_, plugin)| plugin);
        let unknown = self.unknown(kind, name, plugins);
        Err(silent.iter().fold(unknown, |unknown, error| unknown.with("not asked", error)))
    }

    /// Loads a library, pinned when the configuration asks for it.
    pub(super) fn load(&self, path: &Path, root: &Path, pin: Option<&str>) -> Result<Plugin> {
        if self.config.require_pinned && pin.is_none() {
            let (real, sha256) = library::hash(path)?;
            let refused = format!(
                "the configuration requires a pin; check where the library came from, then set sha256 = \"{sha256}\""
            );
            return Err(Error::new(ErrorKind::PermissionDenied, "check library", refused)
                .with("path", real.display()));
        }
        load::library(path, root, pin)
    }

    fn unknown<'a>(
        &'a self,
        kind: PluginKind,
        name: &str,
        asked: impl Iterator<Item = &'a Plugin>,
    ) -> Error {
        let known = self.linked.iter().chain(asked).map(Plugin::descriptor);
        let known = known.map(|descriptor| (descriptor.kind, descriptor.name.clone()));
        let presumed = self.found.iter().filter_map(Found::presumed);
        let mut names: Vec<_> =
            known.chain(presumed).filter(|(it, _)| *it == kind).map(|(_, name)| name).collect();
        names.sort();
        names.dedup();
        let what = match kind {
            PluginKind::Storage => "storage backend",
            PluginKind::HostPack => "host pack",
        };
        let available = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let mut message = format!("unknown {what} {name:?}; available: {available}");
        if let Some(near) = nearest(name, &names) {
            message.push_str(&format!("; did you mean \"{near}\"?"));
        }
        let dirs = self.search_path.dirs.iter().map(ToString::to_string);
        let looked: Vec<_> = std::iter::once("this program".to_owned()).chain(dirs).collect();
        Error::new(ErrorKind::ConfigInvalid, "find plugin", message)
            .with("looked in", looked.join(", "))
    }
}

fn other(kind: PluginKind) -> PluginKind {
    match kind {
        PluginKind::Storage => PluginKind::HostPack,
        PluginKind::HostPack => PluginKind::Storage,
    }
}

fn of_kind(plugin: Plugin, kind: PluginKind) -> Result<Plugin> {
    let descriptor = plugin.descriptor();
    if descriptor.kind == kind {
        return Ok(plugin);
    }
    let refused =
        format!("plugin \"{}\" is of kind {}, not {kind}", descriptor.name, descriptor.kind);
    Err(Error::new(ErrorKind::Unsupported, "find plugin", refused))
}

fn check_single(name: &str, found: &[&Found]) -> Result<()> {
    if found.len() < 2 { Ok(()) } else { Err(duplicate(name, found)) }
}

/// Several libraries have one name.
pub(super) fn duplicate(name: &str, found: &[&Found]) -> Error {
    let refused = format!(
        "{} libraries are called \"{name}\"; remove all but one, or name a path",
        found.len()
    );
    found
        .iter()
        .fold(Error::new(ErrorKind::InvalidArgument, "find plugin", refused), |error, found| {
            error.with("path", found.path.display())
        })
}

fn check_not_stale(found: &Found, plugin: &Plugin) -> Result<()> {
    let Some(manifest) = &found.manifest else { return Ok(()) };
    let refused = format!(
        "the manifest beside the library calls it \"{}\", but it is \"{}\"; write it again with `supervm plugin inspect --manifest`",
        manifest.name,
        plugin.descriptor().name
    );
    Err(Error::new(ErrorKind::Corruption, "find plugin", refused)
        .with("path", found.path.display()))
}

fn has_hash(path: &Path, pin: &str) -> bool {
    library::hash(path).is_ok_and(|(_, sha256)| sha256.eq_ignore_ascii_case(pin))
}

/// The name that `name` was probably meant to be: at most a third of its letters apart.
fn nearest<'a>(name: &str, names: &'a [String]) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distances = names.iter().map(|known| (strsim::damerau_levenshtein(&name, known), known));
    let (distance, known) = distances.min()?;
    (distance <= (name.chars().count() / 3).max(1)).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered_only_when_it_is_near() {
        let names = ["lmdb", "memory", "rocksdb", "sqlite"].map(str::to_owned);
        assert_eq!(nearest("rockdb", &names), Some("rocksdb"));
        assert_eq!(nearest("lmbd", &names), Some("lmdb"));
        assert_eq!(nearest("SQLite", &names), Some("sqlite"));
        assert_eq!(nearest("postgres", &names), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
