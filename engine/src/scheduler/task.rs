//! A piece of work with a priority.

use super::work_stealing::WorkStealingScheduler;
use std::fmt;
use supervm_plugin_sdk::Result;

type Run<'env> = dyn FnOnce(&WorkStealingScheduler<'env>) -> Result<()> + Send + 'env;

/// Something to run once, on any thread, with a priority from 0 to 255, the highest.
pub struct Task<'env> {
    priority: u8,
    run: Box<Run<'env>>,
}

impl<'env> Task<'env> {
    /// A task that calls `run` with the scheduler that it runs on, to which it may submit further tasks.
    pub fn new(
        priority: u8,
        run: impl FnOnce(&WorkStealingScheduler<'env>) -> Result<()> + Send + 'env,
    ) -> Self {
        Self { priority, run: Box::new(run) }
    }

    /// The greater, the sooner.
    pub fn priority(&self) -> u8 {
        self.priority
    }

    pub(super) fn run(self, scheduler: &WorkStealingScheduler<'env>) -> Result<()> {
        (self.run)(scheduler)
    }
}

impl fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task(priority {})", self.priority)
    }
}
