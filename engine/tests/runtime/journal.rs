//! The journal against a plain map of everything.

use crate::support::storage;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_engine::state::{Journal, StateKey, TxnView};
use supervm_plugin_sdk::{ByteBuf, Direction};
use tempfile::TempDir;

const CONTRACT: [u8; 20] = [5; 20];
/// The contracts just before and after, whose keys must never show up.
const NEIGHBOURS: [[u8; 20]; 2] = [[4; 20], [6; 20]];

#[derive(Debug, Clone)]
enum Step {
    Get(Vec<u8>),
    Set(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Scan { prefix: Vec<u8>, reverse: bool, limit: u32, write_after: Option<Vec<u8>> },
    Emit(Vec<u8>),
    Savepoint,
    Rollback,
    Release,
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0xfe), Just(0xff)], 1..4)
}

fn prefix() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0xff)], 0..3)
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..4)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => key().prop_map(Step::Get),
        4 => (key(), value()).prop_map(|(key, value)| Step::Set(key, value)),
        2 => key().prop_map(Step::Delete),
        3 => (prefix(), any::<bool>(), 0_u32..4, prop::option::of(key())).prop_map(
            |(prefix, reverse, limit, write_after)| Step::Scan { prefix, reverse, limit, write_after }
        ),
        1 => value().prop_map(Step::Emit),
        2 => Just(Step::Savepoint),
        1 => Just(Step::Rollback),
        1 => Just(Step::Release),
    ]
}

/// What the journal should be: all of its state in maps, and a copy of the whole for each savepoint.
#[derive(Debug, Clone, Default)]
struct Oracle {
    stored: BTreeMap<Vec<u8>, Vec<u8>>,
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    events: Vec<Vec<u8>>,
    reads: BTreeSet<Vec<u8>>,
}

impl Oracle {
    fn get(&mut self, key: &[u8]) -> Option<Vec<u8>> {
        if let Some(own) = self.writes.get(key) {
            return own.clone();
        }
        self.reads.insert(key.to_vec());
        self.stored.get(key).cloned()
    }

    fn content(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut content = self.stored.clone();
        for (key, value) in &self.writes {
            match value {
                Some(value) => content.insert(key.clone(), value.clone()),
                None => content.remove(key),
            };
        }
        content
    }
}

/// What a serializable transaction sees of `content`, of which memory has every other key.
fn stored(dir: &TempDir, content: &BTreeMap<Vec<u8>, Vec<u8>>) -> TxnView {
    let store = MvccStore::open(storage(dir), MvccConfig::default()).unwrap();
    let own = content.iter().map(|(key, value)| (CONTRACT, key.clone(), value.clone()));
    let others = NEIGHBOURS.into_iter().flat_map(|contract| {
        [vec![0], vec![0xff, 0xff]].map(|key| (contract, key, b"not yours".to_vec()))
    });
    let mut txn = store.begin();
    for (contract, key, value) in own.chain(others) {
        txn.write(&StateKey { contract, key }.to_bytes(), &value).unwrap();
    }
    txn.commit().unwrap();
    store.evict();
    let mut txn = store.begin();
    for key in content.keys().step_by(2) {
        txn.read(&StateKey { contract: CONTRACT, key: key.clone() }.to_bytes()).unwrap();
    }
    TxnView::new(txn)
}

/// Everything that a scan gives; a write after the opening must not show.
fn scanned(journal: &mut Journal<TxnView>, step: &Step) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Step::Scan { prefix, reverse, limit, write_after } = step else { unreachable!() };
    let direction = if *reverse { Direction::Reverse } else { Direction::Forward };
    let mut scan = journal.scan(&CONTRACT, prefix, direction, *limit).unwrap();
    if let Some(key) = write_after {
        journal.set(&CONTRACT, key, b"later");
    }
    let (mut key, mut value) = (ByteBuf::new(), ByteBuf::new());
    let mut entries = Vec::new();
    while journal.scan_next(&mut scan, &mut key, &mut value).unwrap() {
        entries.push((key.to_vec(), value.to_vec()));
    }
    entries
}

fn expected_scan(oracle: &mut Oracle, step: &Step) -> Vec<(Vec<u8>, Vec<u8>)> {
    let Step::Scan { prefix, reverse, limit, write_after } = step else { unreachable!() };
    let matching = oracle.content().into_iter().filter(|(key, _)| key.starts_with(prefix));
    let mut entries: Vec<_> = matching.collect();
    if *reverse {
        entries.reverse();
    }
    let most = if *limit == 0 { usize::MAX } else { *limit as usize };
    entries.truncate(most);
    // The scan has read each stored key up to where it stopped.
    let ended = entries.len() < most;
    let last = entries.last().map(|(key, _)| key.clone());
    for key in oracle.stored.keys().filter(|key| key.starts_with(prefix)) {
        let passed = match &last {
            _ if ended => true,
            Some(last) if *reverse => key >= last,
            Some(last) => key <= last,
            None => false,
        };
        if passed {
            oracle.reads.insert(key.clone());
        }
    }
    if let Some(key) = write_after {
        oracle.writes.insert(key.clone(), Some(b"later".to_vec()));
    }
    entries
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_journal_is_a_map_over_the_state_with_savepoints(
        content in prop::collection::btree_map(key(), value(), 0..12),
        steps in prop::collection::vec(step(), 0..60),
    ) {
        let dir = TempDir::new().unwrap();
        let mut journal = Journal::new(stored(&dir, &content));
        let mut oracle = Oracle { stored: content, ..Oracle::default() };
        let mut savepoints: Vec<Oracle> = Vec::new();
        let mut found = ByteBuf::new();
        for step in steps {
            match &step {
                Step::Get(key) => {
                    let there = journal.get(&CONTRACT, key, &mut found).unwrap();
                    prop_assert_eq!(there.then(|| found.to_vec()), oracle.get(key));
                }
                Step::Set(key, value) => {
                    journal.set(&CONTRACT, key, value);
                    oracle.writes.insert(key.clone(), Some(value.clone()));
                }
                Step::Delete(key) => {
                    journal.delete(&CONTRACT, key);
                    oracle.writes.insert(key.clone(), None);
                }
                Step::Scan { .. } => {
                    prop_assert_eq!(scanned(&mut journal, &step), expected_scan(&mut oracle, &step));
                }
                Step::Emit(data) => {
                    journal.emit(&CONTRACT, data);
                    oracle.events.push(data.clone());
                }
                Step::Savepoint => {
                    journal.savepoint();
                    savepoints.push(oracle.clone());
                }
                Step::Rollback => {
                    journal.rollback();
                    if let Some(before) = savepoints.pop() {
                        let reads = std::mem::take(&mut oracle.reads);
                        oracle = Oracle { reads, ..before };
                    }
                }
                Step::Release => {
                    journal.release();
                    savepoints.pop();
                }
            }
            let event_bytes: usize = oracle.events.iter().map(Vec::len).sum();
            prop_assert_eq!(journal.event_bytes(), event_bytes);
        }
        // Without open savepoints the bytes are those of reads and writes alone.
        while !savepoints.is_empty() {
            journal.release();
            savepoints.pop();
        }
        let entry = |key: &[u8], value: usize| 64 + 20 + key.len() + value;
        let bytes: usize = oracle.reads.iter().map(|key| entry(key, 0)).sum::<usize>()
            + oracle.writes.iter().map(|(key, value)| entry(key, value.as_ref().map_or(0, Vec::len))).sum::<usize>();
        prop_assert_eq!(journal.byte_len(), bytes);
        let named = |key: &Vec<u8>| StateKey { contract: CONTRACT, key: key.clone() };
        let changes = journal.into_changes();
        let writes: BTreeMap<_, _> = oracle.writes.iter().map(|(key, value)| (named(key), value.clone())).collect();
        prop_assert_eq!(changes.writes, writes);
        prop_assert_eq!(changes.reads, oracle.reads.iter().map(named).collect::<BTreeSet<_>>());
        let events: Vec<_> = changes.events.into_iter().map(|event| event.data).collect();
        prop_assert_eq!(events, oracle.events);
    }
}
