//! Checking a whole configuration, plugins and their options included, without opening data.

use crate::settings::{Problem, Settings, dotted};
use crate::{Source, TierProfile};
use std::collections::BTreeSet;
use supervm_engine::registry::Registry;
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{Capability, Durability, Error, ErrorKind, Result};

impl TierProfile {
    /// Checks what the types cannot say: bounds, and keys that exclude each other.
    ///
    /// # Errors
    /// `ConfigInvalid` with the key, its value and what would be accepted.
    pub fn check(&self) -> Result<()> {
        self.storage.check()?;
        self.history.check()?;
        self.execution.check()?;
        self.plugins.check()
    }
}

impl Settings {
    /// Everything that is wrong with this configuration: its text, its bounds, the plugins that it names and the options that it
    /// gives them. Loads the plugins that are not linked in; opens no data.
    pub fn check(&self) -> Vec<Problem> {
        let mut problems = self.problems.clone();
        let profile = match self.deserialize() {
            Ok(profile) => profile,
            Err(message) => {
                problems.push(self.problem("", message, None));
                return problems;
            }
        };
        let out_of_bounds =
            self.culprits(|settings| settings.read_back().and_then(|one| one.check()));
        let sound_text = out_of_bounds.is_empty();
        problems.extend(out_of_bounds);
        if sound_text {
            self.check_plugins(&profile, &mut problems);
        }
        problems
    }

    fn check_plugins(&self, profile: &TierProfile, problems: &mut Vec<Problem>) {
        let registry = match Registry::new(&profile.plugins) {
            Ok(registry) => registry,
            Err(error) => return problems.push(self.problem("plugins", text(&error), None)),
        };
        if let Err(error) = registry.host_packs() {
            problems.push(self.problem("plugins.packs", text(&error), None));
        }
        let storage = &profile.storage;
        match registry.storage(&storage.backend, storage.sha256.as_deref()) {
            Ok(plugin) => self.check_backend(&plugin, profile, problems),
            Err(error) => {
                let hint = backend_hint(&storage.backend, &error);
                problems.push(self.problem("storage.backend", text(&error), hint));
            }
        }
    }

    fn check_backend(&self, plugin: &Plugin, profile: &TierProfile, problems: &mut Vec<Problem>) {
        problems.extend(self.culprits(|settings| {
            let options = settings.read_back()?.storage.options;
            plugin.check_storage_config(&toml::to_string(&options).unwrap_or_default())
        }));
        problems.extend(self.check_durability(plugin, profile));
        let capabilities = plugin.descriptor().capabilities.unwrap_or_default();
        let required = profile.storage.require.iter();
        let missing: BTreeSet<_> = required.filter(|one| !capabilities.has(**one)).collect();
        for capability in missing {
            let name = &plugin.descriptor().name;
            let message = format!("the backend \"{name}\" does not have \"{capability}\"");
            problems.push(self.problem("storage.require", message, None));
        }
    }

    fn check_durability(&self, plugin: &Plugin, profile: &TierProfile) -> Option<Problem> {
        let capabilities = plugin.descriptor().capabilities.unwrap_or_default();
        let is_kept = capabilities.has(Capability::SyncedWrites)
            || profile.storage.durability != Some(Durability::Synced);
        (!is_kept).then(|| {
            let name = &plugin.descriptor().name;
            let message = format!(
                "the backend \"{name}\" has no synced writes; say \"buffered\" or leave the key out"
            );
            self.problem("storage.durability", message, None)
        })
    }

    /// Every value that `check` refuses, each with the complaint that goes away without it.
    ///
    /// `check` reports one complaint at a time; so the value that it is about is taken out, and it is asked again.
    fn culprits(&self, check: impl Fn(&Settings) -> Result<()>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut rest = self.clone();
        while let Err(error) = check(&rest) {
            let message = text(&error);
            let mut set = rest.values.keys().filter(|path| rest.values[*path].1 != Source::Default);
            let culprit = set.find(|path| {
                let mut without = rest.clone();
                without.values.remove(*path);
                check(&without).err().is_none_or(|error| text(&error) != message)
            });
            let Some(path) = culprit.cloned() else {
                problems.push(self.problem("", message, None));
                return problems;
            };
            problems.push(self.problem(&dotted(&path), message, None));
            rest.values.remove(&path);
        }
        problems
    }

    fn read_back(&self) -> Result<TierProfile> {
        Settings { problems: Vec::new(), ..self.clone() }.profile()
    }

    fn problem(&self, key: &str, message: String, hint: Option<String>) -> Problem {
        Problem { key: key.to_owned(), message, hint, source: self.source(key) }
    }
}

/// The error without its operation, which is always the checking, and without the libraries that were not asked for their names:
/// what is missing is said, and where it was looked for.
fn text(error: &Error) -> String {
    let told = error.context().filter(|(name, _)| *name != "not asked");
    let told: Vec<_> = told.map(|(name, value)| format!("{name}: {value}")).collect();
    match told.as_slice() {
        [] => error.message().to_owned(),
        told => format!("{} ({})", error.message(), told.join(", ")),
    }
}

/// What to do about a backend that is not there; `None` for other errors.
pub fn backend_hint(backend: &str, error: &Error) -> Option<String> {
    let is_unknown = error.kind() == ErrorKind::ConfigInvalid && error.operation() == "find plugin";
    let is_name = !backend.contains('/') && !backend.ends_with(".so");
    let built_in = crate::builtin::STORAGE_BACKENDS;
    (is_unknown && is_name && !built_in.contains(&backend)).then(|| {
        let file = format!("libsupervm_storage_{}.so", backend.replace('-', "_"));
        let source = match backend {
            "leveldb" | "rocksdb" => {
                format!("build its plugin (cargo build --release -p supervm-storage-{backend})")
            }
            _ => "get its plugin".to_owned(),
        };
        format!(
            "\"{backend}\" is not linked into this program; {source} and put {file} beside supervm or into a directory of plugins.dirs or SUPERVM_PLUGIN_PATH, or name its path as the backend; built in are {}",
            built_in.join(", ")
        )
    })
}
