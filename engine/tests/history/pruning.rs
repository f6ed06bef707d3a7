//! Giving up the past.

use crate::backend::Backend;
use crate::reading::varied;
use crate::world::{World, kind};
use std::collections::BTreeSet;
use supervm_engine::history::{
    PruneOptions, PruneProgress, PruneReport, PruneTarget, STEP_OPERATIONS_MAX,
};
use supervm_engine::layout::{HistoryMode, Version};
use supervm_plugin_sdk::{Direction, ErrorKind, KeyRange};

fn at(version: u64) -> PruneTarget {
    PruneTarget::Version(Version(version))
}

/// One delete a step, and at most so many steps.
fn few(steps: u64) -> PruneOptions {
    PruneOptions { step_operations: 1, steps_max: Some(steps), ..PruneOptions::default() }
}

fn prune(world: &World, target: PruneTarget, options: PruneOptions) -> PruneReport {
    let floor = world.history.floor().unwrap();
    let planned = world.history.version_to_keep(Some(target)).unwrap().max(floor);
    let report = world.history.prune(target, options, &mut |_| {}).unwrap();
    assert_eq!(report.floor, planned, "{target:?}");
    report
}

/// Ten blocks of two commits each, numbers 1 to 10.
fn ten_blocks(world: &mut World) {
    for number in 1..=10_u64 {
        let value = number.to_be_bytes();
        let own = [b'k', number as u8];
        world.commit(&[(b"hot", Some(&value)), (&own, Some(&value))]);
        let gone = [b'k', number as u8 - 1];
        world.block(number, &[(b"hot", Some(b"end")), (&gone, None)]);
    }
}

pub(crate) fn below_the_floor(backend: &Backend) {
    let mut world = World::archive(backend);
    ten_blocks(&mut world);
    world.prune(PruneTarget::Block(6));
    let history = &world.history;
    assert_eq!(world.oracle.floor, world.oracle.blocks[&6].version);
    for number in 0..=5 {
        assert_eq!(kind(history.as_of_block(number)), ErrorKind::VersionPruned, "{number}");
        assert_eq!(kind(history.version_of_block(number)), ErrorKind::VersionPruned);
    }
    for number in 6..=10 {
        world.check_state(&history.as_of_block(number).unwrap());
    }
    let (floor, last) = (world.oracle.floor, world.oracle.last());
    let refused = history.changed_keys(Version(floor.0 - 1), last);
    assert_eq!(kind(refused), ErrorKind::VersionPruned);
    let between = world.oracle.changed.range(floor.next()..);
    let expected: BTreeSet<_> = between.flat_map(|(_, keys)| keys.clone()).collect();
    assert_eq!(history.changed_keys(floor, last).unwrap(), expected);
    let refused = history.as_of(Version(1)).unwrap_err().to_string();
    assert!(refused.contains(&format!("the oldest that can be read is {floor}")), "{refused}");
    world.check();
}

pub(crate) fn newest_stays(backend: &Backend) {
    let mut world = World::archive(backend);
    world.commit(&[(b"once", Some(b"1")), (b"replaced", Some(b"1")), (b"gone", Some(b"1"))]);
    world.commit(&[(b"replaced", Some(b"2"))]);
    for _ in 0..5 {
        world.commit(&[(b"other", Some(b"x"))]);
    }
    world.commit(&[(b"replaced", Some(b"8")), (b"gone", None), (b"once", Some(b"8"))]);
    for floor in 1..=8 {
        world.prune(at(floor));
        world.check();
    }
}

pub(crate) fn leaves_nothing(backend: &Backend) {
    let mut world = World::archive(backend);
    ten_blocks(&mut world);
    for number in [2, 3, 7, 10] {
        world.prune(PruneTarget::Block(number));
        world.check();
        let (oracle, floor) = (&world.oracle, world.oracle.floor);
        let changes = || oracle.changed.range(floor.next()..);
        // An old value for each change above the floor to a key that was there before.
        let replaced = |(version, keys): (&Version, &BTreeSet<Vec<u8>>)| {
            let before = oracle.state(Version(version.0 - 1));
            keys.iter().filter(|key| before.contains_key(*key)).count()
        };
        assert_eq!(world.stored(b"h/"), changes().map(replaced).sum::<usize>(), "{number}");
        assert_eq!(world.stored(b"l/"), changes().count(), "{number}");
        assert_eq!(world.stored(b"b/"), 11 - number as usize, "{number}");
        assert_eq!(world.stored(b"c/"), oracle.state(oracle.last()).len());
    }
    world.commit(&[(b"hot", Some(b"new"))]);
    world.prune(PruneTarget::Version(world.oracle.last()));
    world.check();
    assert_eq!((world.stored(b"h/"), world.stored(b"l/")), (0, 0));
    let last = world.history.last_block().unwrap().map(|block| block.number);
    assert_eq!(last, Some(10), "the newest block's record stays");
    assert_eq!(kind(world.history.as_of_block(10)), ErrorKind::VersionPruned);
}

pub(crate) fn stopped(backend: &Backend) {
    for whole in [false, true] {
        let mut world = World::archive(backend);
        ten_blocks(&mut world);
        let target = PruneTarget::Block(5);
        let mut expected = World::archive(backend);
        ten_blocks(&mut expected);
        expected.prune(target);
        // The floor alone is the first thing that a stopped pruning leaves.
        let mut report = prune(&world, target, few(0));
        assert!(!report.is_complete && report.steps == 0);
        world.oracle.floor = report.floor;
        let mut runs = 0;
        while !report.is_complete {
            world.check();
            // One that goes on is told the same target, or one that is below the floor.
            let again = if whole { target } else { at(runs % 3) };
            report = prune(&world, again, few(1));
            assert!(report.steps <= 1 && report.operations <= 1);
            runs += 1;
            assert!(runs < 100, "it ends");
        }
        world.check();
        assert!(runs > 20, "{runs}");
        let digest = |world: &World| world.storage.digest().unwrap();
        assert_eq!(digest(&world), digest(&expected), "as if it had never been stopped");
    }
}

pub(crate) fn idempotent(backend: &Backend) {
    let mut world = World::archive(backend);
    ten_blocks(&mut world);
    world.prune(PruneTarget::Block(5));
    let digest = world.storage.digest().unwrap();
    let floor = world.oracle.floor;
    let targets = [
        PruneTarget::Block(5),
        PruneTarget::Block(1),
        PruneTarget::Block(0),
        PruneTarget::Timestamp(0),
        PruneTarget::Timestamp(15),
        at(0),
        at(floor.0),
    ];
    for target in targets {
        let report = world.prune(target);
        assert_eq!((report.floor_before, report.floor), (floor, floor), "{target:?}");
        assert_eq!((report.steps, report.operations, report.versions), (0, 0, 0), "{target:?}");
        assert!(report.is_complete);
        assert_eq!(world.storage.digest().unwrap(), digest, "{target:?}");
    }
    let mut empty = World::archive(backend);
    let report = empty.prune(at(0));
    assert!(report.is_complete && report.operations == 0);
}

pub(crate) fn steps(backend: &Backend) {
    let mut world = World::archive(backend);
    // Lists of many parts.
    let keys: Vec<Vec<u8>> =
        (0..9_000_u32).map(|n| [&n.to_be_bytes()[..], &[1; 20]].concat()).collect();
    for value in [b"1", b"2"] {
        let changes: Vec<_> = keys.iter().map(|key| (&key[..], Some(&value[..]))).collect();
        world.commit(&changes);
    }
    world.commit(&[(b"a", Some(b"3"))]);
    assert!(world.stored(b"l/") > 5, "{}", world.stored(b"l/"));
    let batches = world.storage.stats().unwrap().batches_written;
    let mut told: Vec<PruneProgress> = Vec::new();
    let options = PruneOptions { step_operations: 1_000, ..PruneOptions::default() };
    let report = world.history.prune(at(3), options, &mut |progress| told.push(progress)).unwrap();
    world.oracle.floor = report.floor;
    let written = world.storage.stats().unwrap().batches_written - batches;
    assert_eq!(written, report.steps + 1, "a batch for each step, and one for the floor");
    assert_eq!(told.len() as u64, report.steps);
    assert_eq!(report.versions, 3);
    assert!(report.operations > 18_000 && report.steps == report.operations.div_ceil(1_000));
    for (before, after) in told.iter().zip(&told[1..]) {
        assert_eq!(after.steps, before.steps + 1);
        assert!(after.operations - before.operations <= 1_000);
        assert!(after.fraction() >= before.fraction() && after.version >= before.version);
    }
    let last = told.last().unwrap();
    assert_eq!((last.from, last.version, last.fraction()), (Version(0), Version(3), 1.0));
    assert_eq!((world.stored(b"h/"), world.stored(b"l/")), (0, 0));
    world.check_state(&world.as_of(Version(3)));
    for step_operations in [0, STEP_OPERATIONS_MAX + 1] {
        let options = PruneOptions { step_operations, ..PruneOptions::default() };
        let refused = world.history.prune(at(3), options, &mut |_| {});
        assert_eq!(kind(refused), ErrorKind::InvalidArgument);
    }
}

pub(crate) fn targets(backend: &Backend) {
    let mut world = World::archive(backend);
    assert_eq!(
        kind(world.history.prune(PruneTarget::Block(0), few(1), &mut |_| {})),
        ErrorKind::InvalidArgument
    );
    world.commit(&[(b"before", Some(b"1"))]);
    for number in [5_u64, 6, 9, 10, 12] {
        world.block(number, &[(b"a", Some(&number.to_be_bytes()))]);
    }
    world.commit(&[(b"a", Some(b"after"))]);
    let version = |world: &World, number: u64| world.oracle.blocks[&number].version;
    for target in [PruneTarget::Block(13), at(world.oracle.last().0 + 1)] {
        let refused = world.history.prune(target, few(1), &mut |_| {});
        assert_eq!(kind(refused), ErrorKind::InvalidArgument, "{target:?}");
    }
    world.prune(PruneTarget::Block(3));
    assert_eq!(world.oracle.floor, Version::ZERO, "no block is before it");
    world.prune(PruneTarget::Timestamp(49));
    assert_eq!(world.oracle.floor, Version::ZERO, "no block was there");
    world.prune(PruneTarget::Timestamp(59));
    assert_eq!(world.oracle.floor, version(&world, 5), "block 5 was the newest then");
    world.prune(PruneTarget::Block(7));
    assert_eq!(world.oracle.floor, version(&world, 9), "there is no block 7 nor 8");
    world.check();
    world.prune(PruneTarget::Timestamp(100));
    assert_eq!(world.oracle.floor, version(&world, 10));
    world.prune(PruneTarget::Timestamp(u64::MAX));
    assert_eq!(world.oracle.floor, version(&world, 12), "later than every block is the newest");
    world.check();
}

pub(crate) fn beside_commits(backend: &Backend) {
    let mut world = World::archive(backend);
    ten_blocks(&mut world);
    let history = world.history.clone();
    let floor = world.oracle.blocks[&8].version;
    world.oracle.floor = floor;
    let options = PruneOptions { step_operations: 3, ..PruneOptions::default() };
    let mut round = 0_u64;
    history
        .prune(PruneTarget::Block(8), options, &mut |_| {
            round += 1;
            world.commit(&[(b"hot", Some(&round.to_be_bytes())), (&[b'k', round as u8], None)]);
            world.check();
        })
        .unwrap();
    assert!(round > 5, "{round}");
    world.check();
    // Two at once: the floor is that of the greater.
    std::thread::scope(|scope| {
        for version in [floor.0 + 1, floor.0 + 4, floor.0 + 2] {
            let history = &history;
            scope.spawn(move || history.prune(at(version), options, &mut |_| {}).unwrap());
        }
    });
    world.oracle.floor = Version(floor.0 + 4);
    world.check();
}

pub(crate) fn views(backend: &Backend) {
    let mut world = World::archive(backend);
    varied(&mut world);
    let views: Vec<_> = world.oracle.readable().map(|version| world.as_of(version)).collect();
    let mut rows: Vec<_> =
        views.iter().map(|view| view.rows(KeyRange::ALL, Direction::Forward).unwrap()).collect();
    world.prune(at(6));
    for view in &views {
        if backend.has_snapshots() || view.version() >= Version(6) {
            world.check_state(view);
            continue;
        }
        let state = world.oracle.state(view.version());
        for key in world.keys() {
            match view.get_versioned(&key) {
                Ok(found) => {
                    assert_eq!(found.as_ref(), state.get(&key), "a value is the right one")
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::VersionPruned),
            }
        }
        let refused = view.rows(KeyRange::ALL, Direction::Forward);
        assert_eq!(kind(refused), ErrorKind::VersionPruned);
    }
    for (view, rows) in views.iter().zip(&mut rows) {
        let state = world.oracle.state(view.version());
        let mut found = 0;
        while let Some((key, version, value)) = rows.next().unwrap() {
            assert_eq!(state.get(key), Some(&(version, value.to_vec())));
            found += 1;
        }
        assert_eq!(found, state.len(), "a scan that had begun ends");
    }
}

pub(crate) fn compaction(backend: &Backend) {
    let mut world = World::archive(backend);
    ten_blocks(&mut world);
    let options = PruneOptions { compact: true, ..PruneOptions::default() };
    let report = prune(&world, PruneTarget::Block(9), options);
    world.oracle.floor = report.floor;
    assert!(report.is_complete);
    let told = world.storage.stats().unwrap().disk_bytes.is_some();
    assert_eq!(
        (report.disk_bytes_before.is_some(), report.disk_bytes_after.is_some()),
        (told, told)
    );
    world.check();
    assert_eq!(world.oracle.mode, HistoryMode::Archive);
}
