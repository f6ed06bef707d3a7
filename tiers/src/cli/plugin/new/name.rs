//! Which names a new plugin may have.

use crate::cli::failure::{Failure, Report};
use supervm_plugin_sdk::NAME_BYTES_MAX;
use supervm_tiers::builtin;

/// What Rust or Cargo takes for something else.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// What the new crate depends on, by the same name.
const DEPENDENCIES: &[&str] = &["schemars", "serde", "supervm-conformance", "supervm-plugin-sdk"];

/// Plugins of SuperVM's own that may be linked in; such a one wins over a library of its name.
const OWN: &[&str] = &["leveldb", "rocksdb"];

/// Refuses what is no name of a plugin, what is no name of a crate, and what is taken.
pub(super) fn check(name: &str) -> Result<(), Failure> {
    let is_known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let problem = if !name.starts_with(|c: char| c.is_ascii_lowercase())
        || !name.chars().all(is_known)
        || name.len() > NAME_BYTES_MAX
    {
        "is no plugin name".to_owned()
    } else if RESERVED.contains(&name) {
        "is a word of Rust's own".to_owned()
    } else if DEPENDENCIES.contains(&name) {
        "is a crate that the plugin depends on".to_owned()
    } else if [builtin::STORAGE_BACKENDS, builtin::HOST_PACKS, OWN].concat().contains(&name) {
        "is a plugin of SuperVM's own, which would win over yours".to_owned()
    } else {
        return Ok(());
    };
    let mut hint =
        format!("a name is a-z, 0-9 and -, begins with a letter, at most {NAME_BYTES_MAX} bytes");
    if let Some(near) = suggestion(name) {
        hint.push_str(&format!("; try \"{near}\""));
    }
    Err(Failure::usage(Report::new(format!("{name:?} {problem}")).hint(hint)))
}

/// A name that is close and would do.
fn suggestion(name: &str) -> Option<String> {
    let allowed = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_lowercase() || c.is_ascii_digit() => c,
        _ => '-',
    };
    let mapped: String = name.chars().map(allowed).collect();
    let trimmed = mapped.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let cut = &trimmed[..trimmed.len().min(NAME_BYTES_MAX)];
    let near = if cut == name { format!("my-{name}") } else { cut.to_owned() };
    (!cut.is_empty() && check(&near).is_ok()).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_plugins_and_crates_are_accepted() {
        for name in ["demo", "my-backend", "a1", "x-"] {
            assert!(check(name).is_ok(), "{name}");
        }
        assert!(check(&"a".repeat(NAME_BYTES_MAX)).is_ok());
    }

    #[test]
    fn what_cannot_be_a_name_is_refused_with_one_that_can() {
        for (name, near) in [
            ("My_Backend", Some("my-backend")),
            ("1st", Some("st")),
            ("fn", Some("my-fn")),
            ("sqlite", Some("my-sqlite")),
            ("serde", Some("my-serde")),
            ("", None),
            ("123", None),
        ] {
            let Err(Failure::Usage(report)) = check(name) else { panic!("{name} is accepted") };
            let hint = report.hint.unwrap_or_default();
            assert_eq!(hint.split_once("try ").map(|(_, near)| near.trim_matches('"')), near);
        }
        assert!(check(&"a".repeat(NAME_BYTES_MAX + 1)).is_err());
    }
}
