//! Two openers of one new directory.

use crate::{config, open, open_with};
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use supervm_engine::config::StorageConfig;
use supervm_engine::storage::{Manifest, Storage};
use supervm_plugin_sdk::{ErrorKind, OpenMode, Result};

const ROUNDS: usize = 60;

/// Runs both at the same moment.
fn race<A: Send, B: Send>(
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        let first = scope.spawn(|| {
            barrier.wait();
            first()
        });
        barrier.wait();
        let second = second();
        (first.join().unwrap(), second)
    })
}

#[test]
fn of_two_backends_one_gets_the_directory() {
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let (memory, plain) = race(|| open("memory", dir.path()), || open("plain", dir.path()));
        let manifest = Manifest::read(dir.path()).unwrap().unwrap();
        let (winner, loser) = match (memory, plain) {
            (Ok(storage), Err(error)) | (Err(error), Ok(storage)) => (storage, error),
            both => panic!("expected one winner: {both:?}"),
        };
        assert_eq!(&manifest, winner.manifest());
        assert_eq!(loser.kind(), ErrorKind::FormatMismatch, "{loser}");
    }
}

#[test]
fn of_two_openers_of_one_backend_one_gets_the_directory_and_the_other_is_locked_out() {
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let outcomes = race(|| open("memory", dir.path()), || open("memory", dir.path()));
        let loser = match outcomes {
            (Ok(_), Err(error)) | (Err(error), Ok(_)) => error,
            both => panic!("expected one winner: {both:?}"),
        };
        assert_eq!(loser.kind(), ErrorKind::Locked, "{loser}");
    }
}

#[test]
fn openers_that_fail_do_not_take_the_manifest_of_one_that_succeeds() {
    for _ in 0..ROUNDS {
        let dir = tempfile::tempdir().unwrap();
        let opened = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !opened.load(Ordering::SeqCst) {
                        assert!(open_failing(dir.path()).is_err());
                    }
                });
            }
            let storage = open_patiently(dir.path());
            let manifest = Manifest::read(dir.path());
            opened.store(true, Ordering::SeqCst);
            assert_eq!(manifest.unwrap().as_ref(), Some(storage.unwrap().manifest()));
        });
    }
}

fn open_failing(dir: &Path) -> Result<Storage> {
    let options = [("fail".to_owned(), true.into())].into_iter().collect();
    open_with("plain", &StorageConfig { options, ..config(dir) }, OpenMode::Create)
}

/// Tries again while another opener has the directory's lock.
fn open_patiently(dir: &Path) -> Result<Storage> {
    loop {
        match open("plain", dir) {
            Err(error) if error.kind() == ErrorKind::Locked => thread::yield_now(),
            outcome => return outcome,
        }
    }
}
