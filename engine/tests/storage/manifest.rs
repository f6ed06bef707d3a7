//! Data directories and their manifests (clause 28).

use crate::{config, kind, open, open_with};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use supervm_engine::config::{CHAIN_ID_MAX, StorageConfig};
use supervm_engine::storage::{
    FORMAT_VERSION, MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest, STORE_DIR, Storage,
};
use supervm_plugin_sdk::{Error, ErrorKind, LOCK_FILE, OpenMode, Result};

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

fn plain(dir: &Path, options: &[&str]) -> Result<Storage> {
    let options = options.iter().map(|option| ((*option).to_owned(), true.into())).collect();
    open_with("plain", &StorageConfig { options, ..config(dir) }, OpenMode::Create)
}

/// A data directory of `memory` with one key.
fn made(dir: &Path) {
    let storage = open("memory", dir).unwrap();
    storage.set(b"a", b"1").unwrap();
    storage.close().unwrap();
}

fn refused(dir: &Path) -> Error {
    open("memory", dir).unwrap_err()
}

#[test]
fn the_first_opening_writes_down_whose_data_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig { chain_id: CHAIN_ID_MAX, ..config(&dir.path().join("new/data")) };
    let storage = open_with("memory", &config, OpenMode::Create).unwrap();
    let manifest = Manifest::read(&config.dir).unwrap().unwrap();
    assert_eq!(&manifest, storage.manifest());
    assert_eq!((&*manifest.backend, manifest.chain_id), ("memory", CHAIN_ID_MAX));
    assert_eq!((manifest.format_version, manifest.contract_version), (FORMAT_VERSION, 1));
    assert!(!manifest.plugin_version.is_empty() && manifest.created_seconds > 1_700_000_000);
    assert!(config.dir.join(STORE_DIR).is_dir());
    let large = StorageConfig { chain_id: CHAIN_ID_MAX + 1, ..config };
    assert_eq!(kind(open_with("memory", &large, OpenMode::Create)), ErrorKind::InvalidArgument);
}

#[test]
fn another_backend_or_chain_is_refused_by_name_and_the_data_stays() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let error = open("plain", dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FormatMismatch);
    assert!(error.message().contains("\"memory\"") && error.message().contains("\"plain\""));
    let other = StorageConfig { chain_id: 8, ..config(dir.path()) };
    let error = open_with("memory", &other, OpenMode::Create).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FormatMismatch);
    assert!(error.message().contains("chain 0") && error.message().contains("chain 8"), "{error}");
    let storage = open("memory", dir.path()).unwrap();
    assert_eq!(storage.get(b"a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn a_damaged_manifest_is_corruption_naming_the_file() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let path = dir.path().join(MANIFEST_FILE);
    let sound = fs::read(&path).unwrap();
    // Without its last byte, a line break, it is still whole.
    for length in 0..sound.len() - 1 {
        fs::write(&path, &sound[..length]).unwrap();
        let error = refused(dir.path());
        assert_eq!(error.kind(), ErrorKind::Corruption, "cut after {length}: {error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let with_zero = String::from_utf8(sound.clone()).unwrap();
    let with_zero =
        with_zero.replace(&format!("format_version = {FORMAT_VERSION}"), "format_version = 0");
    let large = vec![b'#'; MANIFEST_BYTES_MAX as usize + 1];
    for damaged in [with_zero.as_bytes(), b"\xff\xfe", b"unknown = 1\n", &large] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(refused(dir.path()).kind(), ErrorKind::Corruption);
    }
    fs::remove_file(&path).unwrap();
    let elsewhere = dir.path().join("elsewhere.toml");
    fs::write(&elsewhere, &sound).unwrap();
    symlink(&elsewhere, &path).unwrap();
    assert_eq!(refused(dir.path()).kind(), ErrorKind::Corruption, "a link");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_eq!(refused(dir.path()).kind(), ErrorKind::Corruption, "a directory");
    fs::remove_dir(&path).unwrap();
    fs::write(&path, &sound).unwrap();
    assert_eq!(open("memory", dir.path()).unwrap().get(b"a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn a_newer_format_is_refused_with_what_to_do_whatever_else_it_says() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let newer = format!(
        "format_version = {}\ncontract_version = 1\ncreated_by = \"7.1.0\"\nshards = 4\n",
        FORMAT_VERSION + 1
    );
    fs::write(dir.path().join(MANIFEST_FILE), newer).unwrap();
    let error = refused(dir.path());
    assert_eq!(error.kind(), ErrorKind::FormatMismatch);
    assert!(error.to_string().contains("7.1.0") && error.to_string().contains("later"), "{error}");
}

#[test]
fn an_earlier_format_is_refused_and_the_directory_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let path = dir.path().join(MANIFEST_FILE);
    let sound = fs::read_to_string(&path).unwrap();
    let earlier =
        sound.replace(&format!("format_version = {FORMAT_VERSION}"), "format_version = 1");
    fs::write(&path, &earlier).unwrap();
    let error = refused(dir.path());
    assert_eq!(error.kind(), ErrorKind::FormatMismatch);
    assert!(error.to_string().contains("earlier format"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), earlier);
    fs::write(&path, sound).unwrap();
    assert_eq!(open("memory", dir.path()).unwrap().get(b"a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn data_without_a_manifest_is_refused_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let path = dir.path().join(MANIFEST_FILE);
    let manifest = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    for backend in ["memory", "plain"] {
        let error = open(backend, dir.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::FormatMismatch);
        assert!(error.message().contains(MANIFEST_FILE), "{error}");
        assert!(!path.exists());
    }
    fs::write(&path, manifest).unwrap();
    assert_eq!(open("memory", dir.path()).unwrap().get(b"a").unwrap(), Some(b"1".to_vec()));
}

#[test]
fn whatever_a_killed_first_opening_leaves_is_opened() {
    let states: [fn(&Path); 5] = [
        |_| {},
        |dir| fs::write(dir.join(".supervm.toml.Xy12"), "backend = ").unwrap(),
        |dir| fs::remove_dir_all(dir.join(STORE_DIR)).unwrap(),
        |dir| {
            fs::remove_dir_all(dir.join(STORE_DIR)).unwrap();
            fs::create_dir(dir.join(STORE_DIR)).unwrap();
        },
        |dir| {
            fs::remove_dir_all(dir.join(STORE_DIR)).unwrap();
            fs::remove_file(dir.join(MANIFEST_FILE)).unwrap();
            fs::create_dir(dir.join(STORE_DIR)).unwrap();
            fs::write(dir.join(STORE_DIR).join(LOCK_FILE), "").unwrap();
        },
    ];
    for (index, state) in states.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        // The first two are from before the manifest, the others from after it.
        if index >= 2 {
            made(dir.path());
            fs::remove_file(dir.path().join("initialized")).unwrap();
        }
        state(dir.path());
        let storage = open("memory", dir.path()).unwrap();
        assert!(storage.scan(b"", 1).unwrap().is_empty(), "state {index}");
        assert_eq!(Manifest::read(dir.path()).unwrap().as_ref(), Some(storage.manifest()));
    }
}

#[test]
fn data_that_vanished_is_corruption_and_a_cleared_directory_is_free() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    fs::remove_dir_all(dir.path().join(STORE_DIR)).unwrap();
    let error = open("memory", dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    assert!(error.message().contains(STORE_DIR), "{error}");
    fs::remove_file(dir.path().join(MANIFEST_FILE)).unwrap();
    assert!(open("memory", dir.path()).unwrap().scan(b"", 1).unwrap().is_empty());
}

#[test]
fn a_failed_first_opening_binds_the_directory_to_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let error = plain(dir.path(), &["fail"]).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Io, "told to fail"));
    assert_eq!(Manifest::read(dir.path()).unwrap(), None);
    made(dir.path());
}

#[test]
fn a_failed_first_opening_that_left_data_keeps_its_manifest() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(kind(plain(dir.path(), &["fail", "litter"])), ErrorKind::Io);
    assert_eq!(refused(dir.path()).kind(), ErrorKind::FormatMismatch);
    plain(dir.path(), &[]).unwrap();
}

#[test]
fn a_failed_later_opening_keeps_the_manifest() {
    let dir = tempfile::tempdir().unwrap();
    plain(dir.path(), &[]).unwrap().close().unwrap();
    assert_eq!(kind(plain(dir.path(), &["fail"])), ErrorKind::Io);
    assert_eq!(Manifest::read(dir.path()).unwrap().unwrap().backend, "plain");
}

#[test]
fn a_manifest_that_is_taken_back_during_the_opening_is_written_again() {
    let dir = tempfile::tempdir().unwrap();
    for opening in ["first", "later"] {
        let storage = plain(dir.path(), &["unbind"]).unwrap();
        let manifest = Manifest::read(dir.path()).unwrap();
        assert_eq!(manifest.as_ref(), Some(storage.manifest()), "{opening} opening");
    }
}

#[test]
fn a_wrong_option_is_refused_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("data");
    let error = plain(&target, &["fial"]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.to_string().contains("fial") && error.to_string().contains("litter"), "{error}");
    assert!(!target.exists());
}

#[test]
fn expecting_or_reading_what_is_not_there_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    for mode in [OpenMode::MustExist, OpenMode::ReadOnly] {
        for path in [&missing, &dir.path().to_owned()] {
            let error = open_with("memory", &config(path), mode).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound);
            assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        }
    }
    assert!(is_empty(dir.path()));
}

#[test]
fn a_read_only_storage_reads_and_refuses_writes() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let storage = open_with("memory", &config(dir.path()), OpenMode::ReadOnly).unwrap();
    assert_eq!(storage.get(b"a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(kind(storage.set(b"a", b"2")), ErrorKind::ReadOnly);
}

#[test]
fn a_directory_that_is_open_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open("memory", dir.path()).unwrap();
    let error = refused(dir.path());
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    assert!(Manifest::read(dir.path()).unwrap().is_some());
    drop(storage);
    open("memory", dir.path()).unwrap();
}

#[test]
fn a_linked_directory_is_opened_and_a_link_to_nowhere_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().join("real"), dir.path().join("link"));
    symlink(&real, &link).unwrap();
    let error = refused(&link);
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.message().contains("symbolic link"), "{error}");
    assert!(!real.exists());
    fs::create_dir(&real).unwrap();
    made(&link);
    assert!(Manifest::read(&real).unwrap().is_some());
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let error = refused(Path::new("/sys/supervm-data"));
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("/sys/supervm-data"), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"mine").unwrap();
    let error = refused(&file);
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}
