//! Background threads of databases: their work for one leg's batches is not to fall into another leg's time.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(1);
/// A thread may be on its way from one piece of work to the next at one look.
const LOOKS: usize = 3;
/// Longer than a compaction takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until no other thread of this process runs or waits for the disk, and at most [`PATIENCE`].
pub(super) fn await_background() {
    let start = Instant::now();
    let mut quiet_looks = 0;
    while quiet_looks < LOOKS && start.elapsed() < PATIENCE {
        quiet_looks = if busy_threads() == 0 { quiet_looks + 1 } else { 0 };
        sleep(PAUSE);
    }
}

/// Threads besides this one that run, are about to, or wait for the disk.
fn busy_threads() -> usize {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let others = tasks.filter(|task| task.file_name().to_str() != Some(&own));
    // A thread that ended meanwhile has no state.
    let states = others.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    states.filter(|stat| is_busy(stat)).count()
}

/// The state follows the name, which may have parentheses of its own.
fn is_busy(stat: &str) -> bool {
    let state = stat.rsplit_once(") ").and_then(|(_, fields)| fields.chars().next());
    matches!(state, Some('R' | 'D'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::spin_loop;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn a_thread_that_works_is_waited_for() {
        let is_ready = AtomicBool::new(false);
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                let end = Instant::now() + Duration::from_millis(100);
                is_ready.store(true, Ordering::Release);
                while Instant::now() < end {
                    spin_loop();
                }
            });
            while !is_ready.load(Ordering::Acquire) {
                spin_loop();
            }
            await_background();
            assert!(worker.is_finished());
        });
    }

    #[test]
    fn the_state_is_found_behind_any_name() {
        assert!(is_busy("7 (a) R (b)) D 1 7"));
        assert!(!is_busy("7 (leveldb) S 1 7"));
        assert!(!is_busy(""));
    }
}
