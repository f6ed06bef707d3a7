//! Markdown, for people.

use super::{CaseReport, Certificate, Counts, Report};
use crate::case::category_title;
use crate::job::Outcome;

pub(super) fn render(report: &Report) -> String {
    let Certificate { plugin, plugin_version, passed, .. } = &report.certificate;
    let verdict = if *passed { "passed" } else { "failed" };
    let mut text =
        format!("# Conformance of {plugin} {plugin_version}: {verdict}\n\n| | |\n|---|---|\n");
    for (name, value) in report.certificate.lines() {
        text.push_str(&format!("| {name} | {} |\n", cell(&value)));
    }
    text.push_str(&categories(&report.cases));
    text.push_str(&listed("Not passed", &report.cases, Outcome::is_failure));
    let is_skipped = |outcome: &Outcome| matches!(outcome, Outcome::Skipped(_));
    text.push_str(&listed("Skipped", &report.cases, is_skipped));
    text
}

fn categories(cases: &[CaseReport]) -> String {
    let mut letters: Vec<_> = cases.iter().map(|case| case.category).collect();
    letters.sort_unstable();
    letters.dedup();
    let mut text = "\n| category | passed | not passed | skipped |\n|---|---|---|---|\n".to_owned();
    for letter in letters {
        let inside = cases.iter().filter(|case| case.category == letter);
        let counts = Counts::of(&inside.cloned().collect::<Vec<_>>());
        let title = category_title(letter);
        let Counts { passed, skipped, .. } = counts;
        text.push_str(&format!(
            "| {letter} {title} | {passed} | {} | {skipped} |\n",
            counts.failures()
        ));
    }
    text
}

/// A list of the cases that ended like this; nothing when none did.
fn listed(title: &str, cases: &[CaseReport], like_this: impl Fn(&Outcome) -> bool) -> String {
    let lines = cases.iter().filter(|case| like_this(&case.outcome)).map(|case| {
        let (word, message) = (case.outcome.word(), case.outcome.message().replace('\n', " "));
        format!("- `{}` {word}: {message}\n", case.id)
    });
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("\n## {title}\n\n{lines}") }
}

/// `text` as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
