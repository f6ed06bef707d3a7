//! The page `docs/conformance.md`, written from the cases, from tables in text and from reports of runs.

mod tables;

use crate::case::category_title;
use crate::cases;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use supervm_plugin_sdk::{Error, ErrorKind, Result};
use tables::{BrokenBackend, Peer, broken_backends, clause_titles, peers};

/// What comes before everything that depends on runs.
const INTRODUCTION: &str = include_str!("introduction.md");
/// The heading below which everything depends on runs.
const BACKENDS: &str = "## Backends";

/// What the page needs of a report.
#[derive(Debug, Deserialize)]
struct Run {
    certificate: RunCertificate,
    cases: Vec<RunCase>,
}

#[derive(Debug, Deserialize)]
struct RunCertificate {
    plugin: String,
    complete: bool,
    capabilities: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct RunCase {
    id: String,
    result: String,
    #[serde(default)]
    message: String,
}

/// The page, with a section for each of `reports`, which are JSON.
///
/// The same cases and the same outcomes give the same text.
///
/// # Errors
/// `InvalidArgument` for what is no report, or one of a run that left cases out.
pub(crate) fn page(reports: &[String]) -> Result<String> {
    let mut runs = reports.iter().map(|text| read(text)).collect::<Result<Vec<_>>>()?;
    runs.sort_by(|one, other| one.certificate.plugin.cmp(&other.certificate.plugin));
    Ok(format!("{}{}", of_cases(), of_runs(&runs)))
}

/// Tells whether `page` has what it should have of the cases; its sections about backends depend on runs and are not compared.
pub(crate) fn is_current(page: &str) -> bool {
    page.split_once(BACKENDS).is_some_and(|(before, _)| before == of_cases() + "\n")
}

/// The page with what it should have of the cases, and with its sections about backends as they are.
///
/// # Errors
/// `InvalidArgument` when `page` has no such sections.
pub(crate) fn refreshed(page: &str) -> Result<String> {
    let Some((_, runs)) = page.split_once(BACKENDS) else {
        let refused = format!("the page has no heading \"{BACKENDS}\"; write it anew from reports");
        return Err(Error::new(ErrorKind::InvalidArgument, "refresh page", refused));
    };
    Ok(format!("{}\n{BACKENDS}{runs}", of_cases()))
}

fn read(report: &str) -> Result<Run> {
    let refused = |what: String| Error::new(ErrorKind::InvalidArgument, "read report", what);
    let run: Run = serde_json::from_str(report)
        .map_err(|error| refused(format!("not a JSON report of a run: {error}")))?;
    if !run.certificate.complete {
        let plugin = &run.certificate.plugin;
        return Err(refused(format!(
            "the run on {plugin} left cases out; the page needs one without --case"
        )));
    }
    Ok(run)
}

fn of_cases() -> String {
    let total = cases::all().count();
    let mut text = INTRODUCTION.replace("{total}", &total.to_string());
    text.push_str(&categories());
    text.push_str(&clauses());
    text.push_str(&broken(&broken_backends()));
    text.push_str(&others(&peers()));
    text
}

fn categories() -> String {
    let mut counts = BTreeMap::new();
    for case in cases::all() {
        *counts.entry(case.category).or_insert(0usize) += 1;
    }
    let mut text = "\n## Categories\n\n| | category | cases |\n|---|---|---|\n".to_owned();
    for (letter, count) in &counts {
        text.push_str(&format!("| {letter} | {} | {count} |\n", category_title(*letter)));
    }
    text.push_str(&format!("| | total | {} |\n", counts.values().sum::<usize>()));
    text
}

fn clauses() -> String {
    let mut text = "\n## Clauses of the storage contract and their cases\n".to_owned();
    for (clause, title) in clause_titles() {
        let of_clause = cases::all().filter(|case| case.clauses.contains(&clause));
        let ids: Vec<_> = of_clause.map(|case| case.id).collect();
        text.push_str(&format!("\n**{clause}.** {title} {}\n", listed(&ids)));
    }
    text
}

/// Ids as a comma-separated list.
fn listed(ids: &[&str]) -> String {
    ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}

fn broken(backends: &[BrokenBackend]) -> String {
    let mut text = format!(
        "\n## The suite is tested too\n\nA small backend is made wrong in {} ways, one at a time. Each mistake has to be caught, and the tests name the \
         case that does.\n\n| mistake | caught by |\n|---|---|\n",
        backends.len()
    );
    for backend in backends {
        text.push_str(&format!("| {} | {} |\n", backend.mistake, listed(&backend.cases)));
    }
    text
}

fn others(peers: &[Peer]) -> String {
    let mut text = "\n## What other suites test, and where it is tested here\n".to_owned();
    for peer in peers {
        text.push_str(&format!("\n### {}\n\n| test | cases |\n|---|---|\n", peer.suite));
        for test in &peer.tests {
            let note = test.note.map_or(String::new(), |note| format!("<br>{note}"));
            text.push_str(&format!("| {} | {}{note} |\n", test.name, listed(&test.cases)));
        }
    }
    text
}

fn of_runs(runs: &[Run]) -> String {
    let mut text = format!(
        "\n{BACKENDS}\n\nOf the core profile on each library. Skipped is what does not apply, each with its reason below.\n\n\
         | backend | passed | not passed | skipped |\n|---|---|---|---|\n"
    );
    for run in runs {
        let count = |wanted: &[&str]| {
            run.cases.iter().filter(|case| wanted.contains(&case.result.as_str())).count()
        };
        text.push_str(&format!(
            "| {} | {} | {} | {} |\n",
            run.certificate.plugin,
            count(&["passed"]),
            count(&["failed", "crashed", "timed_out"]),
            count(&["skipped"])
        ));
    }
    runs.iter().for_each(|run| text.push_str(&of_run(run)));
    text
}

fn of_run(run: &Run) -> String {
    let RunCertificate { plugin, capabilities, .. } = &run.certificate;
    let mut text = format!("\n### {plugin}\n\nDeclares {}.\n", capabilities.join(", "));
    let not_passed =
        run.cases.iter().filter(|case| case.result != "passed" && case.result != "skipped");
    for case in not_passed {
        text.push_str(&format!("- not passed: `{}`\n", case.id));
    }
    let mut skipped: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for case in run.cases.iter().filter(|case| case.result == "skipped") {
        skipped.entry(&case.message).or_default().insert(&case.id);
    }
    for (reason, ids) in &skipped {
        let ids: Vec<_> = ids.iter().copied().collect();
        let plural = if ids.len() == 1 { "case" } else { "cases" };
        text.push_str(&format!(
            "\n{} {plural} skipped, because {reason}: {}\n",
            ids.len(),
            listed(&ids)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(plugin: &str, complete: bool) -> String {
        serde_json::json!({
            "certificate": {
                "plugin": plugin, "complete": complete, "capabilities": ["compact", "delete_range (simulated)"],
                "seed": 1, "duration_ms": 2
            },
            "cases": [
                { "id": "b", "result": "skipped", "message": "it has no wings", "duration_ms": 3 },
                { "id": "a", "result": "skipped", "message": "it has no wings" },
                { "id": "c", "result": "passed" },
                { "id": "d", "result": "crashed", "message": "SIGABRT" }
            ]
        })
        .to_string()
    }

    #[test]
    fn the_page_has_every_case_and_every_run() {
        let page = page(&[report("second", true), report("first", true)]).expect("a page");
        for case in cases::all() {
            assert!(page.contains(&format!("`{}`", case.id)), "{}", case.id);
        }
        let (_, runs) = page.split_once(BACKENDS).expect("a section of runs");
        assert!(runs.find("### first") < runs.find("### second"), "in order of their names");
        assert!(runs.contains("| first | 1 | 1 | 2 |"), "{runs}");
        assert!(runs.contains("2 cases skipped, because it has no wings: `a`, `b`"), "{runs}");
        assert!(runs.contains("- not passed: `d`"), "{runs}");
    }

    #[test]
    fn a_page_is_current_whatever_the_runs_were() {
        let page = page(&[report("any", true)]).expect("a page");
        assert!(is_current(&page));
        assert!(!is_current(&page.replacen("total", "sum", 1)));
        assert!(!is_current("## Backends\n"));
        assert!(!is_current(""));
        let outdated = page.replacen("total", "sum", 1);
        assert_eq!(refreshed(&outdated).expect("a page"), page);
        assert!(refreshed("").is_err());
    }

    #[test]
    fn a_run_that_left_cases_out_is_no_source() {
        let refused = page(&[report("partial", false)]).expect_err("not complete");
        assert!(refused.to_string().contains("partial"), "{refused}");
        let refused = page(&["{}".to_owned()]).expect_err("no report");
        assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn every_id_in_the_tables_is_a_case() {
        let known: BTreeSet<_> = cases::all().map(|case| case.id).collect();
        let of_peers = peers().into_iter().flat_map(|peer| peer.tests).flat_map(|test| test.cases);
        let of_broken = broken_backends().into_iter().flat_map(|broken| broken.cases);
        for id in of_peers.chain(of_broken) {
            assert!(known.contains(id), "there is no case {id}");
        }
    }

    #[test]
    fn the_tables_are_as_long_as_what_they_describe() {
        assert_eq!(
            clause_titles().iter().map(|(clause, _)| *clause).collect::<Vec<_>>(),
            (1..=30).collect::<Vec<_>>()
        );
        let suites = peers();
        assert_eq!(suites[0].tests.len(), 9, "behaviours of kvdb-shared-tests");
        assert_eq!(suites[1].tests.len(), 10, "groups of go-ethereum's dbtest");
        assert!(broken_backends().len() >= 30);
    }
}
