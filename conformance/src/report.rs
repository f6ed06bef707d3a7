//! What a run found, for people and for machines; a whole run's report is the backend's certificate.

use crate::case::{Case, Profile, category_title};
use crate::cases;
use crate::job::{Description, Outcome};
use crate::run::Run;
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use supervm_plugin_sdk::{Limits, Result, Support};

/// The version of the storage contract that the cases are written for.
pub const CONTRACT_VERSION: u32 = 1;

/// What became of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was tested by what, and the verdict.
    pub certificate: Certificate,
    /// Every case of the run, in the order of the list.
    pub cases: Vec<CaseReport>,
}

/// What was tested by what, and the verdict.
#[derive(Debug, Clone, Serialize)]
pub struct Certificate {
    /// At least one case was executed and none failed.
    pub passed: bool,
    /// Every case of the suite was selected.
    pub complete: bool,
    /// The plugin's name.
    pub plugin: String,
    /// The plugin's version.
    pub plugin_version: String,
    /// The version of the SDK that the plugin was built with.
    pub sdk_version: String,
    /// The ABI version that the plugin was built for.
    pub abi_version: u32,
    /// The library's path; `None` for a linked-in plugin.
    pub path: Option<PathBuf>,
    /// The library's sha256, in hex; `None` for a linked-in plugin.
    pub sha256: Option<String>,
    /// The version of the suite.
    pub suite_version: String,
    /// The version of the storage contract.
    pub contract_version: u32,
    /// What the plugin declares, each name followed by `(simulated)` when it is.
    pub capabilities: Vec<String>,
    /// The limits that the plugin declares.
    pub limits: Limits,
    /// How thorough the run was.
    pub profile: Profile,
    /// Repeats the run.
    pub seed: u64,
    /// How many cases ended how.
    pub counts: Counts,
    /// Duration of the run, milliseconds.
    pub duration_ms: u64,
}

/// How many cases ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Kept the rule.
    pub passed: u64,
    /// Broke the rule.
    pub failed: u64,
    /// Killed their process.
    pub crashed: u64,
    /// Did not end in time.
    pub timed_out: u64,
    /// Do not apply, each with its reason.
    pub skipped: u64,
}

/// What became of one case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// The case's id.
    pub id: &'static str,
    /// The category's letter.
    pub category: char,
    /// The clauses that the case proves.
    pub clauses: &'static [u8],
    /// The rule in one sentence.
    pub rule: &'static str,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Duration, milliseconds.
    pub duration_ms: u64,
}

impl CaseReport {
    pub(crate) fn new(case: &'static Case, outcome: Outcome, duration: Duration) -> Self {
        let Case { id, category, clauses, rule, .. } = *case;
        Self { id, category, clauses, rule, outcome, duration_ms: duration.as_millis() as u64 }
    }
}

impl Counts {
    fn of(reports: &[CaseReport]) -> Self {
        let mut counts = Self::default();
        for report in reports {
            *match report.outcome {
                Outcome::Passed => &mut counts.passed,
                Outcome::Failed(_) => &mut counts.failed,
                Outcome::Crashed(_) => &mut counts.crashed,
                Outcome::TimedOut(_) => &mut counts.timed_out,
                Outcome::Skipped(_) => &mut counts.skipped,
            } += 1;
        }
        counts
    }

    /// Cases that ran to a verdict.
    pub fn executed(&self) -> u64 {
        self.passed + self.failures()
    }

    /// Cases that the backend did not pass.
    pub fn failures(&self) -> u64 {
        self.failed + self.crashed + self.timed_out
    }
}

impl Report {
    pub(crate) fn new(
        run: &Run,
        description: &Description,
        reports: Vec<CaseReport>,
        duration: Duration,
    ) -> Result<Self> {
        let (descriptor, counts) = (&description.descriptor, Counts::of(&reports));
        let named = description.capabilities.iter().map(|(capability, support)| match support {
            Support::Native => capability.name().to_owned(),
            Support::Simulated => format!("{capability} (simulated)"),
        });
        let certificate = Certificate {
            passed: counts.executed() > 0 && counts.failures() == 0,
            complete: reports.len() == cases::all().count(),
            plugin: descriptor.name.clone(),
            plugin_version: descriptor.version.clone(),
            sdk_version: descriptor.sdk_version.clone(),
            abi_version: descriptor.abi_version,
            path: run.target.path().map(PathBuf::from),
            sha256: run.target.sha256()?,
            suite_version: env!("CARGO_PKG_VERSION").to_owned(),
            contract_version: CONTRACT_VERSION,
            capabilities: named.collect(),
            limits: *description.capabilities.limits(),
            profile: run.profile,
            seed: run.seed,
            counts,
            duration_ms: duration.as_millis() as u64,
        };
        Ok(Self { certificate, cases: reports })
    }

    /// The report as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has only text and numbers")
    }

    /// The report as JUnit XML. Crashed and timed-out cases are errors, failed ones failures.
    pub fn to_junit(&self) -> String {
        let Certificate { counts, plugin, seed, duration_ms, .. } = &self.certificate;
        let mut xml = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"conformance of {}\" tests=\"{}\" failures=\"{}\" \
             errors=\"{}\" skipped=\"{}\" time=\"{}\">\n  <properties><property name=\"seed\" value=\"{seed}\"/></properties>\n",
            escaped(plugin),
            self.cases.len(),
            counts.failed,
            counts.crashed + counts.timed_out,
            counts.skipped,
            seconds(*duration_ms),
        );
        for case in &self.cases {
            let message = escaped(case.outcome.message());
            let inner = match case.outcome {
                Outcome::Passed => String::new(),
                Outcome::Failed(_) => format!("<failure message=\"{message}\"/>"),
                Outcome::Crashed(_) | Outcome::TimedOut(_) => {
                    format!("<error type=\"{}\" message=\"{message}\"/>", case.outcome.word())
                }
                Outcome::Skipped(_) => format!("<skipped message=\"{message}\"/>"),
            };
            push_line(
                &mut xml,
                format_args!(
                    "  <testcase classname=\"{}\" name=\"{}\" time=\"{}\">{inner}</testcase>",
                    escaped(category_title(case.category)),
                    case.id,
                    seconds(case.duration_ms)
                ),
            );
        }
        xml.push_str("</testsuite>\n");
        xml
    }

    /// The report as Markdown: the certificate, what failed, what was skipped, and a table of the categories.
    pub fn to_markdown(&self) -> String {
        let Certificate { plugin, plugin_version, counts, .. } = &self.certificate;
        let verdict = if self.certificate.passed { "passed" } else { "failed" };
        let mut text =
            format!("# Conformance of {plugin} {plugin_version}: {verdict}\n\n| | |\n|---|---|\n");
        for (name, value) in self.certificate.lines() {
            push_line(&mut text, format_args!("| {name} | {value} |"));
        }
        self.push_categories(&mut text);
        for (title, wanted) in [("Not passed", counts.failures()), ("Skipped", counts.skipped)] {
            if wanted == 0 {
                continue;
            }
            push_line(&mut text, format_args!("\n## {title}\n"));
            let failures = title != "Skipped";
            for case in &self.cases {
                let (skipped, failed) =
                    (matches!(case.outcome, Outcome::Skipped(_)), case.outcome.is_failure());
                if (failures && failed) || (!failures && skipped) {
                    push_line(
                        &mut text,
                        format_args!(
                            "- `{}` {}: {}",
                            case.id,
                            case.outcome.word(),
                            case.outcome.message().replace('\n', " ")
                        ),
                    );
                }
            }
        }
        text
    }

    fn push_categories(&self, text: &mut String) {
        text.push_str("\n| category | passed | not passed | skipped |\n|---|---|---|---|\n");
        let mut letters: Vec<_> = self.cases.iter().map(|case| case.category).collect();
        letters.sort_unstable();
        letters.dedup();
        for letter in letters {
            let cases = self.cases.iter().filter(|case| case.category == letter);
            let counts = Counts::of(&cases.cloned().collect::<Vec<_>>());
            push_line(
                text,
                format_args!(
                    "| {letter} {} | {} | {} | {} |",
                    category_title(letter),
                    counts.passed,
                    counts.failures(),
                    counts.skipped
                ),
            );
        }
    }
}

impl Certificate {
    /// The certificate as pairs of name and value.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let Counts { passed, failed, crashed, timed_out, skipped } = self.counts;
        let counts = format!(
            "{passed} passed, {failed} failed, {crashed} crashed, {timed_out} timed out, {skipped} skipped"
        );
        let scope = if self.complete { "the whole suite" } else { "a selection of cases" };
        vec![
            ("plugin", format!("{} {}", self.plugin, self.plugin_version)),
            ("sha256", self.sha256.clone().unwrap_or_else(|| "linked in, no file".into())),
            ("sdk", format!("{}, ABI {}", self.sdk_version, self.abi_version)),
            (
                "suite",
                format!("{}, contract {}, {scope}", self.suite_version, self.contract_version),
            ),
            ("capabilities", self.capabilities.join(", ")),
            ("profile", format!("{:?}", self.profile).to_lowercase()),
            ("seed", self.seed.to_string()),
            ("cases", counts),
            ("duration", format!("{} s", seconds(self.duration_ms))),
        ]
    }
}

fn push_line(text: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(text, "{line}").expect("writing into a string cannot fail");
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

/// `text` for XML; what XML 1.0 cannot hold becomes a question mark.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            other if other.is_control() => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}
