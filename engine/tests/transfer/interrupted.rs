//! Storages in the middle of a commit of several batches, as a crash leaves them, or a checkpoint beside the commit.

use crate::Rule;
use crate::support::{CHAIN_ID, Chain, digest, find, kind, open, past, place, text, try_open};
use supervm_engine::history::History;
use supervm_engine::layout::{
    HistoryMode, Version, history_key, latest_key, put_changed_keys, put_record,
};
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_engine::storage::{Entry, Storage};
use supervm_engine::transfer::{
    ExportAt, ExportOptions, ParentCheckpoint, RestoreOptions, checkpoint_incremental, convert,
    diff, export, restore, verify,
};
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{Capability, Durability, ErrorKind, OpenMode, WriteBatch};

pub(crate) const RULES: &[Rule] = &[
    ("the_middle_of_a_commit_is_read_as_the_version_before_or_refused", reading),
    ("a_copy_of_the_middle_of_a_commit_is_rolled_back", copying),
];

/// What a commit of `version` has written before its marker: one key is changed, one deleted, one made, and one not reached.
fn begin_commit(storage: &Storage, version: Version) {
    let (mut batch, mut stored, mut record) = (WriteBatch::new(), Vec::new(), Vec::new());
    let keys: [&[u8]; 4] = [b"between", b"key-0021", b"made", b"key-0022"];
    put_changed_keys(&mut batch, version, keys);
    for key in &keys[..3] {
        latest_key(key, &mut stored);
        if let Some(old) = storage.get(&stored).unwrap() {
            let mut replaced = Vec::new();
            history_key(key, version, &mut replaced);
            batch.put(&replaced, &old);
        }
        if *key == b"key-0021" {
            batch.delete(&stored);
        } else {
            put_record(version, b"of the next version", &mut record);
            batch.put(&stored, &record);
        }
    }
    storage.write(&batch, Durability::Buffered).unwrap();
}

fn content(storage: &Storage) -> Vec<Entry> {
    storage.scan(b"", usize::MAX).unwrap()
}

fn latest_digest(storage: &Storage) -> String {
    let history = History::new(storage.clone()).unwrap();
    history.latest().unwrap().digest().unwrap().to_string()
}

fn config() -> MvccConfig {
    MvccConfig { digest: true, ..MvccConfig::default() }
}

fn reading(plugin: &Plugin) {
    assert_ne!(CHAIN_ID, 0);
    for mode in [HistoryMode::None, HistoryMode::Archive] {
        let dir = tempfile::tempdir().unwrap();
        let mut chain = Chain::new(plugin, &dir.path().join("source"), mode, true);
        (1..=3).for_each(|number| chain.block(number));
        let full = dir.path().join("full");
        chain.storage.checkpoint(&full).unwrap();
        chain.block(4);
        let (before, expected) = (content(&chain.storage), latest_digest(&chain.storage));
        begin_commit(&chain.storage, chain.version.next());
        assert!(content(&chain.storage) != before);

        assert_eq!(latest_digest(&chain.storage), expected);
        let file = dir.path().join("file");
        let options = ExportOptions::default();
        let exported = export(&chain.storage, ExportAt::Latest, &file, &options, &mut |_| {});
        assert_eq!(exported.unwrap().full_digest.to_string(), expected);
        assert_eq!(verify(&file, &mut |_| {}).unwrap().full_digest.to_string(), expected);
        let compared = diff(&chain.storage, &chain.storage, &mut |_| Ok(()));
        assert_eq!(kind(&compared), ErrorKind::Busy);
        assert!(text(&compared).contains("commit anything to the directory"));
        if mode.keeps_old_values() {
            let parent = ParentCheckpoint::at(place(plugin, &full));
            let link = dir.path().join("link");
            let taken =
                checkpoint_incremental(&chain.storage, parent, &link, &options, &mut |_| {});
            assert_eq!(kind(&taken), ErrorKind::Busy);
            assert!(!link.exists());
        }
        // The roll-back leaves what was there before.
        let store = MvccStore::open(chain.storage.clone(), config()).unwrap();
        assert_eq!(store.last_version(), chain.version);
        assert!(content(&chain.storage) == before, "{mode}");
    }
}

fn copying(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, middle) = (dir.path().join("source"), dir.path().join("middle"));
    let (converted, restored) = (dir.path().join("converted"), dir.path().join("restored"));
    let mut chain = Chain::new(plugin, &source, HistoryMode::Archive, true);
    (1..=3).for_each(|number| chain.block(number));
    let before = content(&chain.storage);
    begin_commit(&chain.storage, chain.version.next());
    chain.storage.checkpoint(&middle).unwrap();
    chain.close();
    let expected = past(plugin, &source);

    let other = find("memory").unwrap();
    convert(place(plugin, &source), place(&other, &converted), &mut |_| {}).unwrap();
    let options = RestoreOptions::default();
    restore(place(plugin, &middle), &[], place(plugin, &restored), &options, &mut |_| {}).unwrap();
    let declared = plugin.descriptor().capabilities.unwrap_or_default();
    if declared.has(Capability::ReadOnlyOpen) {
        let read_only = try_open(plugin, &middle, OpenMode::ReadOnly).unwrap();
        let refused = MvccStore::open(read_only.clone(), MvccConfig::default());
        assert_eq!(kind(&refused), ErrorKind::ReadOnly);
        assert!(text(&refused).contains("open the directory for writing once"));
        read_only.close().unwrap();
    }
    for (plugin, dir) in [(&other, &converted), (plugin, &restored), (plugin, &middle)] {
        assert_eq!(past(plugin, dir), expected);
        let storage = try_open(plugin, dir, OpenMode::MustExist).unwrap();
        let store = MvccStore::open(storage.clone(), config()).unwrap();
        assert!(content(&storage) == before);
        drop(store);
        storage.close().unwrap();
        drop(storage);
        assert_eq!(digest(plugin, dir), expected.last().unwrap().1);
    }
    // Where a checkpoint was made beside the commit, it is no parent before it is rolled back.
    let storage = open(plugin, &restored);
    let fresh = dir.path().join("fresh");
    begin_commit(
        &storage,
        History::new(storage.clone()).unwrap().meta().unwrap().last_version.next(),
    );
    storage.checkpoint(&fresh).unwrap();
    MvccStore::open(storage.clone(), config()).unwrap();
    let parent = ParentCheckpoint::at(place(plugin, &fresh));
    let link = dir.path().join("link");
    let options = ExportOptions::default();
    let taken = checkpoint_incremental(&storage, parent, &link, &options, &mut |_| {});
    assert_eq!(kind(&taken), ErrorKind::Busy);
}
