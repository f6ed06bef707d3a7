//! What the time is taken with.

use clap::ValueEnum;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The time that passes.
    Wall,
    /// The time in which the measuring thread has a processor.
    Cpu,
}

impl Clock {
    /// The time since some moment in the past.
    #[inline]
    pub(super) fn now(self) -> Duration {
        let time = clock_gettime(match self {
            Self::Wall => ClockId::Monotonic,
            Self::Cpu => ClockId::ThreadCPUTime,
        });
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
}
