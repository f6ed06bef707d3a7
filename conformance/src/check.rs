//! Assertions that name what differed.

use crate::case::{CaseResult, Finding};
use std::fmt::Display;
use supervm_plugin_sdk::{Error, ErrorKind, PageEnd, Result};

/// Bytes of a key or value that a message shows.
const SHOWN_BYTES: usize = 40;

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

/// Compares entries and names the first that differs.
pub(crate) fn same_rows(what: impl Display, found: &[Row], expected: &[Row]) -> CaseResult {
    if found == expected {
        return Ok(());
    }
    let differs = found.iter().zip(expected).take_while(|(found, wanted)| found == wanted).count();
    let at = |rows: &[Row]| rows.get(differs).map_or("nothing".to_owned(), Show::show);
    failed(format!(
        "{what}: found {} entries, expected {}; entry {differs} is {}, expected {}",
        found.len(),
        expected.len(),
        at(found),
        at(expected)
    ))
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

    #[test]
    fn the_first_entry_that_differs_is_named() {
        let row = |key: &str| (key.into(), b"1".to_vec());
        let found = same_rows("a scan", &[row("a"), row("c")], &[row("a"), row("b"), row("c")]);
        let Err(Finding::Failed(message)) = found else { panic!("equal") };
        assert_eq!(
            message,
            "a scan: found 2 entries, expected 3; entry 1 is \"c\" = \"1\", expected \"b\" = \"1\""
        );
    }

    #[test]
    fn a_missing_entry_at_the_end_is_nothing() {
        let row = (b"a".to_vec(), Vec::new());
        let found = same_rows("a scan", &[], &[row]);
        let Err(Finding::Failed(message)) = found else { panic!("equal") };
        assert!(message.contains("entry 0 is nothing, expected \"a\" = \"\""), "{message}");
    }
}
