//! The tasks that no thread has taken yet: a queue for each priority.
//!
//! A bit for each priority says where to look. A bit may be set over an empty queue for a while, but never stays clear over one that is not.

use super::task::Task;
use crossbeam_deque::{Injector, Steal, Worker};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const PRIORITIES: usize = u8::MAX as usize + 1;
const BITS: usize = u64::BITS as usize;

pub(super) struct Waiting<'env> {
    /// Made when a priority is first used: each takes 2 KiB.
    queues: Box<[OnceLock<Injector<Task<'env>>>]>,
    occupied: [AtomicU64; PRIORITIES / BITS],
}

impl<'env> Waiting<'env> {
    pub(super) fn new() -> Self {
        let queues = (0..PRIORITIES).map(|_| OnceLock::new()).collect();
        Self { queues, occupied: Default::default() }
    }

    pub(super) fn push(&self, task: Task<'env>) {
        let priority = task.priority();
        self.queues[usize::from(priority)].get_or_init(Injector::new).push(task);
        let (word, bit) = self.place(priority);
        // IMPORTANT: after the push, and in one order with what `settle` does; see there.
        if word.load(Ordering::SeqCst) & bit == 0 {
            word.fetch_or(bit, Ordering::SeqCst);
        }
    }

    /// The highest priority that may have a task.
    pub(super) fn highest(&self) -> Option<u8> {
        let words = self.occupied.iter().enumerate().rev();
        let mut set = words.map(|(at, word)| (at, word.load(Ordering::SeqCst)));
        let (at, word) = set.find(|(_, word)| *word != 0)?;
        Some((at * BITS + word.ilog2() as usize) as u8)
    }

    /// Takes the oldest task of `priority`; with `more`, puts some of those after it there.
    pub(super) fn take(
        &self,
        priority: u8,
        more: Option<&Worker<Task<'env>>>,
    ) -> Steal<Task<'env>> {
        let Some(queue) = self.queues[usize::from(priority)].get() else { return Steal::Empty };
        let taken = match more {
            Some(local) => queue.steal_batch_and_pop(local),
            None => queue.steal(),
        };
        if taken.is_empty() {
            self.settle(priority, queue);
        }
        taken
    }

    /// Clears the bit of a queue that was found empty.
    fn settle(&self, priority: u8, queue: &Injector<Task<'env>>) {
        let (word, bit) = self.place(priority);
        word.fetch_and(!bit, Ordering::SeqCst);
        // IMPORTANT: after the bit was cleared. Who pushed before this look is seen by it; who pushes after it finds the bit clear, and sets it.
        if !queue.is_empty() {
            word.fetch_or(bit, Ordering::SeqCst);
        }
    }

    fn place(&self, priority: u8) -> (&AtomicU64, u64) {
        let priority = usize::from(priority);
        (&self.occupied[priority / BITS], 1 << (priority % BITS))
    }
}
