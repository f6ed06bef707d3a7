//! Storage backends: the conformance suite.

use super::{Candidate, print_field, progress_bar, write};
use crate::cli::failure::{Failure, Report as FailureReport};
use crate::cli::output::{ERROR, FAINT, Output, paint};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use supervm_conformance::{Case, CaseReport, Outcome, Report, Run, Target, category_title};

/// Runs the chosen cases and prints what failed, a summary and the verdict.
pub(super) fn check(candidate: &Candidate<'_>, output: &mut Output) -> Result<(), Failure> {
    let arguments = candidate.arguments;
    let cases = selected(&arguments.case)?;
    check_report_paths(&arguments.report)?;
    let mut run = Run::new(target(candidate)?);
    run.seed = arguments.seed.unwrap_or(run.seed);
    run.profile = arguments.profile;
    if !output.is_json() {
        output.line(format_args!(
            "{} {}: {} cases, profile {}, seed {}",
            candidate.descriptor.name,
            candidate.descriptor.version,
            cases.len(),
            format!("{:?}", run.profile).to_lowercase(),
            run.seed
        ))?;
    }
    let bar = progress_bar(cases.len(), output);
    let mut failures = Vec::new();
    let report = run.execute(&cases, |case| {
        bar.inc(1);
        bar.set_message(case.id);
        if case.outcome.is_failure() {
            failures.push(failure_lines(case));
        }
    });
    bar.finish_and_clear();
    let report = report?;
    let certificate = report.certificate.complete.then(|| candidate.certificate_path());
    for path in certificate.iter().chain(&arguments.report) {
        write(path, &rendered(&report, path))?;
    }
    if output.is_json() {
        output.object(&json!({
            "inspection": candidate.inspection,
            "passed": report.certificate.passed,
            "certificate": certificate,
            "report": report,
        }))?;
        return if report.certificate.passed { Ok(()) } else { Err(Failure::Reported) };
    }
    failures.iter().try_for_each(|lines| output.line(lines))?;
    print_summary(&report, output)?;
    candidate.conclude(report.certificate.passed, certificate.as_deref(), output)
}

fn target(candidate: &Candidate<'_>) -> Result<Target, Failure> {
    let target = Target::file(&candidate.arguments.path);
    let Some(path) = &candidate.arguments.options else { return Ok(target) };
    let text = fs::read_to_string(path).map_err(|error| {
        let message = format!("cannot read the options {}", path.display());
        Failure::usage(FailureReport::new(message).cause(error))
    })?;
    Ok(target.with_options(text))
}

fn selected(prefixes: &[String]) -> Result<Vec<&'static Case>, Failure> {
    let begins = |case: &Case, prefix: &String| case.id.starts_with(prefix.as_str());
    for prefix in prefixes {
        if !supervm_conformance::cases().any(|case| begins(case, prefix)) {
            let message = format!("no case begins with \"{prefix}\"");
            let groups = supervm_conformance::cases().filter_map(|case| case.id.split('.').next());
            let groups: BTreeSet<_> = groups.collect();
            let hint = format!("ids begin with {}", Vec::from_iter(groups).join(", "));
            return Err(Failure::usage(FailureReport::new(message).hint(hint)));
        }
    }
    let chosen =
        |case: &&Case| prefixes.is_empty() || prefixes.iter().any(|prefix| begins(case, prefix));
    Ok(supervm_conformance::cases().filter(chosen).collect())
}

fn check_report_paths(paths: &[PathBuf]) -> Result<(), Failure> {
    let is_known = |path: &&PathBuf| {
        path.extension().is_some_and(|it| it == "json" || it == "xml" || it == "md")
    };
    let Some(path) = paths.iter().find(|path| !is_known(path)) else { return Ok(()) };
    let message = format!("a report ends in .json, .xml or .md, not {}", path.display());
    Err(Failure::usage(FailureReport::new(message)))
}

fn rendered(report: &Report, path: &Path) -> String {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("xml") => report.to_junit(),
        Some("md") => report.to_markdown(),
        _ => report.to_json(),
    }
}

fn failure_lines(case: &CaseReport) -> String {
    let word = paint(ERROR, format_args!("{:<9}", case.outcome.word()));
    let (id, message, claim) = (case.id, case.outcome.message(), case.claim());
    format!("{word} {id}: {message}\n          {claim}")
}

/// The categories with their counts, why cases were skipped, and the totals.
fn print_summary(report: &Report, output: &mut Output) -> Result<(), Failure> {
    let mut categories: BTreeMap<char, [u64; 3]> = BTreeMap::new();
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for case in &report.cases {
        let counts = categories.entry(case.category).or_default();
        match &case.outcome {
            Outcome::Passed => counts[0] += 1,
            Outcome::Skipped(reason) => {
                counts[2] += 1;
                *reasons.entry(reason).or_default() += 1;
            }
            _ => counts[1] += 1,
        }
    }
    let head = ["category", "passed", "failed", "skipped"].map(str::to_owned).to_vec();
    let row = |(letter, counts): (&char, &[u64; 3])| {
        let title = format!("{letter} {}", category_title(*letter));
        std::iter::once(title).chain(counts.iter().map(u64::to_string)).collect()
    };
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(categories.iter().map(row)).collect();
    output.table(&rows)?;
    output.line("")?;
    for (reason, count) in reasons {
        output.line(paint(FAINT, format_args!("skipped {count}: {reason}")))?;
    }
    let certificate = &report.certificate;
    let counts = certificate.counts;
    print_field(
        "cases",
        format_args!(
            "{} passed, {} failed, {} crashed, {} timed out, {} skipped",
            counts.passed, counts.failed, counts.crashed, counts.timed_out, counts.skipped
        ),
        output,
    )?;
    let seconds = certificate.duration_ms as f64 / 1000.0;
    print_field("duration", format_args!("{seconds:.1} s"), output)?;
    print_field("sha256", certificate.sha256.as_deref().unwrap_or_default(), output)
}
