//! Files whose hashes are all right, and whose content is not what it claims.

use crate::Rule;
use crate::files::export_to;
use crate::forger::{BLOCK, CONTRACT, Entry, Forged, OLD_VALUE, STATE};
use crate::support::{Chain, archive, kind, open, place, text};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use supervm_engine::history::History;
use supervm_engine::layout::{BLOCK_NUMBER_MAX, HistoryMode, TIMESTAMP_MAX, VERSION_MAX};
use supervm_engine::mvcc::{Block, MvccConfig, MvccStore};
use supervm_engine::storage::Digest;
use supervm_engine::transfer::{
    CHANGES_FILE, Expected, ExpectedBlock, ExportAt, ExportOptions, ImportOptions, ImportReport,
    ParentCheckpoint, RestoreOptions, RestoreReport, VerifiedFile, checkpoint_incremental, import,
    import_stream, restore, verify,
};
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{ErrorKind, Result};

pub(crate) const RULES: &[Rule] = &[
    ("a_forged_state_does_not_stand_under_the_digest_of_a_block_before_it", forged_state),
    ("numbers_past_their_bounds_are_refused", numbers),
    ("a_file_without_its_contracts_is_another_file", dropped_contracts),
    ("a_forged_link_is_refused_or_is_not_the_expected_one", links),
    ("a_file_that_is_not_the_expected_one_is_refused_and_leaves_nothing", expected_digest),
    ("an_expected_block_is_that_of_the_state_and_is_computed", expected_block),
    ("every_changed_field_is_refused_or_changes_the_snapshot_digest", every_field),
    ("a_file_that_unpacks_to_more_than_is_allowed_is_refused", expansion),
    ("a_file_that_announces_more_than_is_free_is_refused", no_room),
    ("a_file_of_the_first_format_is_refused_with_what_to_do", first_format),
    ("a_directory_with_numbers_past_their_bounds_is_refused", old_directory),
    ("no_commit_comes_after_the_last_version", last_version),
];

fn exported(plugin: &Plugin, dir: &Path, at: ExportAt) -> Forged {
    let source = dir.join("source");
    if !source.exists() {
        archive(plugin, &source);
    }
    let storage = open(plugin, &source);
    let file = dir.join("file");
    let _ = fs::remove_file(&file);
    export_to(&storage, at, &file).unwrap();
    storage.close().unwrap();
    drop(storage);
    let bytes = fs::read(&file).unwrap();
    let forged = Forged::of(&bytes);
    verify_bytes(dir, &forged).unwrap();
    forged
}

fn import_bytes(
    plugin: &Plugin,
    dir: &Path,
    forged: &Forged,
    options: &ImportOptions,
) -> Result<ImportReport> {
    let file = dir.join("forged");
    fs::write(&file, forged.to_bytes()).unwrap();
    import(&file, place(plugin, &dir.join("target")), options, &mut |_| {})
}

fn verify_bytes(dir: &Path, forged: &Forged) -> Result<VerifiedFile> {
    let file = dir.join("forged");
    fs::write(&file, forged.to_bytes()).unwrap();
    verify(&file, &mut |_| {})
}

fn forged_state(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(plugin, dir.path(), ExportAt::Block(4));
    let trusted = original.header["block"]["digest"].clone();
    assert_eq!(original.header["version"], 7);
    let forged = original.set("/version", 8).with_forged_state();
    let imported = import_bytes(plugin, dir.path(), &forged, &ImportOptions::default());
    assert_eq!(kind(&imported), ErrorKind::Corruption);
    assert!(text(&imported).contains("does not cover"), "{}", text(&imported));
    // Right in itself, it has another digest, and its block has none.
    let mut plain = forged;
    *plain.header.pointer_mut("/block/digest").unwrap() = Value::Null;
    import_bytes(plugin, dir.path(), &plain, &ImportOptions::default()).unwrap();
    let storage = open(plugin, &dir.path().join("target"));
    let block = History::new(storage).unwrap().block(4).unwrap().unwrap();
    assert_eq!(block.digest, [0; 32], "trusted is {trusted}");
}

fn numbers(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(plugin, dir.path(), ExportAt::Block(4));
    for (pointer, value) in
        [("/version", u64::MAX), ("/block/number", u64::MAX), ("/block/timestamp", u64::MAX)]
    {
        let forged = original.clone().set(pointer, value);
        let refused = import_bytes(plugin, dir.path(), &forged, &ImportOptions::default());
        assert_eq!(kind(&refused), ErrorKind::Corruption, "{pointer}");
    }
}

fn dropped_contracts(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(plugin, dir.path(), ExportAt::Block(4));
    let forged = original.clone().without(CONTRACT);
    let (first, second) = (verify_bytes(dir.path(), &original), verify_bytes(dir.path(), &forged));
    assert_ne!(first.unwrap().snapshot_digest, second.unwrap().snapshot_digest);
}

/// A full checkpoint after block 1, and a link to block 2.
struct Linked {
    dir: tempfile::TempDir,
    link: Forged,
    /// The link's snapshot digest.
    digest: Digest,
}

impl Linked {
    fn new(plugin: &Plugin) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let full = dir.path().join("full");
        let mut chain = Chain::new(plugin, &dir.path().join("source"), HistoryMode::Archive, true);
        chain.block(1);
        chain.storage.checkpoint(&full).unwrap();
        chain.block(2);
        let parent = ParentCheckpoint::Full(place(plugin, &full));
        let options = ExportOptions::default();
        let link = dir.path().join("link");
        let report =
            checkpoint_incremental(&chain.storage, parent, &link, &options, &mut |_| {}).unwrap();
        chain.close();
        let link = Forged::of(&fs::read(link.join(CHANGES_FILE)).unwrap());
        assert_eq!(link.snapshot_digest(), report.snapshot_digest.to_string());
        Self { dir, link, digest: report.snapshot_digest }
    }

    fn restore(
        &self,
        plugin: &Plugin,
        link: &Forged,
        options: &RestoreOptions,
    ) -> Result<RestoreReport> {
        let at = |name: &str| self.dir.path().join(name);
        fs::write(at("link").join(CHANGES_FILE), link.to_bytes()).unwrap();
        let (full, target) = (at("full"), at("target"));
        let base = place(plugin, &full);
        let restored = restore(base, &[&at("link")], place(plugin, &target), options, &mut |_| {});
        assert_eq!(target.exists(), restored.is_ok());
        restored
    }

    /// Is a forged link refused without an expected digest?
    fn check(&self, plugin: &Plugin, what: &str, link: &Forged) -> bool {
        let expect = Expected { digest: Some(self.digest), block: None };
        let expecting = RestoreOptions { expect, ..RestoreOptions::default() };
        let refused = self.restore(plugin, link, &expecting);
        assert_eq!(kind(&refused), ErrorKind::Corruption, "{what}: {refused:?}");
        let restored = self.restore(plugin, link, &RestoreOptions::default());
        if restored.is_ok() {
            fs::remove_dir_all(self.dir.path().join("target")).unwrap();
        }
        restored.is_err()
    }
}

/// A forged link, and whether it is refused by what it says alone.
type ForgedLink = (&'static str, bool, fn(Forged) -> Forged);

fn links(plugin: &Plugin) {
    let linked = Linked::new(plugin);
    let forgeries: [ForgedLink; 9] = [
        ("parent's block", true, |link| link.set("/parent/last_block", 77)),
        ("parent's digest", true, |link| link.set("/parent/state_digest", "00".repeat(32))),
        ("block", true, |link| link.set("/block/timestamp", 7)),
        ("history", false, |link| link.set("/history", json!({ "mode": "none" }))),
        ("set of contracts", true, |link| link.without(CONTRACT).without(CONTRACT + 1)),
        ("new contract", true, |link| link.without(CONTRACT)),
        ("new contract that nothing names", false, |mut link| {
            let position = link.entries.iter().position(|(kind, ..)| *kind == CONTRACT).unwrap();
            let (_, address, _) = link.entries.remove(position);
            link.entries.retain(|(_, key, _)| *key != address);
            link
        }),
        ("digest of a block", false, |mut link| {
            let block = link.entries.iter_mut().find(|(kind, ..)| *kind == BLOCK).unwrap();
            block.2[20] ^= 1;
            link
        }),
        ("past before the parent", true, |mut link| {
            let old = link.entries.iter_mut().find(|(kind, ..)| *kind == OLD_VALUE).unwrap();
            let at = old.1.len() - 8;
            old.1[at..].copy_from_slice(&1_u64.to_be_bytes());
            link
        }),
    ];
    for (what, is_refused, forge) in forgeries {
        let forged = forge(linked.link.clone());
        assert_eq!(linked.check(plugin, what, &forged), is_refused, "{what}");
    }
    let expect = Expected { digest: Some(linked.digest), block: None };
    let options = RestoreOptions { expect, ..RestoreOptions::default() };
    let small = RestoreOptions { bytes_max: 1_000, ..options };
    let refused = linked.restore(plugin, &linked.link, &small);
    assert_eq!(kind(&refused), ErrorKind::QuotaFull, "{refused:?}");
    let report = linked.restore(plugin, &linked.link, &options).unwrap();
    assert_eq!(report.snapshot_digest, Some(linked.digest.to_string()));
}

fn expected_digest(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(plugin, dir.path(), ExportAt::Block(4));
    let digest = verify_bytes(dir.path(), &original).unwrap().snapshot_digest;
    let expect = Expected { digest: Some(digest), block: None };
    let options = ImportOptions { expect, ..ImportOptions::default() };
    let forged = original.clone().without(CONTRACT);
    let refused = import_bytes(plugin, dir.path(), &forged, &options);
    assert_eq!(kind(&refused), ErrorKind::Corruption);
    assert!(text(&refused).contains("not the expected one"), "{}", text(&refused));
    assert!(!dir.path().join("target").exists(), "nothing is left");
    let report = import_bytes(plugin, dir.path(), &original, &options).unwrap();
    assert_eq!(report.snapshot_digest, digest);
}

fn expected_block(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(plugin, dir.path(), ExportAt::Block(4));
    let mut digest = [0; 32];
    let trusted = original.header["block"]["digest"].as_str().unwrap();
    hex::decode_to_slice(trusted, &mut digest).unwrap();
    let import_expecting = |number, digest, forged: &Forged| {
        let block = Some(ExpectedBlock { number, digest });
        let expect = Expected { digest: None, block };
        // The state digest is computed whatever the options say.
        let options = ImportOptions { expect, state_digest: false, ..ImportOptions::default() };
        import_bytes(plugin, dir.path(), forged, &options)
    };
    let mut other = original.clone();
    other.entries[0].2.push(b'x');
    let later = Forged {
        header: exported(plugin, dir.path(), ExportAt::Latest).header,
        ..original.clone()
    };
    assert!(later.header["block"]["digest"].is_null(), "no block's digest covers it");
    for (what, refused) in [
        ("another number", import_expecting(3, digest, &original)),
        ("another digest", import_expecting(4, [7; 32], &original)),
        ("another state", import_expecting(4, digest, &other)),
        ("a later version", import_expecting(5, digest, &later)),
    ] {
        assert_eq!(kind(&refused), ErrorKind::Corruption, "{what}: {refused:?}");
        assert!(!dir.path().join("target").exists(), "{what}");
    }
    import_expecting(4, digest, &original).unwrap();
}

/// What nothing in a state follows from, and a reader ignores.
const ABOUT_THE_WRITER: [&str; 3] = ["/backend", "/entries_about", "/written_by"];

/// Every value in a JSON object, as a path, and others in its place.
fn mutations(value: &Value, path: &str, found: &mut Vec<(String, Value)>) {
    let mut put = |other: Value| found.push((path.to_owned(), other));
    match value {
        Value::Null => {
            put(json!(7));
            put("07".repeat(32).into());
            put(json!({ "mode": "archive" }));
        }
        Value::Number(number) => {
            let number = number.as_u64().unwrap();
            put((number + 1).into());
            put(number.saturating_sub(1).into());
            put(u64::MAX.into());
            put(Value::Null);
        }
        Value::String(text) => {
            put(format!("{}{}", &text[..text.len() - 1], "0").into());
            put("00".repeat(32).into());
            put(Value::Null);
        }
        Value::Object(object) => {
            if !path.is_empty() {
                put(Value::Null);
            }
            object.iter().for_each(|(name, value)| {
                mutations(value, &format!("{path}/{name}"), found);
            });
        }
        _ => unreachable!("a file has none"),
    }
}

/// `original` with one thing changed at a time.
fn mutants(original: &Forged) -> Vec<(String, Forged)> {
    let mut changed = Vec::new();
    let mut found = Vec::new();
    mutations(&original.header, "", &mut found);
    for (path, value) in found {
        changed.push((format!("header {path} {value}"), original.clone().set(&path, value)));
    }
    let bytes = original.to_bytes();
    let mut found = Vec::new();
    mutations(&Forged::trailer_of(&bytes), "", &mut found);
    for (path, value) in found {
        let mut other = original.clone();
        let what = format!("trailer {path} {value}");
        other.trailer.push((path, value));
        changed.push((what, other));
    }
    for position in 0..original.entries.len() {
        let mut edit = |what: &str, edit: &dyn Fn(&mut Entry)| {
            let mut other = original.clone();
            edit(&mut other.entries[position]);
            changed.push((format!("entry {position} {what}"), other));
        };
        edit("kind", &|entry| entry.0 = entry.0 % 7 + 1);
        edit("key", &|entry| *entry.1.last_mut().unwrap() ^= 1);
        edit("longer key", &|entry| entry.1.push(0));
        edit("version", &|entry| entry.2.iter_mut().take(8).skip(7).for_each(|byte| *byte ^= 1));
        edit("value", &|entry| entry.2.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1));
        edit("longer value", &|entry| entry.2.push(0));
        let mut without = original.clone();
        without.entries.remove(position);
        changed.push((format!("entry {position} left out"), without));
    }
    changed.push(("smaller chunks".to_owned(), Forged { chunk_bytes: 100, ..original.clone() }));
    changed.retain(|(_, other)| other.to_bytes() != bytes);
    changed
}

/// With right hashes, every change is refused or has another digest.
fn every_field(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let state = exported(plugin, dir.path(), ExportAt::Block(1));
    let changes = Linked::new(plugin).link;
    for original in [state, changes] {
        let digest = verify_bytes(dir.path(), &original).unwrap().snapshot_digest;
        assert_eq!(digest.to_string(), original.snapshot_digest(), "as the page says");
        let mutants = mutants(&original);
        assert!(mutants.len() > 200, "{}", mutants.len());
        let mut passed = 0;
        for (what, mutant) in mutants {
            let Ok(verified) = verify_bytes(dir.path(), &mutant) else { continue };
            passed += 1;
            let is_about_the_writer =
                ABOUT_THE_WRITER.iter().any(|path| what.starts_with(&format!("header {path} ")));
            assert_eq!(verified.snapshot_digest == digest, is_about_the_writer, "{what}");
        }
        assert!(passed > 10, "some are right in themselves: {passed}");
    }
}

/// A small file that unpacks to much, under right hashes.
fn expansion(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let mut original = exported(plugin, dir.path(), ExportAt::Block(1));
    let version = 1_u64.to_be_bytes();
    for index in 0..8_u8 {
        let value = [&version[..], &vec![0; 15 << 20]].concat();
        original.entries.push((STATE, vec![0xff, index], value));
    }
    original.entries.sort();
    let digest = original.state_digest();
    let bomb = original.set("/state_digest", digest.clone()).set("/block/digest", digest);
    assert!(bomb.to_bytes().len() < 20_000, "{}", bomb.to_bytes().len());
    let options = ImportOptions { bytes_max: 64 << 20, ..ImportOptions::default() };
    let refused = import_bytes(plugin, dir.path(), &bomb, &options);
    assert_eq!(kind(&refused), ErrorKind::QuotaFull);
    assert!(text(&refused).contains("67108864"), "{}", text(&refused));
    assert!(!dir.path().join("target").exists(), "nothing is written");
    // A stream announces nothing: it is refused at the chunk that passes the limit.
    let target = dir.path().join("target");
    let refused = import_stream(
        &mut &bomb.to_bytes()[..],
        "import of a stream",
        place(plugin, &target),
        &options,
        &mut |_| {},
    );
    assert_eq!(kind(&refused), ErrorKind::QuotaFull);
    assert!(!target.exists(), "nothing is left");
}

/// A file that announces more than the disk has: only chunk headers are looked at before.
fn no_room(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(plugin, dir.path(), ExportAt::Block(1)).to_bytes();
    let disk = rustix::fs::statvfs(dir.path()).unwrap();
    let free = disk.f_bavail * disk.f_frsize;
    let raw_bytes = 17_000_000_u32;
    let (header, trailer) = Forged::ends_of(&original);
    let mut bytes = header;
    for number in 0..free / u64::from(raw_bytes) + 1_000 {
        bytes.extend(b"SVCH");
        bytes.extend(STATE.to_le_bytes());
        bytes.extend(number.to_le_bytes());
        for word in [1, raw_bytes, 1, 0] {
            bytes.extend(word.to_le_bytes());
        }
        bytes.extend([0; 33]);
    }
    bytes.extend(trailer);
    let (file, target) = (dir.path().join("announcing"), dir.path().join("target"));
    fs::write(&file, bytes).unwrap();
    let options = ImportOptions { bytes_max: u64::MAX, ..ImportOptions::default() };
    let refused = import(&file, place(plugin, &target), &options, &mut |_| {});
    assert_eq!(kind(&refused), ErrorKind::NoSpace, "{refused:?}");
    assert!(text(&refused).contains("are free"), "{}", text(&refused));
    assert!(!target.exists(), "nothing is written");
}

fn first_format(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(plugin, dir.path(), ExportAt::Block(4));
    let first = Forged { format: 1, ..original };
    let refused = import_bytes(plugin, dir.path(), &first, &ImportOptions::default());
    assert_eq!(kind(&refused), ErrorKind::FormatMismatch);
    assert!(text(&refused).contains("export the state again"), "{}", text(&refused));
}

/// A directory that an older build made of a forged file is refused when it is opened.
fn old_directory(plugin: &Plugin) {
    for (key, what) in [("m/last_version", "version"), ("m/block", "block"), ("m/floor", "floor")] {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("source");
        archive(plugin, &source);
        let storage = open(plugin, &source);
        storage.set(key.as_bytes(), &u64::MAX.to_be_bytes()).unwrap();
        let refused = MvccStore::open(storage, MvccConfig::default());
        assert_eq!(kind(&refused), ErrorKind::Corruption, "{what}");
        assert!(text(&refused).contains(key), "{}", text(&refused));
    }
}

fn last_version(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let original = exported(plugin, dir.path(), ExportAt::Block(4));
    let digest = original.state_digest();
    let mut last = original.set("/version", VERSION_MAX.0).set("/state_digest", digest);
    *last.header.pointer_mut("/block/digest").unwrap() = Value::Null;
    import_bytes(plugin, dir.path(), &last, &ImportOptions::default()).unwrap();
    let store =
        MvccStore::open(open(plugin, &dir.path().join("target")), MvccConfig::default()).unwrap();
    let mut txn = store.begin();
    txn.write(b"key", b"value").unwrap();
    let refused = txn.commit();
    assert_eq!(kind(&refused), ErrorKind::QuotaFull);
    assert_eq!(kind(&store.set_history_mode(HistoryMode::Archive)), ErrorKind::QuotaFull);
    for block in [
        Block { number: BLOCK_NUMBER_MAX + 1, timestamp: 1 << 40 },
        Block { number: 9, timestamp: TIMESTAMP_MAX + 1 },
    ] {
        assert_eq!(kind(&store.check_block(block)), ErrorKind::InvalidArgument);
    }
}
