//! Host packs: every function is called with what no contract should give it.

use super::{Candidate, print_field, progress_bar, write};
use crate::cli::failure::{Failure, Report as FailureReport};
use crate::cli::output::{ERROR, GOOD, Output, paint};
use crate::cli::plugin::pack::{self, Tried};
use serde::Serialize;
use serde_json::json;
use std::path::PathBuf;
use supervm_conformance::pack::PackCase;

/// What the checks cannot know, said with every verdict.
const NOT_CHECKED: &str = "what the functions compute, and how many bytes a pointer without a length needs; \
     test these in the pack's own tests";

/// What was checked by what, and the verdict.
#[derive(Debug, Serialize)]
struct PackReport {
    passed: bool,
    plugin: String,
    plugin_version: String,
    sdk_version: String,
    abi_version: u32,
    module: Option<String>,
    path: PathBuf,
    sha256: String,
    /// The version of the program that checked.
    suite_version: &'static str,
    seed: u64,
    not_checked: &'static str,
    /// How the pack's process ended before it was done.
    crash: Option<String>,
    cases: Vec<PackCase>,
}

/// Tries every function and prints which rules are broken, and the verdict.
pub(super) fn check(candidate: &Candidate<'_>, output: &mut Output) -> Result<(), Failure> {
    check_arguments(candidate)?;
    let seed = candidate.seed();
    let bar = progress_bar(0, output);
    let tried = pack::try_all(&candidate.arguments.path, seed, |function| {
        bar.inc(1);
        bar.set_message(function.to_owned());
    });
    bar.finish_and_clear();
    let tried = tried?;
    let report = report(candidate, seed, &tried);
    let certificate = candidate.certificate_path();
    let text = serde_json::to_string_pretty(&report).expect("a report has only text and numbers");
    for path in std::iter::once(&certificate).chain(&candidate.arguments.report) {
        write(path, &text)?;
    }
    if output.is_json() {
        output.object(&json!({
            "inspection": candidate.inspection,
            "passed": report.passed,
            "certificate": certificate,
            "report": report,
        }))?;
        return if report.passed { Ok(()) } else { Err(Failure::Reported) };
    }
    print(candidate, &report, &tried, output)?;
    candidate.conclude(report.passed, Some(&certificate), output)
}

fn check_arguments(candidate: &Candidate<'_>) -> Result<(), Failure> {
    let arguments = candidate.arguments;
    let refused = |message: &str| Err(Failure::usage(FailureReport::new(message)));
    if !arguments.case.is_empty() || arguments.options.is_some() {
        return refused("--case and --options are for storage backends, and this is a host pack");
    }
    let is_json = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "json");
    if !arguments.report.iter().all(is_json) {
        return refused("the report of a host pack ends in .json");
    }
    Ok(())
}

fn report(candidate: &Candidate<'_>, seed: u64, tried: &Tried) -> PackReport {
    let descriptor = candidate.descriptor;
    let is_kept = |case: &PackCase| case.failure.is_none();
    PackReport {
        passed: tried.crash.is_none() && !tried.cases.is_empty() && tried.cases.iter().all(is_kept),
        plugin: descriptor.name.clone(),
        plugin_version: descriptor.version.clone(),
        sdk_version: descriptor.sdk_version.clone(),
        abi_version: descriptor.abi_version,
        module: descriptor.module.clone(),
        path: candidate.arguments.path.clone(),
        sha256: candidate.sha256().to_owned(),
        suite_version: env!("CARGO_PKG_VERSION"),
        seed,
        not_checked: NOT_CHECKED,
        crash: tried.crash.clone(),
        cases: tried.cases.clone(),
    }
}

fn print(
    candidate: &Candidate<'_>,
    report: &PackReport,
    tried: &Tried,
    output: &mut Output,
) -> Result<(), Failure> {
    let module = report.module.as_deref().unwrap_or_default();
    let version = &candidate.descriptor.version;
    output
        .line(format_args!("{} {version}: module {module}, seed {}", report.plugin, report.seed))?;
    for function in &tried.functions {
        output.line(function)?;
    }
    for case in &report.cases {
        if case.failure.is_some() {
            output.line(format_args!("{} {case}", paint(ERROR, "failed")))?;
        }
    }
    if let Some(crash) = &report.crash {
        output.line(format_args!("{} {crash}", paint(ERROR, "crashed")))?;
    }
    output.line("")?;
    let broken = report.cases.iter().filter(|case| case.failure.is_some()).count();
    let kept = paint(GOOD, format_args!("{} kept", report.cases.len() - broken));
    print_field("rules", format_args!("{kept}, {broken} broken"), output)?;
    print_field("not checked", report.not_checked, output)?;
    print_field("sha256", &report.sha256, output)
}
