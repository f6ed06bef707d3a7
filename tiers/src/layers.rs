//! Reading a configuration: built-in profile, then file, then environment, then flags.
//!
//! The layers are taken apart into single keys, so that each value keeps where it came from and each wrong one is reported, not
//! only the first. A key wins over the same key of an earlier layer; a list is one value and is replaced as a whole.
//!
//! The options and the pinned hash of a backend belong to that backend. When a later layer chooses another one, those of the
//! built-in profile and of the file are set aside: `--tier L4 --backend lmdb` does not hand SQLite's quota to LMDB.

use crate::schema::{KnownKeys, Place, nearest};
use crate::settings::{Problem, Setting, Settings, Source, dotted, insert, profile_source};
use crate::{TierName, TierProfile};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

const ENVIRONMENT_PREFIX: &str = "SUPERVM_";
/// What parts a section from a key in an environment variable's name. Variables without it configure no node.
const ENVIRONMENT_SEPARATOR: &str = "__";

/// A value that was given on the command line.
#[derive(Debug, Clone)]
pub struct Flag {
    /// As it is typed: `--dir`.
    pub name: &'static str,
    /// The key that it sets, joined by dots.
    pub key: &'static str,
    /// The value.
    pub value: toml::Value,
}

/// The layers of a configuration; each may be missing.
///
/// # Examples
/// ```
/// use supervm_tiers::{Layers, Source, TierName};
/// let variables = [("SUPERVM_STORAGE__DIR".to_owned(), "/data".to_owned())];
/// let settings = Layers::new().tier(TierName::L4).environment(variables).read();
/// assert_eq!(settings.source("storage.backend"), Source::Profile("L4"));
/// assert_eq!(settings.profile().map(|profile| profile.storage.dir.display().to_string()).ok().as_deref(), Some("/data"));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Layers {
    tier: Option<TierName>,
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    flags: Vec<Flag>,
}

impl Layers {
    /// No layer: the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The built-in profile of `tier` at the bottom, whatever tier the other layers name.
    #[must_use]
    pub fn tier(mut self, tier: TierName) -> Self {
        self.tier = Some(tier);
        self
    }

    /// The file at `path`. Without [`Layers::tier`], its `tier.name` chooses the profile beneath it.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Environment variables: of `SUPERVM_STORAGE__DIR` becomes `storage.dir`; others are left alone.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = variables.into_iter().filter(|(name, _)| {
            name.strip_prefix(ENVIRONMENT_PREFIX)
                .is_some_and(|rest| rest.contains(ENVIRONMENT_SEPARATOR))
        });
        self.environment.extend(ours);
        self.environment.sort();
        self
    }

    /// A value from the command line.
    #[must_use]
    pub fn flag(mut self, flag: Flag) -> Self {
        self.flags.push(flag);
        self
    }

    /// Reads every layer. What is wrong in them is in [`Settings::problems`].
    pub fn read(&self) -> Settings {
        let mut reader = Reader::new();
        let file = self.file.as_deref().map(|path| reader.file(path)).unwrap_or_default();
        let environment = reader.environment(&self.environment);
        let tier = self.tier.unwrap_or_else(|| named_tier(&[&environment, &file]));
        let profile = tier.built_in().map(|text| reader.text(text, &profile_source(tier)));

        reader.merge(default_leaves());
        reader.merge(profile.unwrap_or_default());
        let backend_of_profile = reader.settings.backend().to_owned();
        reader.merge(file);
        let backend_of_file = reader.settings.backend().to_owned();
        reader.merge(environment);
        let flags = self.flags.iter().filter_map(|flag| reader.flag(flag)).collect();
        reader.merge(flags);
        if let Some(tier) = self.tier {
            let name = toml::Value::from(tier.as_str());
            reader.merge(vec![(path_of("tier.name"), name, Source::Flag("--tier"))]);
        }
        reader.set_foreign_options_aside(&backend_of_profile, &backend_of_file);
        reader.settings
    }
}

/// Single keys with their values and sources.
type Leaves = Vec<(Vec<String>, toml::Value, Source)>;

struct Reader {
    known: KnownKeys,
    settings: Settings,
}

impl Reader {
    fn new() -> Self {
        Self { known: KnownKeys::new(), settings: Settings::default() }
    }

    fn file(&mut self, path: &Path) -> Leaves {
        let source = Source::File(path.to_owned(), None);
        match std::fs::read_to_string(path) {
            Ok(text) => anchor_plugins(self.text(&text, &source), path),
            Err(error) => {
                self.refuse(&[], format!("cannot read the configuration: {error}"), source);
                Leaves::new()
            }
        }
    }

    fn text(&mut self, text: &str, source: &Source) -> Leaves {
        let (spans, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            for error in errors {
                let at = error.span().map_or(source.clone(), |span| located(source, text, &span));
                self.refuse(&[], format!("the file is not TOML: {}", error.message()), at);
            }
            return Leaves::new();
        }
        let table: toml::Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => {
                self.refuse(&[], error.message().to_owned(), source.clone());
                return Leaves::new();
            }
        };
        let mut found = Vec::new();
        self.take_apart(Vec::new(), table, &mut found);
        let at = |path: &[String]| {
            span_of(spans.get_ref(), path)
                .map_or(source.clone(), |span| located(source, text, &span))
        };
        let located = found.into_iter().map(|(path, value)| (at(&path), path, value));
        let accepted = located.filter_map(|(source, path, value)| self.accept(path, value, source));
        accepted.collect()
    }

    fn environment(&mut self, variables: &[(String, String)]) -> Leaves {
        let mut leaves = Leaves::new();
        for (name, text) in variables {
            let key = &name[ENVIRONMENT_PREFIX.len()..];
            let path: Vec<_> =
                key.split(ENVIRONMENT_SEPARATOR).map(str::to_ascii_lowercase).collect();
            if text.contains(char::REPLACEMENT_CHARACTER) {
                self.refuse(
                    &path,
                    "the value is not UTF-8".to_owned(),
                    Source::Environment(name.clone()),
                );
                continue;
            }
            let value = environment_value(&path, text);
            leaves.extend(self.accept(path, value, Source::Environment(name.clone())));
        }
        leaves
    }

    fn flag(&mut self, flag: &Flag) -> Option<(Vec<String>, toml::Value, Source)> {
        self.accept(path_of(flag.key), flag.value.clone(), Source::Flag(flag.name))
    }

    /// Takes a table apart into its single keys; sections are descended, values are not.
    fn take_apart(
        &self,
        path: Vec<String>,
        table: toml::Table,
        found: &mut Vec<(Vec<String>, toml::Value)>,
    ) {
        for (name, value) in table {
            let mut below = path.clone();
            below.push(name);
            match value {
                toml::Value::Table(table) => self.take_apart(below, table, found),
                value => found.push((below, value)),
            }
        }
    }

    /// The key with its value when it is known and of the right type; else a problem is noted.
    fn accept(
        &mut self,
        path: Vec<String>,
        value: toml::Value,
        source: Source,
    ) -> Option<(Vec<String>, toml::Value, Source)> {
        let problem = match self.unknown(&path) {
            Some((message, hint)) => Some((message, hint)),
            None => type_error(&path, &value).map(|message| (message, None)),
        };
        let Some((message, hint)) = problem else { return Some((path, value, source)) };
        self.settings.problems.push(Problem { key: dotted(&path), message, hint, source });
        None
    }

    fn unknown(&self, path: &[String]) -> Option<(String, Option<String>)> {
        for depth in 0..path.len() {
            let (above, name) = (&path[..depth], &path[depth]);
            let keys = match self.known.place(above) {
                Place::Section(keys) => keys,
                Place::Open | Place::Leaf => return None,
            };
            if keys.contains(name) {
                continue;
            }
            let hint = nearest(name, &keys).map(|near| format!("did you mean \"{near}\"?"));
            let known = keys.join(", ");
            let message = match above {
                [] if path.len() == 1 => format!("unknown key \"{name}\"; sections: {known}"),
                [] => format!("unknown section \"{name}\"; available: {known}"),
                _ => format!("unknown key \"{name}\"; [{}] has: {known}", dotted(above)),
            };
            return Some((message, hint));
        }
        None
    }

    fn refuse(&mut self, path: &[String], message: String, source: Source) {
        self.settings.problems.push(Problem { key: dotted(path), message, hint: None, source });
    }

    fn merge(&mut self, leaves: Leaves) {
        for (path, value, source) in leaves {
            self.settings.values.insert(path, (value, source));
        }
    }

    fn set_foreign_options_aside(&mut self, of_profile: &str, of_file: &str) {
        let chosen = self.settings.backend().to_owned();
        let is_foreign = |path: &[String], source: &Source| {
            let of_backend =
                path.starts_with(&path_of("storage.options")) || path == path_of("storage.sha256");
            of_backend
                && match source {
                    Source::Profile(_) => of_profile != chosen,
                    Source::File(..) => of_file != chosen,
                    Source::Default | Source::Environment(_) | Source::Flag(_) => false,
                }
        };
        let values = std::mem::take(&mut self.settings.values);
        for (path, (value, source)) in values {
            if is_foreign(&path, &source) {
                let key = dotted(&path);
                self.settings.discarded.push(Setting { key, value, source });
            } else {
                self.settings.values.insert(path, (value, source));
            }
        }
    }
}

fn path_of(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

fn default_leaves() -> Leaves {
    let table = default_table();
    let mut leaves = Leaves::new();
    for (section, keys) in table {
        let toml::Value::Table(keys) = keys else { continue };
        let set = keys.into_iter().filter(|(_, value)| !value.is_table());
        leaves.extend(set.map(|(key, value)| (vec![section.clone(), key], value, Source::Default)));
    }
    leaves
}

fn default_table() -> toml::Table {
    let table = toml::Table::try_from(TierProfile::default());
    table.expect("the default profile serialises, which a test checks")
}

/// Why `value` cannot stand at `path`: reads the default profile with this one value put in.
fn type_error(path: &[String], value: &toml::Value) -> Option<String> {
    let mut table = default_table();
    insert(&mut table, path, value.clone());
    let error = TierProfile::deserialize(toml::Value::Table(table)).err()?;
    Some(error.message().trim_end_matches('\n').to_owned())
}

/// The text itself where the key takes text, else what it says as TOML.
fn environment_value(path: &[String], text: &str) -> toml::Value {
    let as_text = toml::Value::from(text);
    let parsed = toml::from_str::<toml::Table>(&format!("value = {text}"));
    let Some(parsed) = parsed.ok().and_then(|mut table| table.remove("value")) else {
        return as_text;
    };
    // The types of a plugin's options are not known here; there the text counts as TOML first.
    let is_option = path.starts_with(&path_of("storage.options"));
    let takes_text = !is_option && type_error(path, &as_text).is_none();
    if takes_text { as_text } else { parsed }
}

/// Makes the relative paths of plugins start at the configuration file's directory: which code is loaded must not depend on where
/// the program was started.
fn anchor_plugins(mut leaves: Leaves, file: &Path) -> Leaves {
    let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let dir = file.parent().unwrap_or(Path::new("/"));
    let anchored = |text: &str| {
        // Collecting the components drops a "." in the middle.
        let path: PathBuf = dir.join(text).components().collect();
        path.to_string_lossy().into_owned()
    };
    let if_path = |text: &str| {
        let is_path = text.contains('/') || text.ends_with(".so");
        if is_path { anchored(text) } else { text.to_owned() }
    };
    let each = |value: &mut toml::Value, change: &dyn Fn(&str) -> String| match value {
        toml::Value::String(text) => *text = change(text),
        toml::Value::Array(items) => items.iter_mut().for_each(|item| {
            if let toml::Value::String(text) = item {
                *text = change(text);
            }
        }),
        _ => {}
    };
    for (path, value, _) in &mut leaves {
        match path.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["plugins", "dirs"] => each(value, &anchored),
            ["plugins", "packs"] | ["storage", "backend"] => each(value, &if_path),
            ["plugins", "sha256", pack] => path[2] = if_path(pack),
            _ => {}
        }
    }
    leaves
}

/// The first of `layers` that names a tier decides; a name that is wrong is reported with its layer.
fn named_tier(layers: &[&Leaves]) -> TierName {
    let name = path_of("tier.name");
    let named = layers.iter().find_map(|leaves| leaves.iter().find(|(path, ..)| *path == name));
    named.and_then(|(_, value, _)| value.as_str()?.parse().ok()).unwrap_or_default()
}

fn span_of(table: &DeTable<'_>, path: &[String]) -> Option<std::ops::Range<usize>> {
    let (name, below) = path.split_first()?;
    let (key, value) = table.iter().find(|(key, _)| key.get_ref() == name.as_str())?;
    match value.get_ref() {
        DeValue::Table(table) if !below.is_empty() => span_of(table, below),
        _ => Some(key.span()),
    }
}

/// `source` with the line in which `span` begins.
fn located(source: &Source, text: &str, span: &std::ops::Range<usize>) -> Source {
    let line = 1 + text.as_bytes()[..span.start.min(text.len())]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    match source {
        Source::File(path, _) => Source::File(path.clone(), Some(line)),
        other => other.clone(),
    }
}
