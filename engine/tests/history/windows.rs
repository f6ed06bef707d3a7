//! Windows of blocks whose numbers have gaps.

use crate::backend::Backend;
use crate::modes::set;
use crate::random::{Random, seed};
use crate::world::{World, kind};
use supervm_engine::history::{History, PruneOptions, PruneTarget};
use supervm_engine::layout::{BLOCK_NUMBER_MAX, HistoryMode, Version};
use supervm_plugin_sdk::ErrorKind;

const ROUNDS: u64 = 120;

/// Ends block `number` with a commit that changes a key.
fn add(world: &mut World, number: u64) {
    world.commit(&[(b"between", Some(&number.to_le_bytes()))]);
    world.commit_with(&[(b"a", Some(&number.to_be_bytes()))], Some((number, number)));
}

/// The version of the oldest of the last `blocks` blocks that were ever ended.
fn oldest_of(world: &World, blocks: u64) -> Version {
    let nth = usize::try_from(blocks - 1).unwrap();
    world.oracle.blocks.values().rev().nth(nth).map_or(Version::ZERO, |block| block.version)
}

fn prune_to_mode(world: &mut World, options: PruneOptions) {
    let report = world.history.prune_to_mode(options, &mut |_| {}).unwrap();
    world.oracle.floor = report.floor;
}

pub(crate) fn gaps(backend: &Backend) {
    let jump = 1 << 60;
    let rows: [&[u64]; 4] = [
        &[10, 20, 30, 40, 50],
        &[0, 1, 2, jump, jump + 1],
        &[7, jump, 2 * jump, 3 * jump, BLOCK_NUMBER_MAX],
        &[9, 3, 2, 1, 0].map(|before| BLOCK_NUMBER_MAX - before),
    ];
    for numbers in rows {
        // All blocks first, and then one pruning; and a pruning after each block.
        for prunes_each in [false, true] {
            let mut world = World::new(backend, HistoryMode::Window { blocks: 3 });
            for number in numbers {
                add(&mut world, *number);
                if prunes_each {
                    prune_to_mode(&mut world, PruneOptions::default());
                }
            }
            prune_to_mode(&mut world, PruneOptions::default());
            for (index, number) in numbers.iter().enumerate() {
                let read = world.history.as_of_block(*number);
                if index < 2 {
                    assert_eq!(kind(read), ErrorKind::VersionPruned, "{number} of {numbers:?}");
                } else {
                    world.check_state(&read.unwrap());
                }
            }
            assert_eq!(world.oracle.floor, oldest_of(&world, 3), "{numbers:?}");
            world.check();
        }
    }
}

pub(crate) fn short(backend: &Backend) {
    for blocks in [4, 1 << 40, u64::MAX] {
        let mut world = World::new(backend, HistoryMode::Window { blocks });
        for number in [5, 500, 50_000] {
            add(&mut world, number);
            prune_to_mode(&mut world, PruneOptions::default());
            assert_eq!(world.oracle.floor, Version::ZERO, "{number} of {blocks}");
        }
        world.check();
        // A narrower window is counted by itself, and a wider one brings nothing back.
        for narrow in [2, 1, 3] {
            let floor = world.oracle.floor.max(oldest_of(&world, narrow));
            set(&mut world, HistoryMode::Window { blocks: narrow });
            prune_to_mode(&mut world, PruneOptions::default());
            assert_eq!(world.oracle.floor, floor, "{narrow} of {blocks}");
        }
    }
}

pub(crate) fn random(backend: &Backend) {
    for index in 0..2 {
        let mut random = Random::new(seed().wrapping_add(index));
        let mut world = World::archive(backend);
        let mut number = random.below(3);
        for round in 0..ROUNDS {
            let before = world.oracle.floor;
            match random.below(12) {
                0..6 => {
                    add(&mut world, number);
                    let gap = [1, 1, 2, 1_000, 1 << 40][random.below(5) as usize];
                    number += gap + random.below(gap);
                }
                6 => {
                    world.commit(&[(b"b", Some(&round.to_be_bytes()))]);
                }
                7 => {
                    let blocks = 1 + random.below(9);
                    let modes =
                        [HistoryMode::None, HistoryMode::Archive, HistoryMode::Window { blocks }];
                    let mode = modes[[0, 1, 2, 2, 2, 2][random.below(6) as usize]];
                    if mode != world.oracle.mode {
                        set(&mut world, mode);
                    }
                }
                8 => {
                    let (oldest, last) = (world.oracle.oldest().0, world.oracle.last().0);
                    let version = Version(oldest + random.below(last - oldest + 1));
                    let options = few_steps(&mut random);
                    let target = PruneTarget::Version(version);
                    let report = world.history.prune(target, options, &mut |_| {}).unwrap();
                    world.oracle.floor = report.floor;
                }
                // One that has counted nothing yet.
                9 => world.history = History::new(world.storage.clone()).unwrap(),
                _ => {
                    let expected = match world.oracle.mode {
                        HistoryMode::Archive => before,
                        HistoryMode::None => before.max(world.oracle.last()),
                        HistoryMode::Window { blocks } => before.max(oldest_of(&world, blocks)),
                    };
                    let planned = world.history.version_to_keep(None).unwrap().max(before);
                    assert_eq!(planned, expected, "round {round}, {}", world.oracle.mode);
                    let options = few_steps(&mut random);
                    prune_to_mode(&mut world, options);
                    assert_eq!(world.oracle.floor, expected, "round {round}");
                }
            }
        }
        world.check();
    }
}

fn few_steps(random: &mut Random) -> PruneOptions {
    PruneOptions {
        step_operations: 1 + random.below(9) as usize,
        steps_max: (random.below(2) == 0).then(|| random.below(9)),
        ..PruneOptions::default()
    }
}
