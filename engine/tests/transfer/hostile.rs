//! Files that are cut, changed, or made to do harm.

use crate::Rule;
use crate::files::export_to;
use crate::support::{archive, kind, names, open, place, text};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::Path;
use supervm_engine::transfer::{ExportAt, ImportOptions, ImportReport, import, verify};
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{ErrorKind, Result};

pub(crate) const RULES: &[Rule] = &[
    ("a_cut_file_is_refused_with_the_chunk_and_leaves_nothing", cut),
    ("a_changed_file_is_refused_and_leaves_nothing", changed),
    ("chunks_that_were_moved_left_out_or_added_are_refused", moved),
    ("a_chunk_that_unpacks_to_more_than_it_says_is_refused", bomb),
    ("what_no_store_has_is_refused_although_every_hash_is_right", forged),
    ("bytes_that_are_no_file_are_refused_before_anything_is_made", no_file),
];

fn exported(plugin: &Plugin, dir: &Path) -> Vec<u8> {
    let source = dir.join("source");
    archive(plugin, &source);
    let storage = open(plugin, &source);
    let file = dir.join("file");
    export_to(&storage, ExportAt::Latest, &file).unwrap();
    storage.close().unwrap();
    drop(storage);
    fs::read(file).unwrap()
}

fn import_bytes(plugin: &Plugin, dir: &Path, bytes: &[u8]) -> Result<ImportReport> {
    let file = dir.join("hostile");
    fs::write(&file, bytes).unwrap();
    import(&file, place(plugin, &dir.join("target")), &ImportOptions::default(), &mut |_| {})
}

fn check_refused(plugin: &Plugin, dir: &Path, bytes: &[u8], what: &str) -> String {
    let refused = import_bytes(plugin, dir, bytes);
    assert_eq!(kind(&refused), ErrorKind::Corruption, "{what}: {refused:?}");
    assert!(!dir.join("target").exists(), "{what}: nothing is left");
    let left = names(dir);
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
    text(&refused)
}

/// A file taken apart: header, chunks, trailer.
fn parts(bytes: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>, Vec<u8>) {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    let mut at = 16 + word(12) + 32;
    let (header, mut chunks) = (bytes[..at].to_vec(), Vec::new());
    while &bytes[at..at + 4] == b"SVCH" {
        let end = at + 64 + word(at + 24);
        chunks.push(bytes[at..end].to_vec());
        at = end;
    }
    (header, chunks, bytes[at..].to_vec())
}

/// A chunk with right hashes, whatever is in it.
fn chunk(kind: u32, number: u64, entries: u32, raw_bytes: u32, packed: &[u8]) -> Vec<u8> {
    let mut bytes = b"SVCH".to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    for word in [entries, raw_bytes, packed.len() as u32, 0] {
        bytes.extend(word.to_le_bytes());
    }
    let hash = Sha256::new().chain_update(&bytes).chain_update(packed).finalize();
    bytes.extend(hash);
    bytes.extend(packed);
    bytes
}

fn entry(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut bytes = (key.len() as u16).to_le_bytes().to_vec();
    bytes.extend((value.len() as u32).to_le_bytes());
    bytes.extend(key);
    bytes.extend(value);
    bytes
}

fn cut(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let bytes = exported(plugin, dir.path());
    let (header, chunks, _) = parts(&bytes);
    assert_eq!(chunks.len(), 2);
    let first_end = header.len() + chunks[0].len();
    for (at, number) in [
        (header.len(), 0),
        (header.len() + 3, 0),
        (header.len() + 63, 0),
        (first_end - 1, 0),
        (first_end, 1),
        (first_end + 70, 1),
        (bytes.len() - 40, 2),
        (bytes.len() - 1, 2),
    ] {
        let text = check_refused(plugin, dir.path(), &bytes[..at], &format!("cut at {at}"));
        assert!(text.contains("cut") && text.contains(&format!("chunk: {number}")), "{text}");
    }
    let text = check_refused(plugin, dir.path(), &[&bytes[..], b"x"].concat(), "longer");
    assert!(text.contains("after the trailer"), "{text}");
}

fn changed(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let bytes = exported(plugin, dir.path());
    let (header, chunks, _) = parts(&bytes);
    // The magic number and the format's version are of another kind of error.
    let step = bytes.len() / 40;
    for at in (12..bytes.len()).step_by(step) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        let text = check_refused(plugin, dir.path(), &changed, &format!("changed at {at}"));
        if at >= header.len() && at < header.len() + chunks[0].len() {
            assert!(text.contains("chunk: 0"), "{at}: {text}");
        }
        fs::write(dir.path().join("changed"), &changed).unwrap();
        let verified = verify(&dir.path().join("changed"), &mut |_| {});
        assert_eq!(kind(&verified), ErrorKind::Corruption, "changed at {at}");
    }
}

fn moved(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (header, chunks, trailer) = parts(&exported(plugin, dir.path()));
    let assembled = |chunks: &[&[u8]]| [&header, &chunks.concat()[..], &trailer].concat();
    let (first, second) = (&chunks[0][..], &chunks[1][..]);
    for (what, chunks) in [
        ("moved", vec![second, first]),
        ("the last one left out", vec![first]),
        ("the first one left out", vec![second]),
        ("all left out", vec![]),
        ("one twice", vec![first, first, second]),
    ] {
        check_refused(plugin, dir.path(), &assembled(&chunks), what);
    }
    // A right chunk of another file.
    let raw = entry(b"zzz", b"\0\0\0\0\0\0\0\x01forged");
    let packed = zstd::bulk::compress(&raw, 1).unwrap();
    let added = chunk(6, 2, 1, raw.len() as u32, &packed);
    check_refused(plugin, dir.path(), &assembled(&[first, second, &added]), "one added");
}

fn bomb(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (header, _, trailer) = parts(&exported(plugin, dir.path()));
    let zeros = zstd::bulk::compress(&vec![0; 256 << 20], 19).unwrap();
    assert!(zeros.len() < 100_000, "{}", zeros.len());
    for (what, raw_bytes) in [("too small", 1000), ("the most", 17 << 20)] {
        let bomb = chunk(1, 0, 1, raw_bytes, &zeros);
        let text =
            check_refused(plugin, dir.path(), &[&header, &bomb[..], &trailer].concat(), what);
        assert!(text.contains("does not decompress"), "{text}");
    }
    let bomb = chunk(1, 0, 1, u32::MAX, &zeros);
    let text = check_refused(plugin, dir.path(), &[&header, &bomb[..], &trailer].concat(), "more");
    assert!(text.contains("out of bounds"), "{text}");
    let bomb = chunk(1, 0, 1, 1000, &[0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3]);
    check_refused(plugin, dir.path(), &[&header, &bomb[..], &trailer].concat(), "no frame");
}

fn forged(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (header, _, trailer) = parts(&exported(plugin, dir.path()));
    let version = |version: u64| [&version.to_be_bytes()[..], b"value"].concat();
    let (good, late, zero) = (version(1), version(u64::MAX), version(0));
    let address = [7; 20];
    let code = entry(&address, b"not its code");
    for (what, kind, entries, raw) in [
        ("a version after the state's", 1, 1, entry(b"key", &late)),
        ("version 0", 1, 1, entry(b"key", &zero)),
        ("a value without a version", 1, 1, entry(b"key", b"short")),
        ("the empty key", 1, 1, entry(b"", &good)),
        ("a key that is too long", 1, 1, entry(&[b'k'; 433], &good)),
        ("keys out of order", 1, 2, [entry(b"b", &good), entry(b"a", &good)].concat()),
        ("a key twice", 1, 2, [entry(b"a", &good), entry(b"a", &good)].concat()),
        ("another count", 1, 2, entry(b"key-that-is-long", &good)),
        ("a contract at another's address", 6, 1, code),
        ("changes in a state", 2, 1, entry(b"deleted-key", b"")),
        ("no kind", 9, 1, entry(b"key", &good)),
    ] {
        let packed = zstd::bulk::compress(&raw, 1).unwrap();
        let forged = chunk(kind, 0, entries, raw.len() as u32, &packed);
        let bytes = [&header, &forged[..], &trailer].concat();
        let text = check_refused(plugin, dir.path(), &bytes, what);
        assert!(text.contains("chunk: 0"), "{what}: {text}");
    }
}

fn no_file(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let mut newer = exported(plugin, dir.path());
    newer[8] = 3;
    for bytes in [&newer[..], b"PK\x03\x04 some archive of something else"] {
        let refused = import_bytes(plugin, dir.path(), bytes);
        assert_eq!(kind(&refused), ErrorKind::FormatMismatch);
        assert!(!dir.path().join("target").exists());
    }
    check_refused(plugin, dir.path(), b"", "nothing");
}
