//! Random traces of everything at once, against the oracle.

use crate::backend::Backend;
use crate::random::{Random, seed};
use crate::world::{World, accumulator_of, digest_of};
use supervm_engine::history::{PruneOptions, PruneTarget};
use supervm_engine::layout::{HistoryMode, Version};

const TRACES: u64 = 4;
const STEPS: u64 = 90;

/// Keys that share beginnings, and whose ordered forms do.
fn key(random: &mut Random) -> Vec<u8> {
    let letters = [0, 1, b'a', 0xff];
    let length = [1, 1, 2, 3, 7, 8, 9, 16, 17][random.below(9) as usize];
    let mut key = vec![letters[random.below(4) as usize]; length];
    let last = letters[random.below(4) as usize];
    if let Some(end) = key.last_mut() {
        *end = last;
    }
    key
}

pub(crate) fn random_traces(backend: &Backend) {
    for index in 0..TRACES {
        let mut random = Random::new(seed().wrapping_add(index));
        let mut world = World::archive(backend);
        for _ in 0..STEPS {
            world = step(world, backend, &mut random);
            assert_eq!(world.history.floor().unwrap(), world.oracle.oldest());
            let oldest = world.oracle.oldest().0;
            let version = oldest + random.below(world.oracle.last().0 - oldest + 1);
            world.check_state(&world.as_of(Version(version)));
        }
        world.check();
        for version in world.oracle.readable() {
            let (as_of, state) = (world.as_of(version), world.oracle.state(version));
            assert_eq!(as_of.digest().unwrap().to_string(), digest_of(&state));
        }
        let state = world.oracle.state(world.oracle.last());
        let latest = world.history.latest().unwrap();
        assert_eq!(latest.accumulator().unwrap(), accumulator_of(&state));
        check_lives(&world);
    }
}

/// One random step.
fn step(mut world: World, backend: &Backend, random: &mut Random) -> World {
    match random.below(20) {
        0..15 => commit(&mut world, random),
        15 => {
            let (oldest, last) = (world.oracle.oldest().0, world.oracle.last().0);
            let version = oldest + random.below(last - oldest + 1);
            let options = PruneOptions {
                step_operations: 1 + random.below(9) as usize,
                steps_max: Some(random.below(9)),
                ..PruneOptions::default()
            };
            let target = match world.oracle.blocks.range(random.below(40)..).next() {
                Some((number, _)) if random.below(2) == 0 => PruneTarget::Block(*number),
                _ => PruneTarget::Version(Version(version)),
            };
            let report = world.history.prune(target, options, &mut |_| {}).unwrap();
            world.oracle.floor = report.floor;
        }
        16 => {
            let modes = [
                HistoryMode::None,
                HistoryMode::Archive,
                HistoryMode::Window { blocks: 1 + random.below(9) },
            ];
            let mode = modes[random.below(3) as usize];
            if mode != world.oracle.mode {
                world.history.set_mode(mode).unwrap();
                if !(mode.keeps_old_values() && world.oracle.mode.keeps_old_values()) {
                    world.oracle.floor = world.oracle.last();
                }
                world.oracle.mode = mode;
            }
        }
        17 => {
            let report = world.history.prune_to_mode(PruneOptions::default(), &mut |_| {}).unwrap();
            world.oracle.floor = report.floor;
        }
        18 if backend.forgets_plainly().is_none() => world = world.reopen_after(|_| {}),
        _ => {}
    }
    world
}

pub(crate) fn commit(world: &mut World, random: &mut Random) {
    let changes: Vec<(Vec<u8>, Option<Vec<u8>>)> = (0..random.below(7))
        .map(|_| {
            let value = (random.below(3) > 0).then(|| random.next().to_be_bytes()[..3].to_vec());
            (key(random), value)
        })
        .collect();
    let lent: Vec<_> = changes.iter().map(|(key, value)| (&key[..], value.as_deref())).collect();
    let next = world.oracle.blocks.keys().next_back().map_or(random.below(3), |last| last + 1);
    match random.below(3) {
        0 => world.block(next + random.below(2), &lent),
        _ => world.commit(&lent),
    };
}

/// What is told of a key's life agrees with what can be read of it.
fn check_lives(world: &World) {
    for key in world.keys() {
        let life = world.history.versions(&key).unwrap();
        for pair in life.windows(2) {
            assert!(pair[0].version > pair[1].version, "{life:?}");
            // A key that is not there cannot be deleted.
            assert!(pair[0].value.is_some() || pair[1].value.is_some(), "{life:?}");
            assert_eq!(pair[1].superseded_at, Some(pair[0].version));
        }
        for version in world.oracle.readable() {
            let told = life.iter().find(|one| one.version <= version);
            let told = told.filter(|one| one.superseded_at.is_none_or(|at| version < at));
            let told = told.and_then(|one| Some((one.version, one.value.clone()?)));
            assert_eq!(told.as_ref(), world.oracle.state(version).get(&key), "as of {version}");
        }
    }
}
