//! Work on several threads, with the results in the order in which the work was handed in.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Most threads of one transfer.
const THREADS_MAX: usize = 16;

/// The threads to use when `asked` are asked for; 0 = as many as the machine has.
pub(super) fn threads(asked: usize) -> usize {
    let here = || thread::available_parallelism().map_or(1, usize::from);
    if asked == 0 { here().min(THREADS_MAX) } else { asked.min(THREADS_MAX) }
}

/// Work under way: at most two items a thread, so that the memory in use has a bound.
#[derive(Debug)]
pub(super) struct Ordered<I, O> {
    jobs: Sender<(I, SyncSender<O>)>,
    pending: VecDeque<Receiver<O>>,
    depth: usize,
}

impl<I, O> Ordered<I, O> {
    /// Must a result be taken before the next item?
    pub(super) fn is_full(&self) -> bool {
        self.pending.len() >= self.depth
    }

    /// Hands in an item.
    pub(super) fn submit(&mut self, item: I) -> Result<()> {
        let (answer, pending) = sync_channel(1);
        self.jobs.send((item, answer)).map_err(|_| gone())?;
        self.pending.push_back(pending);
        Ok(())
    }

    /// The result of the oldest item whose result was not taken; `None` when there is none.
    pub(super) fn take(&mut self) -> Result<Option<O>> {
        let Some(pending) = self.pending.pop_front() else { return Ok(None) };
        pending.recv().map(Some).map_err(|_| gone())
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Internal, "transfer", "a working thread panicked")
}

/// Runs `body` with `threads` threads that do `work`.
pub(super) fn with_pool<I: Send, O: Send, R>(
    threads: usize,
    work: impl Fn(I) -> O + Sync,
    body: impl FnOnce(&mut Ordered<I, O>) -> R,
) -> R {
    let (jobs, queue) = channel::<(I, SyncSender<O>)>();
    let queue = Mutex::new(queue);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let job = queue.lock().recv();
                    let Ok((item, answer)) = job else { return };
                    // Whoever does not want the answer has failed elsewhere.
                    let _ = answer.send(work(item));
                }
            });
        }
        let mut ordered = Ordered { jobs, pending: VecDeque::new(), depth: 2 * threads };
        // The queue ends when `ordered` is dropped, and the threads with it.
        body(&mut ordered)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let doubled = with_pool(
            3,
            |item: u64| {
                thread::sleep(std::time::Duration::from_micros(item * 7919 % 300));
                2 * item
            },
            |pool| -> Result<Vec<u64>> {
                let mut results = Vec::new();
                for item in 0..200 {
                    if pool.is_full() {
                        results.extend(pool.take()?);
                    }
                    pool.submit(item)?;
                }
                while let Some(result) = pool.take()? {
                    results.push(result);
                }
                Ok(results)
            },
        );
        assert_eq!(doubled.expect("no panic"), (0..200).map(|item| 2 * item).collect::<Vec<_>>());
    }
}
