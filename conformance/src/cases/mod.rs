//! The cases, each listed once, by category.

mod point;
mod limits;
mod multi_get;
mod ranges;
mod prefixes;
mod cursor;
mod cursor_view;
mod batch;
mod delete_range;
mod snapshot;
mod concurrency;
mod open;
mod durability;
mod checkpoint;
mod maintenance;
mod stats;
mod honesty;
mod errors;
mod abi;
mod agreement;

use crate::case::Case;

const TABLES: [&[Case]; 21] = [
    open::CASES,
    point::CASES,
    limits::CASES,
    multi_get::CASES,
    ranges::CASES,
    prefixes::CASES,
    cursor::CASES,
    cursor_view::CASES,
    batch::CASES,
    delete_range::CASES,
    snapshot::CASES,
    concurrency::CASES,
    durability::CASES,
    checkpoint::CASES,
    maintenance::CASES,
    stats::CASES,
    honesty::CASES,
    errors::CASES,
    abi::CASES,
    crate::model::CASES,
    agreement::CASES,
];

/// Every case of the suite, in the order of the list.
pub fn all() -> impl Iterator<Item = &'static Case> {
    TABLES.into_iter().flatten()
}

/// The clauses that no case proves, each with the reason.
pub const CLAUSES_BEYOND_PLUGINS: &[(u8, &str)] = &[
    (
        13,
        "a sound backend gives no cursor error to watch; the wrapper that keeps the error is tested in the SDK",
    ),
    (21, "needs a disk that fills up, which the suite does not make"),
    (
        25,
        "the storage part of the boundary hands no callback to a plugin, so there is nothing to call back",
    ),
    (
        26,
        "a sound backend does not panic when asked; the SDK's tests panic in a backend on purpose",
    ),
    (28, "the manifest of a data directory is written by the engine"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_id_is_unique_and_well_formed() {
        let mut seen = BTreeSet::new();
        for case in all() {
            assert!(seen.insert(case.id), "{} is listed twice", case.id);
            let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(case.id.split('.').all(|part| !part.is_empty() && part.chars().all(allowed)));
            assert!(case.rule.ends_with('.'), "{}: the rule is a sentence", case.id);
            assert_ne!(crate::category_title(case.category), "unknown", "{}", case.id);
        }
    }

    #[test]
    fn a_case_that_vanishes_is_missed() {
        let listed: Vec<_> = include_str!("../../cases.txt").lines().collect();
        let found: Vec<_> = all().map(|case| case.id).collect();
        assert_eq!(found, listed, "cases.txt is the manifest; change it together with the cases");
    }

    #[test]
    fn every_clause_has_two_cases_or_a_reason() {
        for clause in 1..=30 {
            let cases = all().filter(|case| case.clauses.contains(&clause)).count();
            let beyond = CLAUSES_BEYOND_PLUGINS.iter().any(|(beyond, _)| *beyond == clause);
            assert!(beyond != (cases >= 2), "clause {clause} has {cases} cases, reason: {beyond}");
        }
        assert!(all().all(|case| case.clauses.iter().all(|clause| (1..=30).contains(clause))));
    }
}
