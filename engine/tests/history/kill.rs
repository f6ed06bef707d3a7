//! History on disk: reopened, and pruned by processes that are killed.
//!
//! The child is this program, started again, which prunes and aborts after the step that it was told.

use crate::backend::{BACKENDS, Backend};
use crate::random;
use crate::world::World;
use std::path::Path;
use std::process::{Command, Stdio, abort, exit};
use supervm_engine::history::{History, PruneOptions, PruneTarget};

/// `backend|steps|block`; the data directory is the working directory.
const CHILD_VARIABLE: &str = "SUPERVM_HISTORY_CHILD";
const STEP_OPERATIONS: usize = 7;

/// In a child: prunes, and ends the process.
pub(crate) fn take_over_if_child() {
    let Ok(task) = std::env::var(CHILD_VARIABLE) else { return };
    let [backend, steps, block] = task.split('|').collect::<Vec<_>>()[..] else { panic!("{task}") };
    let name = BACKENDS.into_iter().find(|name| *name == backend).unwrap();
    let (steps, block): (u64, u64) = (steps.parse().unwrap(), block.parse().unwrap());
    let storage = Backend::find(name).unwrap().open(&std::env::current_dir().unwrap());
    let history = History::new(storage).unwrap();
    let options = PruneOptions { step_operations: STEP_OPERATIONS, ..PruneOptions::default() };
    let report = history
        .prune(PruneTarget::Block(block), options, &mut |progress| {
            if progress.steps >= steps {
                abort();
            }
        })
        .unwrap();
    exit(if report.is_complete { 0 } else { 9 });
}

/// Did the child end by itself?
fn prune_in_child(backend: &Backend, dir: &Path, steps: u64, block: u64) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.env(CHILD_VARIABLE, format!("{}|{steps}|{block}", backend.name));
    let output = child.current_dir(dir).stdout(Stdio::null()).output().unwrap();
    match output.status.code() {
        Some(0) => true,
        None => false,
        Some(code) => panic!("{code}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

fn filled(backend: &Backend) -> World {
    let mut world = World::archive(backend);
    for number in 1..=12_u64 {
        for part in 0..3_u8 {
            let value = [number as u8, part];
            let own = [b'k', number as u8, part];
            world.commit(&[(b"hot", Some(&value)), (&[part], Some(&value)), (&own, Some(&value))]);
        }
        world.block(number, &[(&[b'k', number as u8 - 1, 1], None)]);
    }
    world
}

pub(crate) fn reopening(backend: &Backend) {
    let mut world = filled(backend);
    world = world.reopen_after(|_| {});
    world.check();
    world.prune(PruneTarget::Block(4));
    world.commit(&[(b"hot", Some(b"new"))]);
    world = world.reopen_after(|_| {});
    world.check();
}

pub(crate) fn pruning(backend: &Backend) {
    const BLOCK: u64 = 11;
    let mut expected = filled(backend);
    expected.prune(PruneTarget::Block(BLOCK));
    let mut world = filled(backend);
    world.oracle.floor = world.oracle.blocks[&BLOCK].version;
    let mut random = random::Random::new(random::seed());
    let mut kills = 0;
    loop {
        let steps = 1 + random.below(2);
        let mut has_ended = false;
        world = world.reopen_after(|dir| has_ended = prune_in_child(backend, dir, steps, BLOCK));
        world.check();
        if has_ended {
            break;
        }
        kills += 1;
        assert!(kills < 100, "every run goes on");
    }
    assert!(kills >= 5, "{kills}");
    let digest = |world: &World| world.storage.digest().unwrap();
    assert_eq!(digest(&world), digest(&expected), "as if it had never been killed");
}
