//! Incremental checkpoints and what is restored out of them.

use crate::Rule;
use crate::support::{Chain, find, kind, names, open, past, place, text};
use std::fs;
use std::path::{Path, PathBuf};
use supervm_engine::history::{History, PruneOptions, PruneTarget};
use supervm_engine::layout::HistoryMode;
use supervm_engine::storage::Storage;
use supervm_engine::transfer::{
    CHANGES_FILE, ExportOptions, IncrementalReport, ParentCheckpoint, RestoreOptions,
    RestoreReport, checkpoint_incremental, checkpoint_within, restore, verify,
};
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{ErrorKind, Result};

pub(crate) const RULES: &[Rule] = &[
    ("a_restored_chain_of_checkpoints_has_the_whole_past", restoring),
    ("a_chain_without_state_digests_is_checked_by_full_ones", without_state_digests),
    ("a_changed_link_is_refused_and_nothing_is_left", tampering),
    ("a_link_that_is_left_out_or_exchanged_is_refused", exchanging),
    ("changes_that_are_not_known_are_refused", unknown),
    ("a_checkpoint_in_little_memory_has_the_same_bytes", little_memory),
];

/// A full checkpoint at block 2 and incremental ones after blocks 3, 4 and 5.
struct Checkpoints {
    dir: tempfile::TempDir,
    links: Vec<PathBuf>,
}

impl Checkpoints {
    fn new(plugin: &Plugin, mode: HistoryMode, has_digest: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut chain = Chain::new(plugin, &dir.path().join("source"), mode, has_digest);
        chain.block(1);
        chain.block(2);
        let full = dir.path().join("full");
        chain.storage.checkpoint(&full).unwrap();
        let mut links: Vec<PathBuf> = Vec::new();
        for number in 3..=5 {
            chain.block(number);
            let link = dir.path().join(format!("link-{number}"));
            let parent = links.last().unwrap_or(&full);
            let report = take(plugin, &chain.storage, parent, &link).unwrap();
            assert_eq!(report.counts.code, 1, "only the new contract");
            assert_eq!(report.counts.code_index, number);
            assert_eq!(names(&link), [CHANGES_FILE]);
            links.push(link);
        }
        chain.close();
        Self { dir, links }
    }

    fn restore(&self, plugin: &Plugin, links: &[&Path]) -> Result<RestoreReport> {
        let full = self.dir.path().join("full");
        let target = self.dir.path().join("restored");
        restore(
            place(plugin, &full),
            links,
            place(plugin, &target),
            &RestoreOptions::default(),
            &mut |_| {},
        )
    }

    fn all(&self) -> Vec<&Path> {
        self.links.iter().map(PathBuf::as_path).collect()
    }

    fn check_refused(&self, plugin: &Plugin, links: &[&Path], expected: ErrorKind) -> String {
        let refused = self.restore(plugin, links);
        assert_eq!(kind(&refused), expected, "{refused:?}");
        let left = names(self.dir.path());
        assert_eq!(left, ["full", "link-3", "link-4", "link-5", "source"], "nothing is left");
        text(&refused)
    }
}

fn take(
    plugin: &Plugin,
    storage: &Storage,
    parent: &Path,
    dir: &Path,
) -> Result<IncrementalReport> {
    let parent = ParentCheckpoint::at(place(plugin, parent));
    checkpoint_incremental(storage, parent, dir, &ExportOptions::default(), &mut |_| {})
}

fn restoring(plugin: &Plugin) {
    let checkpoints = Checkpoints::new(plugin, HistoryMode::Archive, true);
    let dir = checkpoints.dir.path();
    let source = past(plugin, &dir.join("source"));
    assert_eq!(source.len(), 11);
    let report = checkpoints.restore(plugin, &checkpoints.all()).unwrap();
    assert_eq!((report.version.0, report.last_block, report.links), (10, Some(5), 3));
    assert_eq!(past(plugin, &dir.join("restored")), source);
    let (first, second) = (open(plugin, &dir.join("source")), open(plugin, &dir.join("restored")));
    assert_eq!(first.digest().unwrap(), second.digest().unwrap(), "everything, meta too");
    // Up to a link in the middle, and into another backend.
    let memory = find("memory").unwrap();
    let (full, target) = (dir.join("full"), dir.join("middle"));
    let links = &checkpoints.all()[..2];
    restore(
        place(plugin, &full),
        links,
        place(&memory, &target),
        &RestoreOptions::default(),
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(past(&memory, &target), source[..9]);
    let alone = dir.join("alone");
    restore(
        place(plugin, &full),
        &[],
        place(plugin, &alone),
        &RestoreOptions::default(),
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(past(plugin, &alone), source[..5]);
}

fn without_state_digests(plugin: &Plugin) {
    let mode = HistoryMode::Window { blocks: 100 };
    let checkpoints = Checkpoints::new(plugin, mode, false);
    let report = checkpoints.restore(plugin, &checkpoints.all()).unwrap();
    assert_eq!(report.state_digest, None);
    let dir = checkpoints.dir.path();
    assert_eq!(past(plugin, &dir.join("restored")), past(plugin, &dir.join("source")));
}

fn tampering(plugin: &Plugin) {
    let checkpoints = Checkpoints::new(plugin, HistoryMode::Archive, true);
    let file = checkpoints.links[1].join(CHANGES_FILE);
    let bytes = fs::read(&file).unwrap();
    for at in (12..bytes.len()).step_by(bytes.len() / 9) {
        let mut changed = bytes.clone();
        changed[at] ^= 4;
        fs::write(&file, changed).unwrap();
        assert_eq!(kind(&verify(&file, &mut |_| {})), ErrorKind::Corruption);
        checkpoints.check_refused(plugin, &checkpoints.all(), ErrorKind::Corruption);
    }
    fs::write(&file, &bytes).unwrap();
    // One value of the full checkpoint.
    let full = open(plugin, &checkpoints.dir.path().join("full"));
    let stored = b"c/between";
    let mut value = full.get(stored).unwrap().unwrap();
    *value.last_mut().unwrap() ^= 1;
    full.set(stored, &value).unwrap();
    full.close().unwrap();
    drop(full);
    let text = checkpoints.check_refused(plugin, &checkpoints.all(), ErrorKind::Corruption);
    assert!(text.contains("full checkpoint"), "{text}");
}

fn exchanging(plugin: &Plugin) {
    let checkpoints = Checkpoints::new(plugin, HistoryMode::Archive, true);
    let [first, second, third] = checkpoints.all()[..] else { panic!("three links") };
    for links in [&[second][..], &[first, third], &[second, first, third], &[first, first]] {
        checkpoints.check_refused(plugin, links, ErrorKind::InvalidArgument);
    }
    // Right in itself, and of another history with the same versions.
    let other = Checkpoints::new(plugin, HistoryMode::Archive, false);
    let links = [first, &other.links[1], &other.links[2]];
    checkpoints.check_refused(plugin, &links, ErrorKind::InvalidArgument);
    let target = checkpoints.dir.path().join("source");
    let full = checkpoints.dir.path().join("full");
    let refused = restore(
        place(plugin, &full),
        &[],
        place(plugin, &target),
        &RestoreOptions::default(),
        &mut |_| {},
    );
    assert_eq!(kind(&refused), ErrorKind::InvalidArgument, "something is in the way");
}

fn unknown(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let full = dir.path().join("full");
    let link = dir.path().join("link");
    let mut chain = Chain::new(plugin, &dir.path().join("source"), HistoryMode::Archive, true);
    chain.block(1);
    chain.storage.checkpoint(&full).unwrap();
    (2..=4).for_each(|number| chain.block(number));
    let history = History::new(chain.storage.clone()).unwrap();
    history.prune(PruneTarget::Block(3), PruneOptions::default(), &mut |_| {}).unwrap();
    let refused = take(plugin, &chain.storage, &full, &link);
    assert_eq!(kind(&refused), ErrorKind::VersionPruned);
    history.set_mode(HistoryMode::None).unwrap();
    let refused = take(plugin, &chain.storage, &full, &link);
    assert_eq!(kind(&refused), ErrorKind::Unsupported);
    let newer = dir.path().join("newer");
    chain.storage.checkpoint(&newer).unwrap();
    let old = Chain::new(plugin, &dir.path().join("old"), HistoryMode::Archive, true);
    let refused = take(plugin, &old.storage, &newer, &link);
    assert_eq!(kind(&refused), ErrorKind::InvalidArgument);
    let refused = take(plugin, &old.storage, &dir.path().join("nowhere"), &link);
    assert_eq!(kind(&refused), ErrorKind::NotFound);
    let left = names(dir.path());
    assert!(left.iter().all(|name| !name.contains("link")), "{left:?}");
}

fn little_memory(plugin: &Plugin) {
    for has_digest in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        let mut chain = Chain::new(plugin, &source, HistoryMode::Archive, has_digest);
        chain.block(1);
        let full = dir.path().join("full");
        chain.storage.checkpoint(&full).unwrap();
        (2..=5).for_each(|number| chain.block(number));
        let usual = dir.path().join("usual");
        let report = take(plugin, &chain.storage, &full, &usual).unwrap();
        assert!(report.counts.deleted > 1, "{:?}", report.counts);
        let expected = fs::read(usual.join(CHANGES_FILE)).unwrap();
        for keys_bytes_max in [0, 1_000] {
            let parent = ParentCheckpoint::at(place(plugin, &full));
            let options = ExportOptions::default();
            let little = dir.path().join(format!("little-{keys_bytes_max}"));
            let storage = &chain.storage;
            checkpoint_within(storage, parent, &little, &options, keys_bytes_max, &mut |_| {})
                .unwrap();
            assert!(fs::read(little.join(CHANGES_FILE)).unwrap() == expected, "{keys_bytes_max}");
        }
        chain.close();
    }
}
