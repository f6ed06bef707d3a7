//! From the arguments to a configuration and a storage.

use super::arguments::ProfileArguments;
use super::failure::{Failure, Report};
use std::ffi::OsString;
use supervm_engine::registry::Registry;
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_plugin_sdk::{ErrorKind, OpenMode};
use supervm_tiers::{Flag, Layers, Node, Problem, Settings, TierProfile};

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
        let mut layers = self.layers();
        if let Some(gas) = gas {
            // A number above what TOML holds is above the key's bound as well, which is what is then said.
            let value = i64::try_from(gas).unwrap_or(i64::MAX).into();
            layers = layers.flag(Flag { name: "--gas", key: "execution.gas_limit", value });
        }
        let profile = profile_of(&layers.read())?;
        let backend = profile.storage.backend.clone();
        profile.open().map_err(|error| with_backend_hint(error, &backend))
    }

    /// The storage alone, opened to be read: nothing is created.
    ///
    /// A killed writer may have left work that only an opening for writing finishes, so that is what is tried first.
    pub(crate) fn storage_to_read(&self) -> Result<Storage, Failure> {
        self.storage(&[OpenMode::MustExist, OpenMode::ReadOnly])
    }

    /// The storage alone, opened in the first of `modes` that the directory's permissions allow.
    pub(crate) fn storage(&self, modes: &[OpenMode]) -> Result<Storage, Failure> {
        let profile = self.profile()?;
        profile.check()?;
        let registry = Registry::new(&profile.plugins)?;
        let config = &profile.storage;
        let hinted = |error| with_backend_hint(error, &config.backend);
        let plugin = registry.storage(&config.backend, config.sha256.as_deref()).map_err(hinted)?;
        let open = |mode| Storage::open(&plugin, OpenOptions { mode, ..OpenOptions::from(config) });
        let (first, others) = modes.split_first().expect("a mode to open in");
        let mut opened = open(*first);
        for mode in others {
            match &opened {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => opened = open(*mode),
                _ => break,
            }
        }
        opened.map_err(hinted)
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
        None if error.kind() == ErrorKind::Locked => Failure::failed(
            report
                .hint("another process has the directory open; wait for it or name another --dir"),
        ),
        None => Failure::failed(report),
    }
}
