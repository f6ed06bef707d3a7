//! What a run found, for people and for machines; a whole run's report is the backend's certificate.

mod junit;
mod markdown;

use crate::case::{Case, Profile};
use crate::cases;
use crate::job::{Description, Outcome};
use crate::run::Run;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use supervm_plugin_sdk::{Error, ErrorKind, Limits, Result, Support};

/// The formats of a report, as messages name them.
pub(crate) const FORMATS: &str = "a report ends in .json, .xml or .md";

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

    /// What the case proves, in words: its clauses and its rule.
    pub fn claim(&self) -> String {
        let clauses: Vec<_> = self.clauses.iter().map(u8::to_string).collect();
        format!("rule (clause {}): {}", clauses.join(", "), self.rule)
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
        junit::render(self)
    }

    /// The report as Markdown: the certificate, a table of the categories, what failed, what was skipped.
    pub fn to_markdown(&self) -> String {
        markdown::render(self)
    }

    /// Writes the report to `path`, in the format that its extension names: `json`, `xml` (JUnit) or `md`.
    ///
    /// # Errors
    /// `InvalidArgument` for another extension; `Io`, `NoSpace`, `PermissionDenied`.
    pub fn write(&self, path: &Path) -> Result<()> {
        let extension = path.extension().and_then(|extension| extension.to_str());
        let text = match extension {
            Some("json") => self.to_json(),
            Some("xml") => self.to_junit(),
            Some("md") => self.to_markdown(),
            _ => {
                let refused = format!("{FORMATS}, not \"{}\"", path.display());
                return Err(Error::new(ErrorKind::InvalidArgument, "write report", refused));
            }
        };
        let written = std::fs::write(path, text);
        written.map_err(|error| Error::io("write report", error).with("path", path.display()))
    }
}

impl Certificate {
    /// The certificate as pairs of name and value, for people.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
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

fn seconds(milliseconds: u64) -> String {
    format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use supervm_plugin_sdk::Limits;

    /// A report of as many cases as there are outcomes.
    pub(super) fn report(outcomes: &[Outcome]) -> Report {
        let of_cases = cases::all().zip(outcomes);
        let cases: Vec<_> = of_cases
            .map(|(case, outcome)| CaseReport::new(case, outcome.clone(), Duration::from_millis(1)))
            .collect();
        let counts = Counts::of(&cases);
        let certificate = Certificate {
            passed: counts.executed() > 0 && counts.failures() == 0,
            complete: false,
            plugin: "tested".into(),
            plugin_version: "1.2.3".into(),
            sdk_version: "0.1.0".into(),
            abi_version: 1,
            path: None,
            sha256: Some("ab".repeat(32)),
            suite_version: "0.1.0".into(),
            contract_version: CONTRACT_VERSION,
            capabilities: vec!["compact".into(), "delete_range (simulated)".into()],
            limits: Limits::CONTRACT,
            profile: Profile::Core,
            seed: 42,
            counts,
            duration_ms: 1234,
        };
        Report { certificate, cases }
    }

    #[test]
    fn the_json_is_the_certificate_and_the_cases() {
        let text = report(&[Outcome::Passed, Outcome::Failed("a \"b\"\n".into())]).to_json();
        let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let certificate = &json["certificate"];
        for (name, expected) in [
            ("sha256", serde_json::json!("ab".repeat(32))),
            ("suite_version", "0.1.0".into()),
            ("capabilities", serde_json::json!(["compact", "delete_range (simulated)"])),
            ("seed", 42.into()),
            ("profile", "core".into()),
            ("passed", false.into()),
            ("complete", false.into()),
        ] {
            assert_eq!(certificate[name], expected, "{name}");
        }
        assert_eq!(certificate["counts"]["failed"], 1);
        assert_eq!(json["cases"][0]["result"], "passed");
        assert_eq!(json["cases"][1]["message"], "a \"b\"\n");
    }

    #[test]
    fn the_markdown_lists_what_did_not_pass_and_what_was_skipped() {
        let text = report(&[
            Outcome::Passed,
            Outcome::TimedOut("late".into()),
            Outcome::Skipped("no\nwings".into()),
        ])
        .to_markdown();
        assert!(text.starts_with("# Conformance of tested 1.2.3: failed\n"), "{text}");
        let (not_passed, skipped) = text.split_once("## Skipped").expect("a list of the skipped");
        assert!(not_passed.contains("## Not passed") && not_passed.contains("timed_out: late"));
        assert!(skipped.contains("skipped: no wings"), "{skipped}");
        assert!(!text.contains(cases::all().next().expect("a case").id), "passed cases: {text}");
    }

    #[test]
    fn a_report_is_written_in_the_format_of_its_extension() {
        let (report, dir) = (report(&[Outcome::Passed]), tempfile::tempdir().expect("a directory"));
        for (name, start) in [("a.json", "{"), ("a.xml", "<?xml"), ("a.md", "# Conformance")] {
            let path = dir.path().join(name);
            report.write(&path).expect(name);
            let text = std::fs::read_to_string(&path).expect(name);
            assert!(text.starts_with(start), "{name}: {text}");
        }
        let refused = report.write(&dir.path().join("a.html")).expect_err("no format");
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
        assert!(refused.to_string().contains(".json, .xml or .md"), "{refused}");
    }
}
