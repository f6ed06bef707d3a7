//! How much of the past is kept.

use crate::backend::Backend;
use crate::reading::varied;
use crate::world::{World, kind};
use supervm_engine::history::PruneOptions;
use supervm_engine::layout::{HistoryMode, Meta, Version};
use supervm_plugin_sdk::{Durability, ErrorKind, WriteBatch};

pub(crate) fn set(world: &mut World, mode: HistoryMode) {
    world.history.set_mode(mode).unwrap();
    if !(mode.keeps_old_values() && world.oracle.mode.keeps_old_values()) {
        world.oracle.floor = world.oracle.last();
    }
    world.oracle.mode = mode;
}

fn prune_to_mode(world: &mut World) {
    let options = PruneOptions { step_operations: 2, ..PruneOptions::default() };
    let report = world.history.prune_to_mode(options, &mut |_| {}).unwrap();
    assert!(report.is_complete);
    world.oracle.floor = report.floor;
}

pub(crate) fn window(backend: &Backend) {
    const BLOCKS: u64 = 3;
    let mut world = World::new(backend, HistoryMode::Window { blocks: BLOCKS });
    prune_to_mode(&mut world);
    for number in 0..10_u64 {
        world.commit(&[(b"a", Some(&number.to_be_bytes()))]);
        let changes: &[(&[u8], Option<&[u8]>)] =
            if number % 4 == 3 { &[] } else { &[(b"b", Some(b"x")), (b"c", None)] };
        world.block(number, changes);
        prune_to_mode(&mut world);
        world.check();
        for block in 0..=number {
            let read = world.history.as_of_block(block);
            if block + BLOCKS > number {
                world.check_state(&read.unwrap());
            } else {
                assert_eq!(kind(read), ErrorKind::VersionPruned, "{block} of {number}");
            }
        }
    }
    let floor = world.oracle.floor;
    set(&mut world, HistoryMode::Window { blocks: 9 });
    prune_to_mode(&mut world);
    assert_eq!(world.oracle.floor, floor, "a wider window brings nothing back");
    set(&mut world, HistoryMode::Archive);
    world.block(10, &[(b"a", Some(b"10"))]);
    prune_to_mode(&mut world);
    assert_eq!(world.oracle.floor, floor, "an archive keeps what is there");
    set(&mut world, HistoryMode::Window { blocks: 1 });
    prune_to_mode(&mut world);
    assert_eq!(world.oracle.floor, world.oracle.blocks[&10].version);
    world.check();
}

pub(crate) fn none(backend: &Backend) {
    let mut world = World::new(backend, HistoryMode::None);
    varied(&mut world);
    world.check();
    world.block(1, &[(b"a", Some(b"1"))]);
    world.block(2, &[(b"a", Some(b"2"))]);
    world.check();
    assert_eq!(world.stored(b"h/") + world.stored(b"l/"), 0);
    world.check_state(&world.history.as_of_block(2).unwrap());
    assert_eq!(kind(world.history.as_of_block(1)), ErrorKind::VersionPruned);
    let versions = world.history.versions(b"a").unwrap();
    assert_eq!(versions.len(), 1);
    // A view of the newest version, and then a commit that keeps nothing of it.
    let view = world.history.latest().unwrap();
    world.commit(&[(b"a", Some(b"3")), (b"ab", None)]);
    let (before, now) = (view.version(), world.oracle.last());
    assert_eq!(before.next(), now);
    for key in world.keys() {
        match view.get_versioned(&key) {
            Ok(found) => assert_eq!(found.as_ref(), world.oracle.state(before).get(&key)),
            Err(error) => {
                assert!(!backend.has_snapshots());
                assert_eq!(error.kind(), ErrorKind::VersionPruned);
            }
        }
    }
}

pub(crate) fn to_archive(backend: &Backend) {
    let mut world = World::new(backend, HistoryMode::None);
    varied(&mut world);
    set(&mut world, HistoryMode::Archive);
    world.check();
    assert_eq!(world.oracle.floor, Version(8));
    world.commit(&[(b"a", Some(b"9")), (b"ab", None)]);
    world.commit(&[(b"new", Some(b"10")), (b"\xff", Some(b"10"))]);
    world.check();
    assert_eq!(world.history.changed_keys(Version(8), Version(10)).unwrap().len(), 4);
    // Twice round.
    set(&mut world, HistoryMode::None);
    world.check();
    world.commit(&[(b"a", None)]);
    world.commit(&[(b"a", Some(b"12"))]);
    world.check();
    set(&mut world, HistoryMode::Window { blocks: 2 });
    world.commit(&[(b"a", Some(b"13"))]);
    world.check();
}

pub(crate) fn to_none(backend: &Backend) {
    let mut world = World::archive(backend);
    varied(&mut world);
    world.block(1, &[(b"a", Some(b"9"))]);
    assert!(world.stored(b"h/") > 0 && world.stored(b"l/") > 0);
    // As a process that was killed between the mode and the first step leaves it.
    let mut batch = WriteBatch::new();
    Meta::put_history(&mut batch, HistoryMode::None);
    Meta::put_floor(&mut batch, world.oracle.last());
    world.storage.write(&batch, Durability::Buffered).unwrap();
    (world.oracle.mode, world.oracle.floor) = (HistoryMode::None, world.oracle.last());
    world.check();
    // Left half-way and switched back on: what is left over is never read.
    world.commit(&[(b"a", Some(b"10")), (b"ab", None)]);
    set(&mut world, HistoryMode::Archive);
    world.commit(&[(b"a", None), (b"ab", Some(b"11"))]);
    world.check();
    assert!(world.stored(b"h/") > 2, "left over");
    prune_to_mode(&mut world);
    world.check();
    assert_eq!(world.stored(b"h/"), 1, "only of the commit since");
    set(&mut world, HistoryMode::None);
    world.check();
    assert_eq!((world.stored(b"h/"), world.stored(b"l/"), world.stored(b"b/")), (0, 0, 1));
    assert_eq!(world.history.meta().unwrap().floor, world.oracle.last());
}

pub(crate) fn lasts(backend: &Backend) {
    let mut world = World::new(backend, HistoryMode::None);
    let refused = world.history.set_mode(HistoryMode::Window { blocks: 0 });
    assert_eq!(kind(refused), ErrorKind::InvalidArgument);
    for mode in [HistoryMode::Archive, HistoryMode::Window { blocks: 7 }, HistoryMode::None] {
        set(&mut world, mode);
        assert_eq!(world.history.meta().unwrap().history, mode);
        world.commit(&[(b"a", Some(b"1"))]);
        let batches = world.storage.stats().unwrap().batches_written;
        let floor = world.history.meta().unwrap().floor;
        if mode.keeps_old_values() {
            world.history.set_mode(mode).unwrap();
            assert_eq!(world.history.meta().unwrap().floor, floor, "set again, it changes nothing");
            assert_eq!(world.storage.stats().unwrap().batches_written, batches);
        }
        world.check();
    }
}
