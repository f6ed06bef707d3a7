//! What transactions say beforehand that they touch.

use crate::state::StateKey;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// The keys that a transaction says it touches. It is a hint: a wrong one costs time and changes no result.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessList {
    /// The keys that it reads and does not write.
    #[serde(default)]
    pub reads: Vec<StateKey>,
    /// The keys that it writes.
    #[serde(default)]
    pub writes: Vec<StateKey>,
}

/// For each transaction the last one before it that says it writes what this one says it touches.
pub(super) fn predecessors<'a>(
    lists: impl Iterator<Item = Option<&'a AccessList>>,
) -> Vec<Option<usize>> {
    let mut writers: HashMap<&StateKey, usize> = HashMap::new();
    let predecessor = |(index, list): (usize, Option<&'a AccessList>)| {
        let list = list?;
        let touched = list.reads.iter().chain(&list.writes);
        let last = touched.filter_map(|key| writers.get(key).copied()).max();
        writers.extend(list.writes.iter().map(|key| (key, index)));
        last
    };
    lists.enumerate().map(predecessor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> StateKey {
        StateKey { contract: [1; 20], key: name.into() }
    }

    fn list(reads: &[&str], writes: &[&str]) -> Option<AccessList> {
        let keys = |names: &[&str]| names.iter().copied().map(key).collect();
        Some(AccessList { reads: keys(reads), writes: keys(writes) })
    }

    #[test]
    fn a_predecessor_is_the_last_that_writes_what_is_touched() {
        let lists = [
            list(&[], &["a"]),
            list(&["b"], &["c"]),
            list(&["a"], &["d"]),
            None,
            list(&["b"], &["a"]),
            list(&["a", "c"], &[]),
        ];
        let found = predecessors(lists.iter().map(Option::as_ref));
        assert_eq!(found, [None, None, Some(0), None, Some(0), Some(4)]);
    }
}
