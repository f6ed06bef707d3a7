//! From each backend to each other.

use crate::PairRule;
use crate::support::{archive, digest, files, find, names, open, past, place};
use supervm_engine::layout::Version;
use supervm_engine::storage::unfinished;
use supervm_engine::transfer::{
    ExportAt, ExportOptions, ImportOptions, Place, Resumed, convert, export, import,
};
use supervm_plugin_sdk::OpenMode;
use supervm_plugin_sdk::load::Plugin;

pub(crate) const RULES: &[PairRule] = &[
    ("a_converted_directory_has_the_whole_past_and_the_source_is_not_touched", converting),
    ("an_imported_state_is_the_exported_one", importing),
    ("equal_states_have_equal_snapshot_digests", equal_states),
];

fn equal_states(from: &Plugin, to: &Plugin) {
    let digests = |plugin: &Plugin, level, threads| {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        archive(plugin, &source);
        let storage = open(plugin, &source);
        [ExportAt::Block(2), ExportAt::Latest].map(|at| {
            let file = dir.path().join(format!("{at:?}"));
            let options = ExportOptions { level, threads };
            let report = export(&storage, at, &file, &options, &mut |_| {}).unwrap();
            assert_eq!(report.header.backend, plugin.descriptor().name);
            (report.snapshot_digest, report.id)
        })
    };
    let (first, second) = (digests(from, 1, 1), digests(to, 19, 3));
    for (first, second) in first.iter().zip(&second) {
        assert_eq!(first.0, second.0);
        assert_ne!(first.1, second.1, "the files differ");
    }
    assert_ne!(first[0].0, first[1].0, "and so do their states");
}

fn converting(from: &Plugin, to: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    archive(from, &source);
    let before = files(&source);
    let mut calls = 0;
    let report = convert(place(from, &source), place(to, &target), &mut |_| calls += 1).unwrap();
    assert!(calls > 2, "{calls}");
    assert_eq!(report.resumed, Resumed::Fresh);
    assert_eq!(report.to, to.descriptor().name);
    assert_eq!(files(&source), before, "not a byte of the source changed");
    assert_eq!(names(dir.path()), ["source", "target"], "nothing is left beside them");
    assert_eq!(unfinished(&target).unwrap(), None);
    let past_of_target = past(to, &target);
    assert_eq!(past_of_target.len(), 11);
    assert_eq!(past_of_target, past(from, &source));
    let open = |plugin, dir| crate::support::try_open(plugin, dir, OpenMode::MustExist).unwrap();
    let (first, second) = (open(from, &source), open(to, &target));
    assert_eq!(first.digest().unwrap(), second.digest().unwrap(), "meta and contracts too");
    assert_eq!(first.digest().unwrap(), report.digest);
}

fn importing(from: &Plugin, to: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    archive(from, &source);
    let file = dir.path().join("state");
    let storage = crate::support::open(from, &source);
    let exported =
        export(&storage, ExportAt::Latest, &file, &ExportOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(exported.header.version, Version(10));
    storage.close().unwrap();
    drop(storage);
    let report = import(&file, place(to, &target), &ImportOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(report.full_digest, exported.full_digest);
    assert_eq!(report.header.backend, from.descriptor().name);
    assert_eq!(digest(to, &target), digest(from, &source));
}

/// Not of a pair: LevelDB does so, and not every time.
pub(crate) fn lingering_copy() {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    let (plain, memory) = (find("plain").unwrap(), find("memory").unwrap());
    open(&plain, &source).close().unwrap();
    let options = toml::toml! { lingers = true };
    let lingering = Place { options: &options, ..place(&plain, &source) };
    convert(lingering, place(&memory, &target), &mut |_| {}).unwrap();
    assert_eq!(names(dir.path()), ["source", "target"]);
}
