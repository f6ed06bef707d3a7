//! Reads as of versions and blocks.

use crate::backend::Backend;
use crate::world::{World, accumulator_of, check_scan, digest_of, kind};
use std::collections::BTreeSet;
use supervm_engine::history::KeyVersion;
use supervm_engine::layout::{
    HistoryMode, STATE_KEY_BYTES_MAX, STATE_VALUE_BYTES_MAX, Version, history_key, latest_key,
};
use supervm_plugin_sdk::{Direction, Durability, ErrorKind, KeyRange, WriteBatch};

/// A history with every kind of change, among keys that are prefixes of one another.
pub(crate) fn varied(world: &mut World) {
    world.commit(&[(b"a", Some(b"1")), (b"ab", Some(b"1")), (b"\0", Some(b""))]);
    world.commit(&[(b"a", Some(b"2")), (b"abcdefgh", Some(b"2"))]);
    world.commit(&[(b"a\0", Some(b"3")), (b"ab", None)]);
    world.commit(&[]);
    world.commit(&[
        (b"abcdefghi", Some(b"5")),
        (b"abcdefgh", Some(b"5")),
        (b"\xff\xff", Some(b"5")),
    ]);
    world.commit(&[(b"ab", Some(b"6")), (b"a", None), (b"\xff", Some(b"6"))]);
    world.commit(&[(b"a\0\0\0\0\0\0\0", Some(b"7")), (b"\0", None), (b"ab", Some(b"6"))]);
    world.commit(&[(b"a", Some(b"8")), (b"\xff\xff", None)]);
}

pub(crate) fn every_version(backend: &Backend) {
    let mut world = World::archive(backend);
    world.check();
    varied(&mut world);
    world.check();
    let latest = world.history.latest().unwrap();
    assert_eq!(latest.version(), Version(8));
    world.check_state(&latest);
    assert_eq!(world.as_of(Version::ZERO).get(b"a").unwrap(), None, "version 0 is empty");
}

pub(crate) fn deleted(backend: &Backend) {
    let mut world = World::archive(backend);
    let states: [Option<&[u8]>; 8] =
        [Some(b"1"), None, None, Some(b""), Some(b"5"), None, Some(b"7"), None];
    for value in states {
        world.commit(&[(b"key", value), (b"other", Some(b"x"))]);
    }
    for (index, value) in states.into_iter().enumerate() {
        let as_of = world.as_of(Version(index as u64 + 1));
        assert_eq!(as_of.get(b"key").unwrap().as_deref(), value, "as of {}", as_of.version());
    }
    world.check();
}

pub(crate) fn ranges(backend: &Backend) {
    let mut world = World::archive(backend);
    varied(&mut world);
    let mut bounds: BTreeSet<Vec<u8>> = world.keys();
    bounds.extend([b"".to_vec(), b"a\0\0".to_vec(), b"b".to_vec(), vec![0xff; 9]]);
    let directions: &[Direction] = match backend.lacks_reverse_cursors() {
        None => &[Direction::Forward, Direction::Reverse],
        Some(_) => &[Direction::Forward],
    };
    for version in world.oracle.readable() {
        let (as_of, state) = (world.as_of(version), world.oracle.state(version));
        for start in &bounds {
            let ends = bounds.iter().map(Some).chain([None]);
            for (end, direction) in
                ends.flat_map(|end| directions.iter().map(move |one| (end, *one)))
            {
                check_scan(&as_of, &state, KeyRange::new(start, end.map(Vec::as_slice)), direction);
            }
        }
    }
}

pub(crate) fn many_values(backend: &Backend) {
    const VERSIONS: u64 = 2_500;
    let mut world = World::archive(backend);
    world.commit(&[(b"a", Some(b"a")), (b"m", Some(b"0")), (b"z", Some(b"z"))]);
    for version in 2..=VERSIONS {
        world.commit(&[(b"m", Some(&version.to_be_bytes()))]);
    }
    world.commit(&[(b"a", None), (b"m", None), (b"z", Some(b"Z"))]);
    for version in [0, 1, 2, 3, 700, 1_250, 1_999, VERSIONS - 1, VERSIONS, VERSIONS + 1] {
        world.check_state(&world.as_of(Version(version)));
    }
    assert_eq!(world.history.versions(b"m").unwrap().len() as u64, VERSIONS + 1);
}

pub(crate) fn blocks(backend: &Backend) {
    let mut world = World::archive(backend);
    assert_eq!(world.history.last_block().unwrap(), None);
    assert_eq!(kind(world.history.as_of_block(0)), ErrorKind::InvalidArgument);
    world.commit(&[(b"before", Some(b"1"))]);
    for number in [3, 4, 7] {
        world.commit(&[(b"a", Some(&[number as u8]))]);
        world.block(number, &[(b"b", Some(&[number as u8]))]);
    }
    world.block(8, &[]);
    world.commit(&[(b"a", Some(b"after"))]);
    let history = &world.history;
    for (number, expected) in &world.oracle.blocks {
        assert_eq!(history.block(*number).unwrap().as_ref(), Some(expected));
        assert_eq!(history.version_of_block(*number).unwrap(), expected.version);
        let as_of = history.as_of_block(*number).unwrap();
        assert_eq!(as_of.version(), expected.version);
        world.check_state(&as_of);
        assert_eq!(as_of.accumulator().unwrap().digest(), expected.digest, "block {number}");
    }
    assert_eq!(history.last_block().unwrap().map(|block| block.number), Some(8));
    let numbers = |from, limit| -> Vec<u64> {
        history.blocks(from, limit).unwrap().iter().map(|block| block.number).collect()
    };
    assert_eq!(numbers(0, 9), [3, 4, 7, 8]);
    assert_eq!((numbers(4, 2), numbers(9, 2), numbers(0, 0)), (vec![4, 7], vec![], vec![]));
    for missing in [0, 2, 5, 9] {
        assert_eq!(kind(history.as_of_block(missing)), ErrorKind::InvalidArgument, "{missing}");
        assert_eq!(history.block(missing).unwrap(), None);
    }
    let at = |timestamp| history.block_at(timestamp).unwrap().map(|block| block.number);
    assert_eq!(
        [at(29), at(30), at(39), at(40), at(79), at(80), at(u64::MAX)],
        [None, Some(3), Some(3), Some(4), Some(7), Some(8), Some(8)]
    );
}

pub(crate) fn versions(backend: &Backend) {
    let mut world = World::archive(backend);
    for value in [Some(&b"1"[..]), Some(b"2"), None, Some(b"4"), None] {
        world.commit(&[(b"key", value), (b"key2", Some(b"x"))]);
    }
    let version = |version, value: Option<&[u8]>, superseded_at: Option<u64>| KeyVersion {
        version: Version(version),
        value: value.map(<[u8]>::to_vec),
        superseded_at: superseded_at.map(Version),
    };
    let life = [
        version(5, None, None),
        version(4, Some(b"4"), Some(5)),
        version(3, None, Some(4)),
        version(2, Some(b"2"), Some(3)),
        version(1, Some(b"1"), Some(2)),
    ];
    assert_eq!(world.history.versions(b"key").unwrap(), life);
    assert_eq!(world.history.versions(b"never").unwrap(), []);
    world.commit(&[(b"key", Some(b"6"))]);
    let versions = world.history.versions(b"key").unwrap();
    assert_eq!(versions[0], version(6, Some(b"6"), None));
    assert_eq!(versions[1], version(5, None, Some(6)));
    world.prune(supervm_engine::history::PruneTarget::Version(Version(3)));
    let versions = world.history.versions(b"key").unwrap();
    assert_eq!(
        versions[2..],
        [version(4, Some(b"4"), Some(5))],
        "what was gone at the floor is not told"
    );
}

pub(crate) fn changed_keys(backend: &Backend) {
    let mut world = World::archive(backend);
    varied(&mut world);
    let last = world.oracle.last();
    for from in 0..=last.0 {
        for to in from..=last.0 {
            let between = world.oracle.changed.range(Version(from + 1)..Version(to + 1));
            let expected: BTreeSet<_> = between.flat_map(|(_, keys)| keys.clone()).collect();
            let found = world.history.changed_keys(Version(from), Version(to)).unwrap();
            assert_eq!(found, expected, "({from}, {to}]");
        }
    }
    let refused = |from, to| kind(world.history.changed_keys(Version(from), Version(to)));
    assert_eq!(refused(3, 2), ErrorKind::InvalidArgument);
    assert_eq!(refused(3, last.0 + 1), ErrorKind::InvalidArgument);
    world.oracle.mode = HistoryMode::None;
    world.history.set_mode(HistoryMode::None).unwrap();
    let refused = world.history.changed_keys(last, last);
    assert_eq!(kind(refused), ErrorKind::Unsupported, "no list is kept");
}

pub(crate) fn limits(backend: &Backend) {
    let mut world = World::archive(backend);
    let longest = vec![0xff; STATE_KEY_BYTES_MAX];
    let zeros = vec![0; STATE_KEY_BYTES_MAX];
    let largest = vec![7; STATE_VALUE_BYTES_MAX];
    world.commit(&[(&longest, Some(&largest)), (&zeros, Some(b"1"))]);
    world.commit(&[(&longest, Some(b"2")), (&zeros, None)]);
    world.check();
    let as_of = world.as_of(Version(1));
    assert_eq!(kind(as_of.get(b"")), ErrorKind::InvalidKey);
    let too_long = vec![0xff; STATE_KEY_BYTES_MAX + 1];
    assert_eq!(kind(as_of.get(&too_long)), ErrorKind::KeyTooLarge);
    assert_eq!(kind(world.history.versions(&too_long)), ErrorKind::KeyTooLarge);
    for range in [KeyRange::new(&too_long, None), KeyRange::new(b"a", Some(&too_long))] {
        assert_eq!(kind(as_of.rows(range, Direction::Forward)), ErrorKind::KeyTooLarge);
    }
}

pub(crate) fn too_new(backend: &Backend) {
    let mut world = World::archive(backend);
    world.commit(&[(b"a", Some(b"1"))]);
    for version in [Version(2), Version::MAX] {
        assert_eq!(kind(world.history.as_of(version)), ErrorKind::InvalidArgument);
    }
    world.commit(&[(b"a", Some(b"2"))]);
    world.check();
}

pub(crate) fn view_and_commits(backend: &Backend) {
    let mut world = World::archive(backend);
    varied(&mut world);
    let views: Vec<_> = world.oracle.readable().map(|version| world.as_of(version)).collect();
    let mut rows: Vec<_> =
        views.iter().map(|view| view.rows(KeyRange::ALL, Direction::Forward).unwrap()).collect();
    for round in 0..20_u8 {
        let keys = world.keys();
        let value = [round];
        let change = |key| (key, if round % 3 == 0 { None } else { Some(&value[..]) });
        let changes: Vec<_> = keys
            .iter()
            .map(|key| change(key.as_slice()))
            .chain([(&b"new"[..], Some(&value[..]))])
            .collect();
        world.commit(&changes);
        views.iter().for_each(|view| world.check_state(view));
    }
    for (view, rows) in views.iter().zip(&mut rows) {
        let state = world.oracle.state(view.version());
        let mut found = 0;
        while let Some((key, version, value)) = rows.next().unwrap() {
            assert_eq!(state.get(key), Some(&(version, value.to_vec())));
            found += 1;
        }
        assert_eq!(found, state.len());
    }
    world.check();
}

pub(crate) fn threads(backend: &Backend) {
    let mut world = World::archive(backend);
    varied(&mut world);
    let world = &world;
    let view = &world.as_of(Version(5));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || (0..20).for_each(|_| world.check_state(view)));
        }
    });
}

pub(crate) fn digests(backend: &Backend) {
    let mut world = World::archive(backend);
    varied(&mut world);
    for version in world.oracle.readable() {
        let (as_of, state) = (world.as_of(version), world.oracle.state(version));
        assert_eq!(as_of.digest().unwrap().to_string(), digest_of(&state), "as of {version}");
        assert_eq!(as_of.accumulator().unwrap(), accumulator_of(&state), "as of {version}");
    }
    // The same state on another way, without a past.
    let state = world.oracle.state(world.oracle.last());
    let mut other = World::new(backend, HistoryMode::None);
    for (key, (_, value)) in state.iter().rev() {
        other.commit(&[(key, Some(b"wrong"))]);
        other.commit(&[(key, Some(value))]);
    }
    let digests = |world: &World| {
        let latest = world.history.latest().unwrap();
        (latest.digest().unwrap(), latest.accumulator().unwrap().digest())
    };
    assert_eq!(digests(&world), digests(&other));
    let carried_on = other.history.meta().unwrap().accumulator;
    assert_eq!(other.history.latest().unwrap().accumulator().unwrap().to_bytes(), carried_on);
    // Known: of the state of `varied`, on every backend.
    let known = digests(&world);
    assert_eq!(known.0.to_string(), KNOWN_DIGEST);
}

/// SHA-256 over the entries of the last state of [`varied`] (clause 23), by another program.
const KNOWN_DIGEST: &str = "c492adeddd30c210f373aa46ffb69e5d924977dba884d5c6c683a6900c14e2dd";

pub(crate) fn damage(backend: &Backend) {
    let mut world = World::archive(backend);
    varied(&mut world);
    let mut stored = Vec::new();
    let mut batch = WriteBatch::new();
    latest_key(b"a\0", &mut stored);
    batch.put(&stored, b"short");
    history_key(b"abcdefgh", Version(5), &mut stored);
    batch.put(&stored, b"short");
    world.storage.write(&batch, Durability::Buffered).unwrap();
    let as_of = world.as_of(Version(4));
    for key in [&b"a\0"[..], b"abcdefgh"] {
        assert_eq!(kind(as_of.get(key)), ErrorKind::Corruption);
    }
    assert_eq!(as_of.get(b"a").unwrap(), Some(b"2".to_vec()), "what is whole is read");
    let mut rows = as_of.rows(KeyRange::ALL, Direction::Forward).unwrap();
    let failed = loop {
        match rows.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a failure was taken for the end"),
            Err(error) => break error,
        }
    };
    assert_eq!(failed.kind(), ErrorKind::Corruption);
    assert_eq!(kind(rows.next()), ErrorKind::Corruption, "and stays");
    assert_eq!(kind(as_of.digest()), ErrorKind::Corruption);
}
