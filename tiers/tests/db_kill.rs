//! `supervm db prune`, `convert`, `export` and `import` killed at random moments and run again: they finish, and the digests are right.
//!
//! `SUPERVM_KILL_ROUNDS` sets the rounds for each command (default 6), `SUPERVM_KILL_KEYS` the size of the chain (default 20,000;
//! 200,000 make transfers of several batches), `SUPERVM_KILL_SEED` replays the moments of a run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::Place;
use common::chain::Chain;
use common::chance::{Moments, number};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Kills of one command before it is left to finish.
const KILLS_MAX: u32 = 3;

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn remove(path: &Path) {
    if path.is_dir() {
        std::fs::remove_dir_all(path).unwrap();
    } else if path.exists() {
        std::fs::remove_file(path).unwrap();
    }
}

/// Kills `arguments` some times, lets it finish, and has `check` look at what it came to; `reset` makes the place as it was.
///
/// `is_done` tells of a run that was killed after its work, which another run is not to repeat.
fn survives_kills(
    place: &Place,
    arguments: &[&str],
    reset: impl Fn(),
    is_done: impl Fn() -> bool,
    check: impl Fn(&serde_json::Value),
) {
    let mut random = Moments::new();
    reset();
    let started = Instant::now();
    check(&place.json(arguments));
    let whole = started.elapsed();
    let mut killed = 0;
    for round in 0..number("SUPERVM_KILL_ROUNDS", 6) {
        reset();
        for _ in 0..KILLS_MAX {
            let moment = whole.mul_f64(random.fraction());
            let mut command = place.command(arguments);
            let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(moment.max(Duration::from_millis(1)));
            child.kill().unwrap();
            let status = child.wait().unwrap();
            let is_killed = status.code().is_none();
            assert!(is_killed || status.success(), "round {round}: the command failed by itself");
            if status.success() || is_done() {
                reset();
            } else {
                killed += 1;
            }
        }
        check(&place.json(arguments));
    }
    assert!(killed > 0, "no run was killed");
}

/// Is the data directory one that was made and finished?
fn is_whole(dir: &Path) -> bool {
    dir.join("supervm.toml").exists() && !dir.join("unfinished").exists()
}

fn chain(backend: &str) -> Place {
    let place = Place::new();
    let chain = Chain { keys: number("SUPERVM_KILL_KEYS", 20_000), blocks: 20 };
    chain.load(backend, &place.path().join("source"), chain.blocks);
    place
}

#[test]
fn a_killed_prune_is_finished_by_the_next_one() {
    for backend in ["lmdb", "sqlite"] {
        let place = chain(backend);
        let at = |dir, block: &str| {
            place.run(&["db", "digest", "--backend", backend, "--dir", dir, "--at-block", block])
        };
        let expected: Vec<_> = ["18", "20"].map(|block| at("source", block).stdout).into();
        let raw = |dir| place.run(&["db", "digest", "--raw", "--backend", backend, "--dir", dir]);
        let pruned_raw = std::cell::OnceCell::new();
        let arguments =
            ["db", "prune", "--before-block", "18", "--backend", backend, "--dir", "pruned"];
        survives_kills(
            &place,
            &arguments,
            || {
                remove(&place.path().join("pruned"));
                copy_dir(&place.path().join("source"), &place.path().join("pruned"));
            },
            || false,
            |report| {
                assert_eq!(report["oldest_version"], 18);
                let found: Vec<_> = ["18", "20"].map(|block| at("pruned", block).stdout).into();
                assert_eq!(found, expected, "{backend}");
                assert_eq!(at("pruned", "17").code, 1);
                // What a pruning leaves does not tell how often it was killed.
                let raw = raw("pruned").stdout;
                assert_eq!(&raw, pruned_raw.get_or_init(|| raw.clone()), "{backend}");
            },
        );
    }
}

#[test]
fn a_killed_convert_goes_on_and_ends_in_equal_digests() {
    for (from, to) in [("sqlite", "lmdb"), ("lmdb", "sqlite"), ("lmdb", "memory")] {
        let place = chain(from);
        let raw =
            place.run(&["db", "digest", "--raw", "--backend", from, "--dir", "source"]).stdout;
        let arguments =
            ["db", "convert", "--backend", from, "--dir", "source", "--to", to, "target"];
        survives_kills(
            &place,
            &arguments,
            || remove(&place.path().join("target")),
            || is_whole(&place.path().join("target")),
            |report| {
                assert_eq!(report["storage_digest"], raw.trim_end());
                let there = ["db", "digest", "--raw", "--backend", to, "--dir", "target"];
                assert_eq!(place.run(&there).stdout, raw, "{from} to {to}");
            },
        );
        let source = place.run(&["db", "digest", "--raw", "--backend", from, "--dir", "source"]);
        assert_eq!(source.stdout, raw, "the source is as it was");
    }
}

#[test]
fn a_killed_export_goes_on_and_its_file_is_whole() {
    let place = chain("lmdb");
    let digest = place.digest(&["--backend", "lmdb", "--dir", "source"]);
    let file = place.path().join("file");
    let arguments = ["db", "export", "file", "--backend", "lmdb", "--dir", "source"];
    survives_kills(
        &place,
        &arguments,
        || {
            remove(&file);
            remove(&place.path().join(".file.partial"));
        },
        || file.exists(),
        |report| {
            assert_eq!(report["digest"], digest);
            assert_eq!(place.json(&["db", "import", "file", "--dry-run"])["digest"], digest);
        },
    );
}

#[test]
fn a_killed_import_goes_on_and_no_node_opens_it_before() {
    for to in ["lmdb", "sqlite", "memory"] {
        let place = chain("lmdb");
        let digest = place.digest(&["--backend", "lmdb", "--dir", "source"]);
        place.json(&["db", "export", "file", "--backend", "lmdb", "--dir", "source"]);
        let target = place.path().join("target");
        let arguments = ["db", "import", "file", "--backend", to, "--dir", "target"];
        survives_kills(
            &place,
            &arguments,
            || remove(&target),
            || is_whole(&target),
            |report| {
                assert_eq!(report["digest"], digest);
                assert_eq!(place.digest(&["--backend", to, "--dir", "target"]), digest, "{to}");
            },
        );
        std::fs::write(target.join("unfinished"), "import of file").unwrap();
        let refused = place.run(&["db", "stats", "--backend", to, "--dir", "target"]);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains("run it again to finish it"), "{}", refused.stderr);
    }
}
