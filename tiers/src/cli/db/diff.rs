//! `supervm db diff`: the keys in which two states differ.

use super::super::bytes::{hex, printable, shown};
use super::super::failure::{Failure, Report};
use super::super::output::Output;
use super::arguments::DiffArguments;
use serde::Serialize;
use serde_json::json;
use supervm_engine::transfer::Difference;
use supervm_plugin_sdk::{Error, ErrorKind};

/// A key with two values, as JSON has it.
#[derive(Debug, Serialize)]
struct Row {
    key: String,
    key_text: Option<String>,
    /// Absent when only the second has the key.
    first: Option<String>,
    /// Absent when only the first has the key.
    second: Option<String>,
}

pub(super) fn diff(arguments: &DiffArguments, output: &mut Output) -> Result<(), Failure> {
    let configured = arguments.profile.backend()?;
    let same = |one: &std::path::Path, two: &std::path::Path| {
        one.canonicalize().ok().zip(two.canonicalize().ok()).is_some_and(|(one, two)| one == two)
    };
    if same(&arguments.first, &arguments.second) {
        let report = Report::new("both are the same directory");
        return Err(Failure::usage(report.hint("name two data directories")));
    }
    let first = configured.at(&arguments.first)?.open_to_read()?;
    let second = configured.at(&arguments.second)?.open_to_read()?;
    let mut left = arguments.limit.unwrap_or(u64::MAX);
    let mut rows = Vec::new();
    let mut stopped = None;
    let report = supervm_engine::transfer::diff(&first, &second, &mut |difference| {
        if left == 0 {
            return Ok(());
        }
        left -= 1;
        if output.is_json() {
            rows.push(row(&difference));
            return Ok(());
        }
        print(&difference, output).map_err(|failure| {
            stopped = Some(failure);
            Error::new(ErrorKind::Io, "diff", "the output cannot be written")
        })
    });
    if let Some(failure) = stopped {
        return Err(failure);
    }
    let report = report?;
    if output.is_json() {
        output.object(&json!({
            "equal": report.is_equal(), "counts": report, "differences": rows,
        }))?;
    } else {
        output.line(format_args!(
            "{} equal, {} changed, {} only in {}, {} only in {}",
            report.equal,
            report.changed,
            report.only_first,
            arguments.first.display(),
            report.only_second,
            arguments.second.display()
        ))?;
    }
    if report.is_equal() { Ok(()) } else { Err(Failure::Reported) }
}

fn row(difference: &Difference<'_>) -> Row {
    Row {
        key: hex(difference.key),
        key_text: printable(difference.key).map(str::to_owned),
        first: difference.first.map(hex),
        second: difference.second.map(hex),
    }
}

fn print(difference: &Difference<'_>, output: &mut Output) -> Result<(), Failure> {
    let key = shown(difference.key);
    match (difference.first, difference.second) {
        (Some(first), None) => output.line(format_args!("- {key}\t{}", shown(first))),
        (None, Some(second)) => output.line(format_args!("+ {key}\t{}", shown(second))),
        (Some(first), Some(second)) => {
            output.line(format_args!("! {key}\t{}\t{}", shown(first), shown(second)))
        }
        (None, None) => Ok(()),
    }
}
