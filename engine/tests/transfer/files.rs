//! Snapshot files that are right.

use crate::Rule;
use crate::support::{
    CHAIN_ID, Chain, archive, digest, kind, large, names, open, past, place, text, try_open,
};
use std::fs;
use std::path::Path;
use supervm_engine::config::ExecutionConfig;
use supervm_engine::history::{History, PruneOptions, PruneTarget};
use supervm_engine::layout::{HistoryMode, Meta, Version};
use supervm_engine::mvcc::{MvccConfig, MvccStore};
use supervm_engine::runtime::Runtime;
use supervm_engine::storage::{Storage, UNFINISHED_FILE};
use supervm_engine::transfer::{
    ExportAt, ExportOptions, ExportReport, ImportOptions, Phase, Resumed, export, export_stream,
    import, import_stream, inspect, verify,
};
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{ErrorKind, OpenMode, Result};

pub(crate) const RULES: &[Rule] = &[
    ("a_state_is_exported_as_of_any_block_and_version", as_of),
    ("a_contract_that_was_deployed_after_the_version_is_left_out", later_contracts),
    ("an_imported_directory_has_the_facts_of_the_state", facts),
    ("a_file_that_was_written_half_is_gone_on_with_after_its_last_whole_chunk", going_on),
    ("a_state_that_cannot_be_read_any_more_is_not_gone_on_with", beginning_anew),
    ("a_stream_is_exported_and_imported", streaming),
    ("what_is_in_the_way_is_refused_and_untouched", in_the_way),
    ("an_empty_state_is_exported_and_imported", empty),
    ("an_unfinished_directory_is_no_nodes", unfinished_directory),
    ("a_state_without_a_state_digest_is_checked_by_its_full_one", without_state_digest),
    ("a_state_imported_without_its_digest_gets_it_when_a_store_keeps_one", no_digest_wanted),
    ("a_file_reads_with_a_reader_of_its_own", own_reader),
];

pub(crate) fn export_to(storage: &Storage, at: ExportAt, file: &Path) -> Result<ExportReport> {
    export(storage, at, file, &ExportOptions::default(), &mut |_| {})
}

fn as_of(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    archive(plugin, &source);
    let expected = past(plugin, &source);
    let storage = open(plugin, &source);
    for (version, digest) in &expected {
        let file = dir.path().join(format!("at-{version}"));
        let report = export_to(&storage, ExportAt::Version(*version), &file).unwrap();
        assert_eq!(report.full_digest.to_string(), *digest, "at {version}");
        let verified = verify(&file, &mut |_| {}).unwrap();
        assert_eq!((verified.id, verified.counts), (report.id, report.counts));
        assert_eq!(inspect(&file).unwrap(), report.header);
        assert_eq!(report.file_bytes, file.metadata().unwrap().len());
    }
    let file = dir.path().join("block-3");
    let report = export_to(&storage, ExportAt::Block(3), &file).unwrap();
    assert_eq!(report.header.version, Version(5));
    assert_eq!(report.header.block.unwrap().number, 3);
    assert!(report.header.state_digest.is_some());
    for wrong in [ExportAt::Block(6), ExportAt::Version(Version(11))] {
        let refused = export_to(&storage, wrong, &dir.path().join("wrong"));
        assert_eq!(kind(&refused), ErrorKind::InvalidArgument, "{wrong:?}");
    }
    let pruned = PruneTarget::Block(3);
    let history = History::new(storage.clone()).unwrap();
    history.prune(pruned, PruneOptions::default(), &mut |_| {}).unwrap();
    let refused = export_to(&storage, ExportAt::Block(2), &dir.path().join("wrong"));
    assert_eq!(kind(&refused), ErrorKind::VersionPruned);
    let left = names(dir.path());
    assert!(left.iter().all(|name| !name.contains("wrong")), "{left:?}");
}

fn later_contracts(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(plugin, &dir.path().join("source"));
    let config = MvccConfig { history: Some(HistoryMode::Archive), ..MvccConfig::default() };
    let store = MvccStore::open(storage.clone(), config).unwrap();
    let runtime = Runtime::over(store.clone(), &[], &ExecutionConfig::default()).unwrap();
    let deploy = |name: &str| {
        let module = runtime.module(format!("(module (func (export \"{name}\")))").as_bytes());
        assert!(runtime.deploy(&module.unwrap()).unwrap());
    };
    for name in ["first", "second", "third"] {
        deploy(name);
        let mut txn = store.begin();
        txn.write(b"key", name.as_bytes()).unwrap();
        txn.commit().unwrap();
    }
    // One that a build deployed which recorded no version.
    let wasm = b"of an older build";
    let address = [b"a/", &<sha2::Sha256 as sha2::Digest>::digest(wasm)[..20]].concat();
    storage.set(&address, wasm).unwrap();
    let code = |storage: &Storage, at| {
        let mut out = Vec::new();
        let options = ExportOptions::default();
        let report = export_stream(storage, at, &mut out, &options, &mut |_| {}).unwrap();
        (report.counts.code, out)
    };
    // Each was deployed when the version before was the newest.
    for (version, contracts) in [(0, 2), (1, 3), (2, 4), (3, 4)] {
        let (found, _) = code(&storage, ExportAt::Version(Version(version)));
        assert_eq!(found, contracts, "at version {version}");
    }
    storage.delete(&address).unwrap();
    let (_, file) = code(&storage, ExportAt::Version(Version(1)));
    let copy = dir.path().join("copy");
    let options = ImportOptions::default();
    import_stream(&mut &file[..], "test", place(plugin, &copy), &options, &mut |_| {}).unwrap();
    let copy = open(plugin, &copy);
    assert_eq!(code(&copy, ExportAt::Latest).0, 2);
    copy.close().unwrap();
}

fn facts(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, target, file) =
        (dir.path().join("source"), dir.path().join("target"), dir.path().join("file"));
    archive(plugin, &source);
    let storage = open(plugin, &source);
    // Version 6 is after block 3, without a block of its own: its digest is not known before it is computed.
    let at = ExportAt::Block(4);
    let report = export_to(&storage, at, &file).unwrap();
    let expected = History::new(storage.clone()).unwrap().as_of_block(4).unwrap();
    let options = ImportOptions { history: HistoryMode::Archive, ..ImportOptions::default() };
    let wrong = ImportOptions { chain_id: Some(CHAIN_ID + 1), ..options };
    let refused = import(&file, place(plugin, &target), &wrong, &mut |_| {});
    assert_eq!(kind(&refused), ErrorKind::InvalidArgument);
    assert!(!target.exists());
    let options = ImportOptions { chain_id: Some(CHAIN_ID), ..options };
    let mut phases = Vec::new();
    import(&file, place(plugin, &target), &options, &mut |progress| phases.push(progress.phase))
        .unwrap();
    phases.dedup();
    assert_eq!(phases, [Phase::Copying, Phase::Verifying, Phase::Flushing]);
    let imported = open(plugin, &target);
    let meta = Meta::read(&imported).unwrap();
    assert_eq!((meta.last_version, meta.floor), (Version(7), Version(7)));
    assert_eq!((meta.last_block, meta.history), (Some(4), HistoryMode::Archive));
    assert_eq!(meta.accumulator, expected.accumulator().unwrap().to_bytes());
    let history = History::new(imported.clone()).unwrap();
    assert_eq!(history.block(4).unwrap(), report.header.block.map(Into::into));
    assert_eq!(history.latest().unwrap().digest().unwrap(), report.full_digest);
    let found = history.latest().unwrap().get_versioned(b"between").unwrap().unwrap();
    assert_eq!(found, (Version(6), 3_u64.to_be_bytes().to_vec()), "each value has its version");
    assert_eq!(kind(&history.as_of(Version(6))), ErrorKind::VersionPruned);
    assert_eq!(imported.scan(b"a/", 9).unwrap().len(), 5, "contracts");
    assert_eq!(imported.scan(b"m/transfer", 9).unwrap().len(), 0);
}

/// What a killed export leaves: a part of the file under its temporary name.
fn leave_half(storage: &Storage, dir: &Path, at: ExportAt, cut: f64) -> u64 {
    let whole = dir.join("whole");
    export_to(storage, at, &whole).unwrap();
    let bytes = fs::read(&whole).unwrap();
    fs::remove_file(&whole).unwrap();
    let cut = (bytes.len() as f64 * cut) as usize;
    fs::write(dir.join(".file.partial"), &bytes[..cut]).unwrap();
    cut as u64
}

fn going_on(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, file) = (dir.path().join("source"), dir.path().join("file"));
    large(plugin, &source);
    let storage = open(plugin, &source);
    let whole = export_to(&storage, ExportAt::Latest, &dir.path().join("other")).unwrap();
    for cut in [0.0, 0.000_001, 0.3, 0.71, 0.999_999, 1.0] {
        let bytes = leave_half(&storage, dir.path(), ExportAt::Latest, cut);
        let report = export_to(&storage, ExportAt::Latest, &file).unwrap();
        match (&report.resumed, bytes) {
            (Resumed::Fresh, 0) | (Resumed::BeganAnew { .. }, 1..300) => {}
            (Resumed::Resumed { entries }, _) => {
                let part = *entries as f64 / whole.counts.entries() as f64;
                assert!((part - cut).abs() < 0.1, "{part} of {cut}");
            }
            unexpected => panic!("{unexpected:?} at {cut}"),
        }
        assert_eq!((report.id, report.counts), (whole.id, whole.counts), "the same file at {cut}");
        assert_eq!(verify(&file, &mut |_| {}).unwrap().id, whole.id);
        fs::remove_file(&file).unwrap();
    }
    // A damaged chunk ends the whole part; what follows it is written anew.
    leave_half(&storage, dir.path(), ExportAt::Latest, 0.9);
    let partial = dir.path().join(".file.partial");
    let mut bytes = fs::read(&partial).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&partial, bytes).unwrap();
    assert_eq!(export_to(&storage, ExportAt::Latest, &file).unwrap().id, whole.id);
}

fn beginning_anew(plugin: &Plugin) {
    for (mode, goes_on) in [(HistoryMode::Archive, true), (HistoryMode::None, false)] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let mut chain = Chain::new(plugin, &dir.path().join("source"), mode, true);
        for block in 1..=3 {
            chain.commit(&[(vec![7, block], Some(vec![block; 3 << 20]))], Some(u64::from(block)));
        }
        leave_half(&chain.storage, dir.path(), ExportAt::Latest, 0.9);
        chain.commit(&[(vec![7, 1], None)], Some(4));
        let report = export_to(&chain.storage, ExportAt::Latest, &file).unwrap();
        match &report.resumed {
            Resumed::Resumed { .. } if goes_on => assert_eq!(report.header.version, Version(3)),
            Resumed::BeganAnew { reason } if !goes_on => {
                assert!(reason.contains("cannot be read any more"), "{reason}");
                assert_eq!(report.header.version, Version(4));
            }
            unexpected => panic!("{mode}: {unexpected:?}"),
        }
        verify(&file, &mut |_| {}).unwrap();
    }
}

fn streaming(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    archive(plugin, &source);
    let storage = open(plugin, &source);
    let mut bytes = Vec::new();
    let options = ExportOptions { level: 3, threads: 1 };
    let report =
        export_stream(&storage, ExportAt::Latest, &mut bytes, &options, &mut |_| {}).unwrap();
    let bad = ExportOptions { level: 23, ..options };
    let refused = export_stream(&storage, ExportAt::Latest, &mut Vec::new(), &bad, &mut |_| {});
    assert_eq!(kind(&refused), ErrorKind::InvalidArgument);
    let options = ImportOptions::default();
    let imported = import_stream(
        &mut &bytes[..],
        "import of a stream",
        place(plugin, &target),
        &options,
        &mut |_| {},
    )
    .unwrap();
    assert_eq!(imported.full_digest, report.full_digest);
}

fn in_the_way(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, file) = (dir.path().join("source"), dir.path().join("file"));
    archive(plugin, &source);
    let storage = open(plugin, &source);
    export_to(&storage, ExportAt::Latest, &file).unwrap();
    let before = fs::read(&file).unwrap();
    assert_eq!(kind(&export_to(&storage, ExportAt::Latest, &file)), ErrorKind::InvalidArgument);
    assert_eq!(fs::read(&file).unwrap(), before);
    let mine = dir.path().join("mine");
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("letter"), "dear").unwrap();
    let refused = import(&file, place(plugin, &mine), &ImportOptions::default(), &mut |_| {});
    assert_eq!(kind(&refused), ErrorKind::InvalidArgument);
    assert_eq!(names(&mine), ["letter"]);
    let refused = import(&file, place(plugin, &source), &ImportOptions::default(), &mut |_| {});
    assert_eq!(kind(&refused), ErrorKind::InvalidArgument, "a node's directory least of all");
}

fn empty(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (target, file) = (dir.path().join("target"), dir.path().join("file"));
    let storage = open(plugin, &dir.path().join("source"));
    let report = export_to(&storage, ExportAt::Latest, &file).unwrap();
    assert_eq!((report.counts.chunks, report.header.version), (0, Version::ZERO));
    import(&file, place(plugin, &target), &ImportOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(Meta::read(&open(plugin, &target)).unwrap(), Meta::default());
}

fn unfinished_directory(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, file) = (dir.path().join("source"), dir.path().join("file"));
    archive(plugin, &source);
    let storage = open(plugin, &source);
    export_to(&storage, ExportAt::Latest, &file).unwrap();
    storage.close().unwrap();
    drop(storage);
    let what = format!("import of {}", file.canonicalize().unwrap().display());
    fs::write(source.join(UNFINISHED_FILE), &what).unwrap();
    for mode in [OpenMode::Create, OpenMode::MustExist, OpenMode::ReadOnly] {
        let refused = try_open(plugin, &source, mode);
        assert_eq!(kind(&refused), ErrorKind::FormatMismatch);
        assert!(text(&refused).contains(&what), "{}", text(&refused));
    }
    // Another transfer does not take it over; the same one does, and begins anew since nothing says how far it had come.
    let other = dir.path().join("other");
    fs::copy(&file, &other).unwrap();
    let options = ImportOptions::default();
    let refused = import(&other, place(plugin, &source), &options, &mut |_| {});
    assert_eq!(kind(&refused), ErrorKind::InvalidArgument);
    let report = import(&file, place(plugin, &source), &options, &mut |_| {}).unwrap();
    assert!(matches!(report.resumed, Resumed::BeganAnew { .. }), "{:?}", report.resumed);
    assert_eq!(digest(plugin, &source), report.full_digest.to_string());
}

fn without_state_digest(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (target, file) = (dir.path().join("target"), dir.path().join("file"));
    let mut chain = Chain::new(plugin, &dir.path().join("source"), HistoryMode::None, false);
    (1..=3).for_each(|number| chain.block(number));
    let report = export_to(&chain.storage, ExportAt::Latest, &file).unwrap();
    assert_eq!(report.header.state_digest, None);
    import(&file, place(plugin, &target), &ImportOptions::default(), &mut |_| {}).unwrap();
    assert_eq!(digest(plugin, &target), report.full_digest.to_string());
    assert!(Meta::read(&open(plugin, &target)).unwrap().accumulator.is_empty());
}

fn no_digest_wanted(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (target, file) = (dir.path().join("target"), dir.path().join("file"));
    let mut chain = Chain::new(plugin, &dir.path().join("source"), HistoryMode::None, true);
    (1..=3).for_each(|number| chain.block(number));
    export_to(&chain.storage, ExportAt::Latest, &file).unwrap();
    let kept = Meta::read(&chain.storage).unwrap().accumulator;
    let options = ImportOptions { state_digest: false, ..ImportOptions::default() };
    import(&file, place(plugin, &target), &options, &mut |_| {}).unwrap();
    let storage = open(plugin, &target);
    assert!(Meta::read(&storage).unwrap().accumulator.is_empty());
    drop(MvccStore::open(storage.clone(), MvccConfig::default()).unwrap());
    assert!(Meta::read(&storage).unwrap().accumulator.is_empty(), "none is wanted");
    let config = MvccConfig { digest: true, ..MvccConfig::default() };
    drop(MvccStore::open(storage.clone(), config).unwrap());
    assert!(Meta::read(&storage).unwrap().accumulator == kept, "computed and kept");
}

/// Reads a file by what `docs/snapshot-format.md` says, and by nothing else.
fn own_reader(plugin: &Plugin) {
    use sha2::{Digest as _, Sha256};
    let dir = tempfile::tempdir().unwrap();
    let (source, file) = (dir.path().join("source"), dir.path().join("file"));
    archive(plugin, &source);
    let storage = open(plugin, &source);
    let report = export_to(&storage, ExportAt::Latest, &file).unwrap();
    let bytes = fs::read(&file).unwrap();
    let number = |at: usize, length: usize| {
        bytes[at..at + length].iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    };
    let sha256 = |from: usize, to: usize| -> Vec<u8> { Sha256::digest(&bytes[from..to]).to_vec() };
    assert_eq!(&bytes[..8], b"SVMSNAPS");
    assert_eq!(number(8, 4), 2);
    let mut at = 16 + number(12, 4);
    let header: serde_json::Value = serde_json::from_slice(&bytes[16..at]).unwrap();
    assert_eq!(header["chain_id"], CHAIN_ID);
    assert_eq!(sha256(0, at), bytes[at..at + 32]);
    let mut chain = bytes[at..at + 32].to_vec();
    at += 32;
    let (mut state, mut chunks) = (Sha256::new(), 0_u64);
    let mut content_hashes = Sha256::new();
    while &bytes[at..at + 4] == b"SVCH" {
        assert_eq!(number(at + 8, 8) as u64, chunks);
        let (entries, raw, packed) = (number(at + 16, 4), number(at + 20, 4), number(at + 24, 4));
        let content = &bytes[at + 64..at + 64 + packed];
        let hash = Sha256::new().chain_update(&bytes[at..at + 32]).chain_update(content).finalize();
        assert_eq!(hash[..], bytes[at + 32..at + 64]);
        chain = Sha256::new().chain_update(&chain).chain_update(hash).finalize().to_vec();
        let content = zstd::bulk::decompress(content, raw).unwrap();
        let hash = Sha256::new()
            .chain_update(&bytes[at + 4..at + 8])
            .chain_update(&bytes[at + 16..at + 20])
            .chain_update(&content)
            .finalize();
        content_hashes.update(hash);
        let (mut rest, mut found) = (&content[..], 0);
        while !rest.is_empty() {
            let key_bytes = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
            let value_bytes = u32::from_le_bytes([rest[2], rest[3], rest[4], rest[5]]) as usize;
            let (key, value) = rest[6..6 + key_bytes + value_bytes].split_at(key_bytes);
            if number(at + 4, 4) == 1 {
                // The digest is of the value without its version.
                state.update((key.len() as u32).to_le_bytes());
                state.update(key);
                state.update((value.len() as u32 - 8).to_le_bytes());
                state.update(&value[8..]);
            }
            rest = &rest[6 + key_bytes + value_bytes..];
            found += 1;
        }
        assert_eq!(found, entries);
        chunks += 1;
        at += 64 + packed;
    }
    assert_eq!(&bytes[at..at + 4], b"SVTR");
    let end = at + 8 + number(at + 4, 4);
    let trailer: serde_json::Value = serde_json::from_slice(&bytes[at + 8..end]).unwrap();
    assert_eq!(sha256(at, end), bytes[end..], "and nothing comes after");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(trailer["chain"], hex(&chain));
    let full_digest = state.finalize();
    assert_eq!(trailer["full_digest"], hex(&full_digest));
    let mut facts = b"SuperVM snapshot\x02\0\0\0\x01\0\0\0".to_vec();
    let put_number = |value: &serde_json::Value, facts: &mut Vec<u8>| {
        facts.extend(value.as_u64().unwrap().to_le_bytes());
    };
    put_number(&header["chain_id"], &mut facts);
    put_number(&header["version"], &mut facts);
    facts.push(1);
    for name in ["number", "version", "timestamp"] {
        put_number(&header["block"][name], &mut facts);
    }
    // The newest state has a commit after its block, so no block's digest covers it.
    assert!(header["block"]["digest"].is_null());
    facts.push(0);
    facts.push(1);
    facts.extend(hex::decode(header["state_digest"].as_str().unwrap()).unwrap());
    facts.extend([0, 0]);
    facts.extend(full_digest);
    facts.extend(chunks.to_le_bytes());
    facts.extend(content_hashes.finalize());
    assert_eq!(trailer["snapshot_digest"], hex(&Sha256::digest(facts)));
    assert_eq!(trailer["snapshot_digest"], report.snapshot_digest.to_string());
    assert_eq!(trailer["full_digest"], report.full_digest.to_string());
    assert_eq!(hex(&report.id), hex(&bytes[end..]));
}
