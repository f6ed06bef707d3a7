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
mod foreign;
mod reentry;
mod robust;
mod tampered;
mod durability;
mod power_cut;
mod faults;
mod full_disk;
mod checkpoint;
mod maintenance;
mod stats;
mod honesty;
mod errors;
mod abi;
mod agreement;

use crate::case::Case;
use crate::script;
use std::sync::LazyLock;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

const TABLES: [&[Case]; 28] = [
    open::CASES,
    foreign::CASES,
    reentry::CASES,
    robust::CASES,
    tampered::CASES,
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
    power_cut::CASES,
    faults::CASES,
    full_disk::CASES,
    checkpoint::CASES,
    maintenance::CASES,
    stats::CASES,
    honesty::CASES,
    errors::CASES,
    abi::CASES,
    crate::model::CASES,
    agreement::CASES,
];

/// The functions' cases and the scripts', by category and id.
static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut all = [TABLES.concat(), script::cases()].concat();
    all.sort_by_key(|case| (case.category, case.id));
    all
});

/// Every case of the suite, in the order of the list.
pub fn all() -> impl Iterator<Item = &'static Case> {
    ALL.iter()
}

/// The cases whose ids begin with one of `prefixes`; all of them when there are no prefixes.
///
/// # Errors
/// `InvalidArgument` when no case begins with a prefix, naming it.
pub fn select(prefixes: &[String]) -> Result<Vec<&'static Case>> {
    let begins = |case: &&Case, prefix: &String| case.id.starts_with(prefix);
    if let Some(unknown) = prefixes.iter().find(|prefix| !all().any(|case| begins(&case, prefix))) {
        let refused = format!(
            "no case begins with \"{unknown}\"; `supervm-conformance list` prints every id"
        );
        return Err(Error::new(ErrorKind::InvalidArgument, "select cases", refused));
    }
    let chosen = |case: &&Case| prefixes.is_empty() || prefixes.iter().any(|one| begins(case, one));
    Ok(all().filter(chosen).collect())
}

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
        assert!(listed.is_sorted(), "cases.txt is in alphabetical order");
        let listed: BTreeSet<_> = listed.into_iter().collect();
        let found: BTreeSet<_> = all().map(|case| case.id).collect();
        let missing: Vec<_> = listed.difference(&found).collect();
        let new: Vec<_> = found.difference(&listed).collect();
        assert!(
            missing.is_empty() && new.is_empty(),
            "cases.txt is the manifest; change it together with the cases: {missing:?} vanished, {new:?} are not in it"
        );
    }

    #[test]
    fn every_clause_has_two_cases_and_every_case_a_clause() {
        for clause in 1..=30 {
            let cases = all().filter(|case| case.clauses.contains(&clause)).count();
            assert!(cases >= 2, "clause {clause} has {cases} cases");
        }
        for case in all() {
            assert!(!case.clauses.is_empty(), "{} names no clause", case.id);
            assert!(case.clauses.iter().all(|clause| (1..=30).contains(clause)), "{}", case.id);
        }
    }

    #[test]
    fn every_category_has_the_cases_that_it_was_promised() {
        let least = [
            ('A', 14),
            ('B', 16),
            ('C', 18),
            ('D', 6),
            ('E', 14),
            ('F', 14),
            ('G', 14),
            ('H', 16),
            ('I', 20),
            ('J', 12),
            ('K', 12),
            ('L', 10),
            ('O', 14),
            ('P', 8),
            ('Q', 10),
            ('S', 6),
            ('T', 5),
            ('U', 20),
            ('V', 12),
            ('W', 12),
            ('Y', 8),
        ];
        assert_eq!(least.iter().map(|(_, least)| least).sum::<usize>(), 261);
        for (category, least) in least {
            let cases = all().filter(|case| case.category == category).count();
            assert!(cases >= least, "category {category} has {cases} cases, at least {least}");
        }
    }

    #[test]
    fn a_prefix_selects_its_cases_and_an_unknown_one_is_refused() {
        let ids = |prefixes: &[&str]| -> Vec<&str> {
            let prefixes: Vec<_> = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
            select(&prefixes).expect("known").iter().map(|case| case.id).collect()
        };
        assert_eq!(ids(&["point.get.after_put", "point.delete.twice"]).len(), 2);
        assert!(ids(&["snapshot."]).iter().all(|id| id.starts_with("snapshot.")));
        assert_eq!(ids(&[]).len(), all().count());
        let refused = select(&["point.".to_owned(), "no.such".to_owned()]).expect_err("unknown");
        assert!(refused.to_string().contains("\"no.such\""), "{refused}");
    }
}
