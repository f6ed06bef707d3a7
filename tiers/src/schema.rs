//! The keys that a configuration may have, read off the schema of [`TierProfile`].

use crate::TierProfile;
use schemars::Schema;
use serde_json::Value;

/// What the schema says of one place in a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A section with these keys.
    Section(Vec<String>),
    /// A section whose keys are not known here.
    Open,
    /// A value.
    Leaf,
}

/// The schema of a configuration.
#[derive(Debug)]
pub(crate) struct KnownKeys {
    schema: Schema,
}

impl KnownKeys {
    pub(crate) fn new() -> Self {
        Self { schema: schemars::schema_for!(TierProfile) }
    }

    /// What is at `path`, all of whose sections are known.
    pub(crate) fn place(&self, path: &[String]) -> Place {
        let mut schema = self.schema.as_value();
        for name in path {
            let Some(next) = schema.get("properties").and_then(|keys| keys.get(name)) else {
                return Place::Leaf;
            };
            schema = self.resolve(next);
        }
        if let Some(keys) = schema.get("properties").and_then(Value::as_object) {
            return Place::Section(keys.keys().cloned().collect());
        }
        let is_object = schema.get("type").and_then(Value::as_str) == Some("object");
        if is_object { Place::Open } else { Place::Leaf }
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let target = schema.get("$ref").and_then(Value::as_str);
        let pointer = target.and_then(|target| target.strip_prefix('#'));
        pointer.and_then(|pointer| self.schema.as_value().pointer(pointer)).unwrap_or(schema)
    }

    /// Every key and every open section, in the order of their names.
    pub(crate) fn all(&self) -> Vec<(Vec<String>, Place)> {
        let mut found = Vec::new();
        let mut below = vec![Vec::new()];
        while let Some(path) = below.pop() {
            match self.place(&path) {
                Place::Section(keys) => {
                    below.extend(keys.into_iter().map(|key| [path.as_slice(), &[key]].concat()));
                }
                place => found.push((path, place)),
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        found
    }
}

/// The name in `known` that `name` was probably meant to be.
pub(crate) fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    let distance = |one: &&String| strsim::damerau_levenshtein(name, one);
    let best = known.iter().min_by_key(distance)?;
    (distance(&best) <= 1 + name.len() / 4).then_some(best.as_str())
}
