//! From the arguments to a configuration and a storage.

use super::arguments::ProfileArguments;
use super::failure::{Failure, Report};
use std::ffi::OsString;
use std::path::Path;
use std::rc::Rc;
use supervm_engine::registry::Registry;
use supervm_engine::storage::{Manifest, OpenOptions, Storage};
use supervm_engine::transfer::Place;
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{ErrorKind, OpenMode};
use supervm_tiers::{Flag, Layers, Node, Problem, Settings, Source, TierProfile};

impl ProfileArguments {
    /// The configuration that the arguments, the file and the environment add up to.
    pub(crate) fn settings(&self) -> Settings {
        self.layers().read()
    }

    fn layers(&self) -> Layers {
        // What is no UTF-8 is handed on with a replacement character, and is refused where it means something.
        let text = |value: OsString| value.to_string_lossy().into_owned();
        let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        let mut layers = Layers::new().environment(variables);
        if let Some(tier) = self.tier {
            layers = layers.tier(tier);
        }
        if let Some(file) = &self.config {
            layers = layers.file(file);
        }
        let flags =
            [("--backend", "storage.backend", &self.backend), ("--dir", "storage.dir", &self.dir)];
        for (name, key, value) in flags {
            if let Some(value) = value {
                layers = layers.flag(Flag { name, key, value: value.as_str().into() });
            }
        }
        layers
    }

    /// The profile to open.
    pub(crate) fn profile(&self) -> Result<TierProfile, Failure> {
        profile_of(&self.settings())
    }

    /// The node that the arguments describe, with at most `gas` a call.
    pub(crate) fn node(&self, gas: Option<u64>) -> Result<Node, Failure> {
        // A number above what TOML holds is above the key's bound as well, which is what is then said.
        let gas = gas.map(|gas| i64::try_from(gas).unwrap_or(i64::MAX));
        self.node_with("--gas", "execution.gas_limit", gas)
    }

    /// The node that the arguments describe, with so many threads for a block.
    pub(crate) fn block_node(&self, threads: Option<u32>) -> Result<Node, Failure> {
        self.node_with("--threads", "execution.threads", threads.map(i64::from))
    }

    fn node_with(
        &self,
        flag: &'static str,
        key: &'static str,
        value: Option<i64>,
    ) -> Result<Node, Failure> {
        let mut layers = self.layers();
        if let Some(value) = value {
            layers = layers.flag(Flag { name: flag, key, value: value.into() });
        }
        let profile = profile_of(&layers.read())?;
        let backend = profile.storage.backend.clone();
        profile.open().map_err(|error| with_backend_hint(error, &backend))
    }

    /// The storage alone, opened to be read: nothing is created.
    pub(crate) fn storage_to_read(&self) -> Result<Storage, Failure> {
        self.backend()?.open_to_read()
    }

    /// The backend that the configuration names, with nothing opened.
    pub(crate) fn backend(&self) -> Result<Backend, Failure> {
        let settings = self.settings();
        let profile = profile_of(&settings)?;
        profile.check()?;
        let registry = Rc::new(Registry::new(&profile.plugins)?);
        let config = &profile.storage;
        let plugin = registry
            .storage(&config.backend, config.sha256.as_deref())
            .map_err(|error| with_backend_hint(error, &config.backend))?;
        let is_chosen = settings.source("storage.backend") != Source::Default;
        Ok(Backend { profile, registry, plugin, is_chosen })
    }
}

/// A backend, and the configuration that names it.
pub(crate) struct Backend {
    pub(crate) profile: TierProfile,
    registry: Rc<Registry>,
    pub(crate) plugin: Plugin,
    /// Does the configuration name it, and not only the key's default?
    pub(crate) is_chosen: bool,
}

impl Backend {
    /// The storage of a directory of this backend, or of the one that the directory says it is of; nothing is created.
    ///
    /// The options and the pin of the configuration are for the backend that it names.
    pub(crate) fn at(&self, dir: &Path) -> Result<Self, Failure> {
        let manifest = Manifest::read(dir)?.ok_or_else(|| {
            let report = Report::new(format!("there is no data directory {}", dir.display()));
            Failure::failed(report.hint("a data directory has a file supervm.toml"))
        })?;
        let mut other = self.other(&manifest.backend, dir)?;
        other.profile.storage.chain_id = manifest.chain_id;
        Ok(other)
    }

    /// The backend `name` with its data in `dir`.
    pub(crate) fn other(&self, name: &str, dir: &Path) -> Result<Self, Failure> {
        let registry = Rc::clone(&self.registry);
        let mut profile = self.profile.clone().with_dir(dir);
        if name == self.plugin.descriptor().name || name == profile.storage.backend {
            let plugin = self.plugin.clone();
            return Ok(Self { profile, registry, plugin, is_chosen: self.is_chosen });
        }
        profile = profile.with_backend(name);
        // What is required is required of the configuration's own backend.
        profile.storage.require.clear();
        profile.storage.durability = None;
        let plugin =
            registry.storage(name, None).map_err(|error| with_backend_hint(error, name))?;
        Ok(Self { profile, registry, plugin, is_chosen: true })
    }

    /// The data directory, for a transfer.
    pub(crate) fn place(&self) -> Place<'_> {
        let config = &self.profile.storage;
        Place { plugin: &self.plugin, dir: &config.dir, options: &config.options }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.profile.storage.dir
    }

    /// The storage, opened to be read.
    ///
    /// A killed writer may have left work that only an opening for writing finishes, so that is what is tried first.
    pub(crate) fn open_to_read(&self) -> Result<Storage, Failure> {
        match self.open_in(OpenMode::MustExist) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.open_in(OpenMode::ReadOnly)
            }
            opened => opened,
        }
        .map_err(|error| self.with_hint(error))
    }

    /// The storage, opened in `mode`.
    pub(crate) fn open(&self, mode: OpenMode) -> Result<Storage, Failure> {
        self.open_in(mode).map_err(|error| self.with_hint(error))
    }

    fn open_in(&self, mode: OpenMode) -> supervm_plugin_sdk::Result<Storage> {
        let options = OpenOptions { mode, ..OpenOptions::from(&self.profile.storage) };
        Storage::open(&self.plugin, options)
    }

    fn with_hint(&self, error: supervm_plugin_sdk::Error) -> Failure {
        with_backend_hint(error, &self.profile.storage.backend)
    }
}

fn profile_of(settings: &Settings) -> Result<TierProfile, Failure> {
    refuse(settings.problems())?;
    let profile = settings.profile()?;
    for setting in settings.discarded() {
        let backend = &profile.storage.backend;
        tracing::info!(key = setting.key, source = %setting.source, backend, "not for this backend");
    }
    Ok(profile)
}

/// Refuses a configuration with problems, naming all of them.
pub(crate) fn refuse(problems: &[Problem]) -> Result<(), Failure> {
    match problems {
        [] => Ok(()),
        problems => Err(Failure::Several(problems.iter().map(Report::from).collect())),
    }
}

fn with_backend_hint(error: supervm_plugin_sdk::Error, backend: &str) -> Failure {
    let mut report = Report::from(&error);
    match supervm_tiers::backend_hint(backend, &error) {
        Some(hint) => {
            // Which other libraries kept their names to themselves does not help to find this one.
            report.details.retain(|detail| detail.name != "not asked");
            Failure::failed(report.hint(hint))
        }
        None => Failure::failed(report),
    }
}
