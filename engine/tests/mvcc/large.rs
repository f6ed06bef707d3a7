//! Commits that are larger than a batch: whole or not at all, whatever interrupts them.

use crate::probe::{Panel, panel};
use crate::support::{entries, eventually, kind, latest, put, storage, write};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use supervm_engine::history::{AsOf, History};
use supervm_engine::layout::{Area, HistoryMode, Version};
use supervm_engine::mvcc::{
    Block, CommitBounds, CommitOptions, GcConfig, MvccConfig, MvccStore, Txn,
};
use supervm_engine::storage::Storage;
use supervm_plugin_sdk::{Direction, Durability, Effect, ErrorKind, KeyRange, Result};
use tempfile::TempDir;

/// Keys that the large commit writes, deletes or makes, each a third.
const KEYS: usize = 60;
const MODES: [HistoryMode; 3] =
    [HistoryMode::None, HistoryMode::Window { blocks: 2 }, HistoryMode::Archive];

/// Bounds that a few values pass: 8 KiB of a batch are kept for the facts about the whole.
fn config(mode: HistoryMode) -> MvccConfig {
    let bounds =
        CommitBounds { batch_bytes_max: 12 << 10, part_bytes: 4 << 10, ..CommitBounds::default() };
    MvccConfig { history: Some(mode), digest: true, bounds, ..MvccConfig::default() }
}

/// A backend that is looked into.
struct Place {
    panel: Arc<Panel>,
    options: String,
    /// Each storage over the panel has one, as if the process had ended in between.
    dirs: Mutex<Vec<TempDir>>,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("large {}", NEXT.fetch_add(1, Ordering::Relaxed));
        let options = format!("panel = \"{name}\"");
        Self { panel: panel(&name), options, dirs: Mutex::default() }
    }

    fn storage(&self) -> Storage {
        self.storage_with("")
    }

    fn storage_with(&self, options: &str) -> Storage {
        let dir = tempfile::tempdir().unwrap();
        let storage = storage("probe", dir.path(), &format!("{}\n{options}", self.options));
        self.dirs.lock().unwrap().push(dir);
        storage
    }

    fn open(&self, mode: HistoryMode) -> Result<MvccStore> {
        MvccStore::open(self.storage(), config(mode))
    }
}

fn value(key: usize, times: usize) -> Vec<u8> {
    format!("{key} {times}").into_bytes().repeat(40)
}

fn key(key: usize) -> Vec<u8> {
    format!("key {key:03}").into_bytes()
}

fn commit(txn: Txn, number: u64) -> Result<Version> {
    let block = Some(Block { number, timestamp: number });
    txn.commit_with(CommitOptions { block, ..CommitOptions::default() })
}

/// Writes two thirds of the keys, each twice, in small commits that are blocks.
fn prepare(store: &MvccStore) {
    for times in 0..2 {
        for numbers in (0..KEYS * 2 / 3).collect::<Vec<_>>().chunks(5) {
            let mut txn = store.begin();
            numbers.iter().for_each(|n| txn.write(&key(*n), &value(*n, times)).unwrap());
            commit(txn, store.last_version().0 + 1).unwrap();
        }
    }
}

/// A change of every key: a third is written, a third deleted, a third made.
fn change(store: &MvccStore) -> Txn {
    let mut txn = store.begin();
    for number in 0..KEYS {
        match number % 3 {
            0 if number < KEYS * 2 / 3 => txn.delete(&key(number)).unwrap(),
            _ => txn.write(&key(number), &value(number, 2)).unwrap(),
        }
    }
    txn
}

fn commit_large(store: &MvccStore) -> Result<Version> {
    commit(change(store), store.last_version().0 + 1)
}

type State = BTreeMap<Vec<u8>, Vec<u8>>;

fn state(store: &MvccStore) -> State {
    let mut txn = store.begin_read_only();
    txn.scan(KeyRange::ALL, Direction::Forward, usize::MAX).unwrap().into_iter().collect()
}

fn state_as_of(as_of: &AsOf) -> State {
    let mut rows = as_of.rows(KeyRange::ALL, Direction::Forward).unwrap();
    let mut state = State::new();
    while let Some((key, _, value)) = rows.next().unwrap() {
        state.insert(key.to_vec(), value.to_vec());
    }
    for number in 0..KEYS {
        assert_eq!(as_of.get(&key(number)).unwrap().as_ref(), state.get(&key(number)));
    }
    state
}

/// A storage with snapshots that has what the panel has.
fn copy_with_snapshots(place: &Place) -> (Storage, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let copy = storage("memory", dir.path(), "");
    let content = place.panel.content();
    let changes = content.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
    copy.write_batch(changes.collect()).unwrap();
    (copy, dir)
}

/// What an undisturbed large commit does, and how many batches it takes with the marker.
struct Undisturbed {
    before: State,
    after: State,
    content_before: BTreeMap<Vec<u8>, Vec<u8>>,
    content_after: BTreeMap<Vec<u8>, Vec<u8>>,
    last: Version,
    durabilities: Vec<Durability>,
}

fn undisturbed(mode: HistoryMode) -> Undisturbed {
    let place = Place::new();
    let store = place.open(mode).unwrap();
    prepare(&store);
    let (before, last) = (state(&store), store.last_version());
    let content_before = BTreeMap::clone(&place.panel.content());
    place.panel.take_written();
    assert_eq!(commit_large(&store).unwrap(), last.next());
    let durabilities = place.panel.take_durabilities();
    let content_after = BTreeMap::clone(&place.panel.content());
    let after = state(&store);
    // Of 40 keys 14 are deleted, and 20 are made.
    assert_eq!(after.len(), 46, "{mode}");
    Undisturbed { before, after, content_before, content_after, last, durabilities }
}

fn of_area(content: &BTreeMap<Vec<u8>, Vec<u8>>, area: Area) -> usize {
    content.keys().filter(|key| area.range().contains(key)).count()
}

#[test]
fn a_commit_larger_than_a_batch_is_parts_that_are_buffered_and_a_marker_that_is_synced() {
    for mode in MODES {
        let Undisturbed { durabilities, content_before, content_after, .. } = undisturbed(mode);
        let marker = durabilities.iter().position(|one| *one == Durability::Synced).unwrap();
        assert!(marker > 5, "{mode}: {durabilities:?}");
        let after_it = &durabilities[marker + 1..];
        assert!(after_it.iter().all(|one| *one == Durability::Buffered), "{mode}");
        assert_eq!(after_it.is_empty(), mode != HistoryMode::None, "{mode}");
        for area in [Area::History, Area::ChangeLog] {
            let more = of_area(&content_after, area) - of_area(&content_before, area);
            assert_eq!(more > 0, mode != HistoryMode::None, "{mode} {area:?}");
        }
    }
}

#[test]
fn a_large_commit_leaves_what_small_bounds_do_not_change() {
    for mode in MODES {
        let dir = tempfile::tempdir().unwrap();
        let whole = MvccConfig { bounds: CommitBounds::default(), ..config(mode) };
        let store = MvccStore::open(storage("memory", dir.path(), ""), whole).unwrap();
        prepare(&store);
        commit_large(&store).unwrap();
        let content: BTreeMap<_, _> =
            store.storage().unwrap().scan(b"", usize::MAX).unwrap().into_iter().collect();
        assert!(content == undisturbed(mode).content_after, "{mode}");
    }
}

#[test]
fn a_large_commit_has_the_digest_of_the_same_state_in_small_pieces() {
    let place = Place::new();
    let store = place.open(HistoryMode::None).unwrap();
    prepare(&store);
    commit_large(&store).unwrap();
    let pieces = MvccStore::in_memory(config(HistoryMode::None));
    for (key, value) in state(&store) {
        let mut txn = pieces.begin();
        txn.write(&key, &value).unwrap();
        txn.commit().unwrap();
    }
    commit(pieces.begin(), 1).unwrap();
    assert_eq!(store.last_block().unwrap().digest, pieces.last_block().unwrap().digest);
}

/// Fails after so many batches, and is opened anew: the same as if the process had ended there.
#[test]
fn a_large_commit_that_is_interrupted_anywhere_is_there_whole_or_not_at_all() {
    for mode in MODES {
        let whole = undisturbed(mode);
        let marker = whole.durabilities.iter().position(|one| *one == Durability::Synced).unwrap();
        for spared in 0..=whole.durabilities.len() {
            let place = Place::new();
            let store = place.open(mode).unwrap();
            prepare(&store);
            place.panel.spare_writes(spared as u64);
            place.panel.fail_writes(Some(Effect::NotApplied));
            let outcome = commit_large(&store);
            let is_there = spared > marker;
            assert_eq!(outcome.is_ok(), is_there, "{mode} {spared}");
            let (expected, last) = match is_there {
                true => (&whole.after, whole.last.next()),
                false => (&whole.before, whole.last),
            };
            readers_see(&store, expected, last);
            let (copy, _dir) = copy_with_snapshots(&place);
            assert!(
                state_as_of(&History::new(copy.clone()).unwrap().latest().unwrap()) == *expected
            );
            for (storage, fails) in [(copy, false), (place.storage(), true)] {
                if fails {
                    interrupted_recovery(&place, mode);
                }
                place.panel.fail_writes(None);
                let store = MvccStore::open(storage.clone(), config(mode)).unwrap();
                readers_see(&store, expected, last);
                let content: BTreeMap<_, _> =
                    storage.scan(b"", usize::MAX).unwrap().into_iter().collect();
                let expected = if is_there { &whole.content_after } else { &whole.content_before };
                assert!(content == *expected, "{mode} {spared}");
                assert_eq!(put(&store, &[("more", "1")]), last.next());
            }
        }
    }
}

/// In memory and on the backend, also in the middle of the commit.
fn readers_see(store: &MvccStore, expected: &State, last: Version) {
    assert_eq!(store.last_version(), last);
    assert!(state(store) == *expected);
    let history = History::new(store.storage().unwrap().clone()).unwrap();
    assert_eq!(history.meta().unwrap().last_version, last);
    assert!(state_as_of(&history.latest().unwrap()) == *expected);
    for key in expected.keys() {
        let newest = history.versions(key).unwrap().into_iter().next().unwrap();
        assert_eq!((newest.value.as_ref(), newest.superseded_at), (expected.get(key), None));
    }
}

/// Opens again and again, each time with one batch more until it fails; the last time nothing fails.
fn interrupted_recovery(place: &Place, mode: HistoryMode) {
    for spared in 0..1000 {
        place.panel.spare_writes(spared % 3);
        place.panel.fail_writes(Some(Effect::NotApplied));
        match place.open(mode) {
            Ok(_) => return,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Io),
        }
    }
    panic!("the recovery does not come to its end");
}

#[test]
fn what_a_large_commit_replaced_can_be_read_in_the_middle_of_it() {
    let place = Place::new();
    let store = place.open(HistoryMode::Archive).unwrap();
    prepare(&store);
    let history = History::new(store.storage().unwrap().clone()).unwrap();
    let versions: Vec<_> = (0..=store.last_version().0).map(Version).collect();
    let past = |history: &History| -> Vec<State> {
        let as_of = |version| state_as_of(&history.as_of(version).unwrap());
        versions.iter().copied().map(as_of).collect()
    };
    let before = past(&history);
    for spared in [1, 3, 6] {
        place.panel.spare_writes(spared);
        place.panel.fail_writes(Some(Effect::NotApplied));
        commit_large(&place.open(HistoryMode::Archive).unwrap_or_else(|_| store.clone()))
            .unwrap_err();
        assert!(past(&history) == before);
        let (copy, _dir) = copy_with_snapshots(&place);
        assert!(past(&History::new(copy).unwrap()) == before);
        place.panel.fail_writes(None);
    }
}

#[test]
fn a_failed_part_publishes_nothing_and_fails_what_is_behind_it() {
    let place = Place::new();
    let store = place.open(HistoryMode::None).unwrap();
    prepare(&store);
    let (before, last) = (state(&store), store.last_version());
    let commits = store.metrics().commits;
    thread::scope(|scope| {
        let gate = place.panel.hold_writes();
        let store = &store;
        let large = scope.spawn(move || kind(commit_large(store)));
        eventually("the large one has its version", || store.metrics().commits == commits + 1);
        let small = scope.spawn(move || {
            let mut txn = store.begin();
            write(&mut txn, "small", "1");
            kind(txn.commit())
        });
        eventually("the small one has its version", || store.metrics().commits == commits + 2);
        place.panel.spare_writes(3);
        place.panel.fail_writes(Some(Effect::NotApplied));
        drop(gate);
        assert_eq!(large.join().unwrap(), ErrorKind::Io);
        assert_eq!(small.join().unwrap(), ErrorKind::Poisoned);
    });
    assert_eq!(store.last_version(), last);
    store.gc();
    store.evict();
    assert!(state(&store) == before);
}

#[test]
fn commits_beside_a_large_one_come_before_or_after_all_of_it() {
    for overlaps in [false, true] {
        let place = Place::new();
        let storage = place.storage_with(&format!("concurrent_flush = {overlaps}"));
        let store = MvccStore::open(storage, config(HistoryMode::None)).unwrap();
        prepare(&store);
        let (last, commits) = (store.last_version().0, store.metrics().commits);
        place.panel.take_written();
        thread::scope(|scope| {
            let gate = place.panel.hold_writes();
            let store = &store;
            let small = |name: &'static str, nth| {
                scope.spawn(move || put(store, &[(name, "1")]));
                eventually("it has its version", || store.metrics().commits == commits + nth);
            };
            small("before", 1);
            scope.spawn(move || commit(change(store), last + 9).unwrap());
            eventually("it has its version", || store.metrics().commits == commits + 2);
            small("after", 3);
            small("after that", 4);
            drop(gate);
        });
        assert_eq!(store.last_version(), Version(last + 4));
        let names = ["before", "after", "after that"];
        assert!(names.iter().all(|name| latest(&store, name).is_some()));
        let written = place.panel.take_written();
        assert!(written.len() > 8, "{written:?}");
        let store = place.open(HistoryMode::None).unwrap();
        assert_eq!(store.last_version(), Version(last + 4));
        let content = place.panel.content();
        assert_eq!((of_area(&content, Area::History), of_area(&content, Area::ChangeLog)), (0, 0));
    }
}

#[test]
fn garbage_collection_and_eviction_keep_what_a_large_commit_needs() {
    let place = Place::new();
    let store = place.open(HistoryMode::Archive).unwrap();
    prepare(&store);
    let commits = store.metrics().commits;
    let before = state(&store);
    thread::scope(|scope| {
        let gate = place.panel.hold_writes();
        let store = &store;
        scope.spawn(move || commit_large(store).unwrap());
        eventually("it has its version", || store.metrics().commits == commits + 1);
        store.gc();
        store.evict();
        assert!(state(store) == before);
        drop(gate);
    });
    let history = History::new(store.storage().unwrap().clone()).unwrap();
    let version = Version(store.last_version().0 - 1);
    assert!(state_as_of(&history.as_of(version).unwrap()) == before);
    store.evict();
    assert_eq!(state(&store).len(), state_as_of(&history.latest().unwrap()).len());
}

#[test]
fn a_commit_above_its_bound_is_refused_and_leaves_nothing() {
    let bounds = CommitBounds { commit_bytes_max: 16 << 10, ..config(HistoryMode::None).bounds };
    let config = MvccConfig { bounds, gc: GcConfig::default(), ..config(HistoryMode::None) };
    let place = Place::new();
    let store = MvccStore::open(place.storage(), config).unwrap();
    prepare(&store);
    let (before, last) = (state(&store), store.last_version());
    let refused = commit_large(&store).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BatchTooLarge);
    assert!(refused.message().contains("at most 16384 bytes"), "{refused}");
    assert_eq!((store.last_version(), state(&store) == before), (last, true));
    assert_eq!(entries(&mut store.begin(), KeyRange::ALL, Direction::Forward, 1).len(), 1);
    assert_eq!(put(&store, &[("more", "1")]), last.next());
}

/// The digest that a storage keeps ends with the first change of a store that keeps none, also when
/// that change is written in parts.
#[test]
fn a_large_commit_without_a_digest_ends_the_one_that_is_kept() {
    let place = Place::new();
    prepare(&place.open(HistoryMode::None).unwrap());
    let without = MvccConfig { digest: false, ..config(HistoryMode::None) };
    let store = MvccStore::open(place.storage(), without).unwrap();
    commit_large(&store).unwrap();
    drop(store);
    let store = place.open(HistoryMode::None).unwrap();
    let other = Place::new();
    let undisturbed = other.open(HistoryMode::None).unwrap();
    prepare(&undisturbed);
    commit_large(&undisturbed).unwrap();
    for store in [&store, &undisturbed] {
        let mut txn = store.begin();
        txn.write(b"end", b"1").unwrap();
        commit(txn, 1_000).unwrap();
    }
    let digest = |store: &MvccStore| store.last_block().unwrap().digest;
    assert_eq!(digest(&store), digest(&undisturbed));
}
