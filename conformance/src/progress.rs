//! Progress of a run: a bar on a terminal, a line for each case otherwise.

use crate::job::Outcome;
use crate::report::CaseReport;
use indicatif::{ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::io::{IsTerminal, Write};

/// Shows the cases of a run as they end.
///
/// With a terminal as standard error a bar is drawn there, and standard output has only what was not passed; without one, standard
/// output has a line for each case.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    quiet: bool,
}

impl Progress {
    /// For a run of `cases` cases; a quiet one shows nothing.
    pub fn new(cases: usize, quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), quiet };
        }
        let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed} {msg}");
        let style = style.expect("the template is well formed");
        Self { bar: ProgressBar::new(cases as u64).with_style(style), quiet }
    }

    /// A case has ended.
    pub fn show(&self, case: &CaseReport) {
        self.bar.inc(1);
        self.bar.set_message(case.id);
        // Under a bar only what is wrong is worth a line.
        if self.quiet || (!self.bar.is_hidden() && !case.outcome.is_failure()) {
            return;
        }
        self.bar.suspend(|| print_line(line(case)));
    }

    /// The run is over; the bar goes.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn line(case: &CaseReport) -> String {
    match &case.outcome {
        Outcome::Passed => format!("passed   {} ({} ms)", case.id, case.duration_ms),
        Outcome::Skipped(reason) => format!("skipped  {}: {reason}", case.id),
        failure => format!(
            "{:<8} {}: {}\n         {}",
            failure.word(),
            case.id,
            failure.message(),
            case.claim()
        ),
    }
}

/// Prints a line to whoever still reads: `list | head` ends the reading early, which is no failure.
pub(crate) fn print_line(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}
