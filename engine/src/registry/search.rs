//! The directories in which plugins are looked for.

use crate::config::PluginsConfig;
use std::env;
use std::fmt;
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// The environment variable with directories to look in, separated by colons; each is absolute.
pub const PLUGIN_PATH_VARIABLE: &str = "SUPERVM_PLUGIN_PATH";
/// The directory beside the executable.
const PLUGINS_DIR: &str = "plugins";

/// A directory of the search path, and why it is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchDir {
    /// The directory; it need not exist.
    pub path: PathBuf,
    /// What named it: `plugins.dirs`, `SUPERVM_PLUGIN_PATH` or the executable.
    pub named_by: &'static str,
}

impl fmt::Display for SearchDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let missing = if self.path.is_dir() { "" } else { ", missing" };
        write!(f, "{} ({}{missing})", self.path.display(), self.named_by)
    }
}

/// The directories in which plugins are looked for, in order.
///
/// The working directory and `LD_LIBRARY_PATH` are never among them, unless they are named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPath {
    /// The directories, each once.
    pub dirs: Vec<SearchDir>,
}

impl SearchPath {
    /// Only the directories of `config`.
    pub fn of_config(config: &PluginsConfig) -> Self {
        let mut path = Self::default();
        config.dirs.iter().for_each(|dir| path.push(dir, "plugins.dirs"));
        path
    }

    /// The directories of `config`, then those of `SUPERVM_PLUGIN_PATH`, then `plugins/` beside the executable, then the
    /// executable's own directory.
    ///
    /// # Errors
    /// `ConfigInvalid` when an entry of `SUPERVM_PLUGIN_PATH` is not absolute; `Io` when the executable cannot be told.
    pub fn of_process(config: &PluginsConfig) -> Result<Self> {
        let mut path = Self::of_config(config);
        let variable = env::var_os(PLUGIN_PATH_VARIABLE).unwrap_or_default();
        for dir in env::split_paths(&variable).filter(|dir| !dir.as_os_str().is_empty()) {
            if !dir.is_absolute() {
                let refused = format!(
                    "{PLUGIN_PATH_VARIABLE} has the relative entry {:?}; expected absolute paths, separated by colons",
                    dir.display()
                );
                return Err(Error::new(ErrorKind::ConfigInvalid, "find plugins", refused));
            }
            path.push(&dir, PLUGIN_PATH_VARIABLE);
        }
        let executable = env::current_exe().and_then(|executable| executable.canonicalize());
        let executable = executable.map_err(|error| Error::io("find plugins", error))?;
        if let Some(dir) = executable.parent() {
            path.push(&dir.join(PLUGINS_DIR), "beside the executable");
            path.push(dir, "the executable's directory");
        }
        Ok(path)
    }

    fn push(&mut self, dir: &Path, named_by: &'static str) {
        if self.dirs.iter().all(|known| known.path != dir) {
            self.dirs.push(SearchDir { path: dir.to_owned(), named_by });
        }
    }
}
