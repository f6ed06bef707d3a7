//! How far a transfer has come.

use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};

/// Between two calls of the callback at least, unless much was done; a terminal shows no more.
const REPORT_INTERVAL: Duration = Duration::from_millis(50);
/// The callback is called after so many bytes, however short the time.
const REPORT_BYTES: u64 = 16 << 20;
/// The clock is looked at after so many bytes.
const CLOCK_BYTES: u64 = 256 << 10;

/// What a transfer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Checking what an earlier run left, to go on after it.
    Resuming,
    /// Reading here and writing there.
    Copying,
    /// Making what was written durable.
    Flushing,
    /// Reading back what was written and comparing digests.
    Verifying,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resuming => "resuming",
            Self::Copying => "copying",
            Self::Flushing => "flushing",
            Self::Verifying => "verifying",
        })
    }
}

/// How far a transfer has come within its phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// What it is doing; the counts begin anew with each phase.
    pub phase: Phase,
    /// Entries done.
    pub entries: u64,
    /// Entries to do, about; `None` = not known.
    pub entries_total: Option<u64>,
    /// Bytes of keys and values done, before compression.
    pub bytes: u64,
    /// Bytes to do, about; `None` = not known.
    pub bytes_total: Option<u64>,
}

/// What is called as a transfer goes on: at the beginning and the end of each phase, and in between some twenty times a second at most, or
/// every 16 MiB where that is more often.
pub type OnProgress<'a> = &'a mut dyn FnMut(&Progress);

/// What a run did about the one before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "run", rename_all = "snake_case")]
pub enum Resumed {
    /// There was no run before it.
    Fresh,
    /// It went on after what an earlier run had done.
    Resumed {
        /// Entries that were there already.
        entries: u64,
    },
    /// It threw away what an earlier run had done.
    BeganAnew {
        /// Why, in words.
        reason: String,
    },
}

/// Counts and calls the callback.
pub(super) struct Meter<'a> {
    on_progress: OnProgress<'a>,
    progress: Progress,
    reported: Option<Instant>,
    /// Bytes since the last report, and since the last look at the clock.
    bytes_since_report: u64,
    bytes_since_clock: u64,
}

impl fmt::Debug for Meter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("progress", &self.progress).finish_non_exhaustive()
    }
}

impl<'a> Meter<'a> {
    pub(super) fn new(on_progress: OnProgress<'a>) -> Self {
        let progress = Progress {
            phase: Phase::Copying,
            entries: 0,
            entries_total: None,
            bytes: 0,
            bytes_total: None,
        };
        Self { on_progress, progress, reported: None, bytes_since_report: 0, bytes_since_clock: 0 }
    }

    /// Begins a phase.
    pub(super) fn begin(&mut self, phase: Phase, entries: Option<u64>, bytes: Option<u64>) {
        self.end();
        self.progress =
            Progress { phase, entries: 0, entries_total: entries, bytes: 0, bytes_total: bytes };
        self.report();
    }

    /// Adds to what is done.
    pub(super) fn add(&mut self, entries: u64, bytes: u64) {
        self.progress.entries += entries;
        self.progress.bytes += bytes;
        self.bytes_since_report += bytes;
        self.bytes_since_clock += bytes;
        if self.bytes_since_clock < CLOCK_BYTES {
            return;
        }
        self.bytes_since_clock = 0;
        let is_time = self.reported.is_none_or(|reported| reported.elapsed() >= REPORT_INTERVAL);
        if is_time || self.bytes_since_report >= REPORT_BYTES {
            self.report();
        }
    }

    /// Reports how the phase ended.
    pub(super) fn end(&mut self) {
        if self.reported.take().is_some() {
            self.report();
            self.reported = None;
        }
    }

    fn report(&mut self) {
        self.reported = Some(Instant::now());
        self.bytes_since_report = 0;
        (self.on_progress)(&self.progress);
    }
}
