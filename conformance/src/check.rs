//! Assertions that name what differed.

use crate::case::{CaseResult, Finding};
use std::collections::BTreeSet;
use std::fmt::Display;
use supervm_plugin_sdk::{Error, ErrorKind, PageEnd, Result};

/// Bytes of a key or value that a message shows.
const SHOWN_BYTES: usize = 24;
/// As many equal bytes are shown one by one.
const REPEATED_BYTES: usize = 8;

/// An entry: key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

pub(crate) fn failed<T>(message: impl Into<String>) -> CaseResult<T> {
    Err(Finding::Failed(message.into()))
}

pub(crate) fn skipped<T>(reason: impl Into<String>) -> CaseResult<T> {
    Err(Finding::Skipped(reason.into()))
}

/// Fails with `claim` unless it `holds`.
pub(crate) fn holds(claim: impl Display, holds: bool) -> CaseResult {
    if holds { Ok(()) } else { failed(format!("this does not hold: {claim}")) }
}

pub(crate) fn equal<T: PartialEq + Show + ?Sized>(
    what: impl Display,
    found: &T,
    expected: &T,
) -> CaseResult {
    if found == expected {
        return Ok(());
    }
    failed(format!("{what}: found {}, expected {}", found.show(), expected.show()))
}

/// Compares entries and says in what they differ.
pub(crate) fn same_rows(what: impl Display, found: &[Row], expected: &[Row]) -> CaseResult {
    if found == expected {
        return Ok(());
    }
    failed(format!(
        "{what}: found {} entries, expected {}; {}",
        found.len(),
        expected.len(),
        difference(found, expected)
    ))
}

/// In what `found` differs from `expected`, so that the cause may be guessed.
fn difference(found: &[Row], expected: &[Row]) -> String {
    let same = found.iter().zip(expected).take_while(|(found, wanted)| found == wanted).count();
    let (Some(first), Some(wanted)) = (found.get(same), expected.get(same)) else {
        return match expected.get(same) {
            Some(wanted) => {
                format!("the last {} are missing, from {} on", expected.len() - same, wanted.show())
            }
            None => format!("{} too many, from {} on", found.len() - same, found[same].show()),
        };
    };
    if first.0 == wanted.0 {
        return format!(
            "entry {same}, key {}, has the value {} instead of {}",
            first.0.show(),
            first.1.show(),
            wanted.1.show()
        );
    }
    let of_found: BTreeSet<_> = found.iter().collect();
    let of_expected: BTreeSet<_> = expected.iter().collect();
    let surplus = of_found.difference(&of_expected).count();
    let missing = of_expected.difference(&of_found).count();
    let shape = match (surplus, missing) {
        (0, 0) if found.len() > expected.len() => "some come twice".to_owned(),
        (0, 0) => "the same in another order".to_owned(),
        (0, missing) => format!("{missing} are missing"),
        (surplus, 0) => format!("{surplus} should not be there"),
        (surplus, missing) => format!("{missing} are missing, {surplus} should not be there"),
    };
    format!("{shape}; entry {same} is {}, expected {}", first.show(), wanted.show())
}

/// Fails unless `outcome` is an error of `kind`, and hands the error on.
pub(crate) fn refused<T>(
    what: impl Display,
    outcome: Result<T>,
    kind: ErrorKind,
) -> CaseResult<Error> {
    match outcome {
        Err(error) if error.kind() == kind => Ok(error),
        Err(error) => {
            failed(format!("{what}: refused with {:?} instead of {kind:?}: {error}", error.kind()))
        }
        Ok(_) => failed(format!("{what}: accepted, expected {kind:?}")),
    }
}

/// A value as a message shows it.
pub(crate) trait Show {
    fn show(&self) -> String;
}

impl Show for [u8] {
    fn show(&self) -> String {
        if let [first, ..] = self
            && self.len() > REPEATED_BYTES
            && self.iter().all(|byte| byte == first)
        {
            return format!("\"{}\" {} times", [*first].escape_ascii(), self.len());
        }
        let shown = self[..self.len().min(SHOWN_BYTES)].escape_ascii();
        if self.len() <= SHOWN_BYTES {
            format!("\"{shown}\"")
        } else {
            format!("\"{shown}...\" ({} bytes)", self.len())
        }
    }
}

impl Show for Vec<u8> {
    fn show(&self) -> String {
        self.as_slice().show()
    }
}

impl Show for Option<Vec<u8>> {
    fn show(&self) -> String {
        self.as_ref().map_or("absent".to_owned(), Show::show)
    }
}

impl Show for Option<Row> {
    fn show(&self) -> String {
        self.as_ref().map_or("the end".to_owned(), Show::show)
    }
}

impl Show for Vec<Option<Vec<u8>>> {
    fn show(&self) -> String {
        let shown: Vec<_> = self.iter().map(Show::show).collect();
        format!("[{}]", shown.join(", "))
    }
}

impl Show for Row {
    fn show(&self) -> String {
        format!("{} = {}", self.0.show(), self.1.show())
    }
}

macro_rules! show_as_debug {
    ($($shown:ty),*) => {
        $(impl Show for $shown {
            fn show(&self) -> String {
                format!("{self:?}")
            }
        })*
    };
}

show_as_debug!(bool, u32, u64, usize, str, String, ErrorKind, PageEnd, Vec<String>);

#[cfg(test)]
mod tests {
    use super::*;

    /// The message about `found`, where "a".."c" were expected; each key is its own value.
    fn message(found: &[&str]) -> String {
        let rows = |keys: &[&str]| -> Vec<Row> {
            keys.iter().map(|key| (key.as_bytes().to_vec(), key.as_bytes().to_vec())).collect()
        };
        match same_rows("a scan", &rows(found), &rows(&["a", "b", "c"])) {
            Err(Finding::Failed(message)) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_message_says_in_what_entries_differ() {
        for (found, expected) in [
            (
                &["a"][..],
                "found 1 entries, expected 3; the last 2 are missing, from \"b\" = \"b\" on",
            ),
            (&["a", "b", "c", "d"], "expected 3; 1 too many, from \"d\" = \"d\" on"),
            (&["a", "c"], "1 are missing; entry 1 is \"c\" = \"c\", expected \"b\" = \"b\""),
            (&["0", "a", "b", "c"], "1 should not be there; entry 0 is \"0\""),
            (&["c", "b", "a"], "the same in another order; entry 0 is \"c\""),
            (&["a", "a", "b", "c"], "some come twice; entry 1 is \"a\""),
            (&["x", "y"], "3 are missing, 2 should not be there; entry 0"),
        ] {
            let message = message(found);
            assert!(message.contains(expected), "{found:?}: {message}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_its_key() {
        let row = |value: &str| (b"k".to_vec(), value.as_bytes().to_vec());
        let found = same_rows("a scan", &[row("1")], &[row("2")]);
        let Err(Finding::Failed(message)) = found else { panic!("equal") };
        assert!(
            message.ends_with("entry 0, key \"k\", has the value \"1\" instead of \"2\""),
            "{message}"
        );
    }

    #[test]
    fn long_values_are_shown_short() {
        assert_eq!([7u8; 3].as_slice().show(), "\"\\x07\\x07\\x07\"");
        assert_eq!([0xffu8; 200].as_slice().show(), "\"\\xff\" 200 times");
        let mixed: Vec<u8> = (b'a'..=b'z').collect();
        assert_eq!(mixed.show(), "\"abcdefghijklmnopqrstuvwx...\" (26 bytes)");
    }
}
