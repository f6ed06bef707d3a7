//! What the layers of a configuration add up to: every value with where it came from, and everything that is wrong.

use crate::schema::{KnownKeys, Place};
use crate::{TierName, TierProfile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Where a value came from; a later one wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The default of the key.
    Default,
    /// The built-in profile of a tier.
    Profile(&'static str),
    /// A configuration file, with the line where it is known.
    File(PathBuf, Option<usize>),
    /// An environment variable.
    Environment(String),
    /// An option of the command line.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Profile(tier) => write!(f, "profile {tier}"),
            Self::File(path, Some(line)) => write!(f, "file {}:{line}", path.display()),
            Self::File(path, None) => write!(f, "file {}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// One key of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The sections and the key, joined by dots.
    pub key: String,
    /// Its value.
    pub value: toml::Value,
    /// Where the value came from.
    pub source: Source,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key that it is about, joined by dots; empty when it is about none.
    pub key: String,
    /// What is wrong and what would be accepted.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Where the value came from.
    pub source: Source,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.key.is_empty() && !self.message.starts_with(&self.key) {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{} ({})", self.message, self.source)
    }
}

/// A configuration as its layers add up.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    pub(crate) values: BTreeMap<Vec<String>, (toml::Value, Source)>,
    pub(crate) discarded: Vec<Setting>,
    pub(crate) problems: Vec<Problem>,
}

impl Settings {
    /// Every key that has a value, in the order of its name.
    pub fn iter(&self) -> impl Iterator<Item = Setting> + '_ {
        self.values.iter().map(|(path, (value, source))| Setting {
            key: dotted(path),
            value: value.clone(),
            source: source.clone(),
        })
    }

    /// Options and a pinned hash that belong to another backend than the one that was chosen in a later layer.
    pub fn discarded(&self) -> &[Setting] {
        &self.discarded
    }

    /// The keys that have no value and no default, joined by dots.
    pub fn unset(&self) -> Vec<String> {
        let known = KnownKeys::new();
        let keys = known.all().into_iter().filter(|(_, place)| *place == Place::Leaf);
        keys.filter(|(path, _)| !self.values.contains_key(path))
            .map(|(path, _)| dotted(&path))
            .collect()
    }

    /// What is wrong with the text of the layers: syntax, unknown keys, wrong types. [`Settings::check`] finds more.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Where the value of `key`, joined by dots, came from.
    pub fn source(&self, key: &str) -> Source {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        self.values.get(&path).map_or(Source::Default, |(_, source)| source.clone())
    }

    /// The profile that the layers add up to.
    ///
    /// # Errors
    /// `ConfigInvalid` with the first of [`Settings::problems`].
    pub fn profile(&self) -> Result<TierProfile> {
        let invalid = |message| Error::new(ErrorKind::ConfigInvalid, "read configuration", message);
        match self.problems.first() {
            Some(problem) => Err(invalid(problem.to_string())),
            None => self.deserialize().map_err(invalid),
        }
    }

    pub(crate) fn deserialize(&self) -> Result<TierProfile, String> {
        let mut table = toml::Table::new();
        for (path, (value, _)) in &self.values {
            insert(&mut table, path, value.clone());
        }
        TierProfile::deserialize(toml::Value::Table(table))
            .map_err(|error| error.message().to_owned())
    }

    pub(crate) fn backend(&self) -> &str {
        let path = ["storage".to_owned(), "backend".to_owned()];
        self.values.get(path.as_slice()).and_then(|(value, _)| value.as_str()).unwrap_or_default()
    }
}

/// A setting as `config show --json` prints it.
impl Serialize for Setting {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Setting", 3)?;
        fields.serialize_field("key", &self.key)?;
        fields.serialize_field("value", &self.value)?;
        fields.serialize_field("source", &self.source.to_string())?;
        fields.end()
    }
}

pub(crate) fn dotted(path: &[String]) -> String {
    path.join(".")
}

/// Puts `value` at `path`, making the tables above it.
pub(crate) fn insert(table: &mut toml::Table, path: &[String], value: toml::Value) {
    let Some((last, sections)) = path.split_last() else { return };
    let mut section = table;
    for name in sections {
        let entry = section.entry(name.clone()).or_insert_with(|| toml::Table::new().into());
        if !entry.is_table() {
            *entry = toml::Table::new().into();
        }
        section = entry.as_table_mut().expect("made a table in the lines above");
    }
    section.insert(last.clone(), value);
}

/// The tier's name as a source shows it.
pub(crate) fn profile_source(tier: TierName) -> Source {
    match tier {
        TierName::Custom => Source::Default,
        tier => Source::Profile(tier.as_str()),
    }
}
