//! One chain through its whole life, by the commands alone: loaded, read at its blocks, pruned, moved to every other backend.
//!
//! `SUPERVM_SCALE_KEYS` and `SUPERVM_SCALE_BLOCKS` set its size (default 20,000 keys in 100 blocks; 1,000,000 and 1,000 take some
//! minutes), `SUPERVM_SCALE_BACKEND` where it lies (default rocksdb).

mod common;

use common::Place;
use common::chain::Chain;
use common::chance::number;
use std::time::Instant;

/// Says what was done and how long it took, for who runs it at full size.
fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    println!("{what}: {:.1} s", started.elapsed().as_secs_f64());
    done
}

#[test]
fn a_chain_is_loaded_read_pruned_converted_exported_and_imported() {
    let keys = number("SUPERVM_SCALE_KEYS", 20_000);
    let blocks = number("SUPERVM_SCALE_BLOCKS", 100);
    let chain = Chain { keys, blocks };
    let home = std::env::var("SUPERVM_SCALE_BACKEND").unwrap_or_else(|_| "rocksdb".to_owned());
    let place = Place::new();
    let (half, kept) = (blocks / 2, blocks / 10);
    let (gone, answers) = ((blocks - kept - kept / 2).to_string(), (blocks - kept / 2).to_string());
    let at = |dir, backend, block: &str| {
        place.run(&["db", "digest", "--backend", backend, "--dir", dir, "--at-block", block])
    };

    timed("load", || chain.load(&home, &place.path().join("home"), blocks));
    timed("load half", || chain.load("lmdb", &place.path().join("half"), half));
    let whole = timed("digest", || place.digest(&["--backend", &home, "--dir", "home"]));
    let of_half = place.digest(&["--backend", "lmdb", "--dir", "half"]);
    let at_half = timed("digest at half", || at("home", &home, &half.to_string()));
    assert_eq!(at_half.stdout.trim_end(), of_half, "{}", at_half.stderr);

    let answered = at("home", &home, &answers).stdout;
    let before_block = (blocks - kept).to_string();
    let arguments =
        ["db", "prune", "--before-block", &before_block, "--backend", &home, "--dir", "home"];
    let report = timed("prune", || place.json(&arguments));
    println!("{report}");
    let bytes = |name: &str| report[name].as_u64().unwrap();
    if report["compacted"] == true {
        assert!(bytes("disk_bytes_after") < bytes("disk_bytes_before"), "{report}");
    }
    let refused = place.run(&[
        "db",
        "digest",
        "--json",
        "--backend",
        &home,
        "--dir",
        "home",
        "--at-block",
        &gone,
    ]);
    assert_eq!((refused.code, &refused.error()["kind"]), (1, &"version-pruned".into()));
    assert_eq!(at("home", &home, &answers).stdout, answered);
    assert_eq!(place.digest(&["--backend", &home, "--dir", "home"]), whole);

    for to in ["lmdb", "sqlite"] {
        timed(&format!("convert to {to}"), || {
            place.json(&["db", "convert", "--backend", &home, "--dir", "home", "--to", to, to])
        });
        assert_eq!(place.digest(&["--backend", to, "--dir", to]), whole, "{to}");
        assert_eq!(at(to, to, &answers).stdout, answered, "{to}");
    }
    timed("export", || place.json(&["db", "export", "file", "--backend", &home, "--dir", "home"]));
    let into = ["db", "import", "file", "--backend", "leveldb", "--dir", "leveldb"];
    let imported = timed("import into leveldb", || place.json(&into));
    assert_eq!(imported["digest"], whole);
    assert_eq!(place.digest(&["--backend", "leveldb", "--dir", "leveldb"]), whole);
}
