//! Means to let the system fail beneath a backend: calls on files that fail, disks that fill up, power that is cut.
//!
//! A case that uses them is marked with [`Case::faults`](crate::case::Case::faults). It runs in a process of its own, with the
//! library of `shim/calls.rs` loaded before everything else and with a mount table of its own, and the process ends with it.

mod disk;
mod held;
mod ledger;
mod power;
pub(crate) mod preload;
mod system;

pub(crate) use disk::{Disk, FilesMax, file_sizes, isolate};
pub(crate) use held::HeldSyncs;
pub(crate) use ledger::Ledger;
pub(crate) use power::Recorder;
pub(crate) use system::die;

use crate::case::CaseResult;
use crate::check::{failed, skipped};
use std::fmt;
use std::path::Path;
use system::Shim;

pub(crate) const EIO: i32 = libc::EIO;
pub(crate) const EMFILE: i32 = libc::EMFILE;
pub(crate) const ENOSPC: i32 = libc::ENOSPC;

/// A kind of calls on files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Call {
    Write = 0,
    Sync = 1,
    Read = 2,
    Open = 3,
    /// Making a file longer, or reserving its blocks.
    Grow = 4,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write => "write (write, pwrite, writev and their kin)",
            Self::Sync => "sync (fsync, fdatasync, sync_file_range, msync)",
            Self::Read => "read (read, pread and their kin)",
            Self::Open => "open (open, openat, creat, fopen)",
            Self::Grow => "grow (ftruncate, fallocate)",
        })
    }
}

/// Which calls fail, after how many that pass, and how many of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) calls: &'static [Call],
    /// The number that the call fails with.
    pub(crate) code: i32,
    pub(crate) passes: u32,
    pub(crate) failures: Failures,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failures {
    One,
    Every,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kinds: Vec<_> =
            self.calls.iter().map(|call| format!("{call:?}").to_lowercase()).collect();
        let name = match self.code {
            EIO => "EIO",
            EMFILE => "EMFILE",
            ENOSPC => "ENOSPC",
            _ => "an error",
        };
        let number = self.passes + 1;
        let which = match self.failures {
            Failures::One => format!("call {number} alone"),
            Failures::Every => format!("call {number} and every later one"),
        };
        write!(f, "of the {} calls, {which} failed with {name}", kinds.join(" and "))
    }
}

/// The calls of this process on the files below one directory: there is one such directory at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls(Shim);

impl Calls {
    /// Watches the files below `dir`, and counts from 0.
    pub(crate) fn watch(dir: &Path) -> CaseResult<Self> {
        let Some(shim) = Shim::find() else {
            return skipped(preload::why_not());
        };
        // The library compares with the paths that the system gives to open files.
        let parent = dir.parent().unwrap_or(dir).canonicalize()?;
        shim.watch(&parent.join(dir.file_name().unwrap_or_default()));
        Ok(Self(shim))
    }

    /// Lets calls fail from now on, until the guard is dropped.
    pub(crate) fn fail(&self, fault: Fault) -> Armed {
        let kinds = fault.calls.iter().fold(0, |kinds, call| kinds | 1 << *call as u32);
        let failures = match fault.failures {
            Failures::One => 1,
            Failures::Every => i64::MAX,
        };
        self.0.arm(kinds, fault.code, i64::from(fault.passes), failures);
        Armed(self.0)
    }

    /// Calls of this kind since the watch began.
    pub(crate) fn count(&self, call: Call) -> u64 {
        self.0.calls(call as u32)
    }

    /// Skips or fails a case whose calls were never made: what the backend does otherwise is not seen, or not done.
    pub(crate) fn never_made<T>(&self, call: Call) -> CaseResult<T> {
        if call == Call::Read {
            return skipped(
                "the backend made no read call that could fail: it reads mapped memory or keeps all in its own",
            );
        }
        if self.count(Call::Write) == 0 {
            return skipped(
                "the backend writes in a way that the suite does not see: through mapped memory, or without the C library",
            );
        }
        failed(format!("the backend made no call of the kind {call}"))
    }
}

/// Calls fail until it is dropped.
#[derive(Debug)]
pub(crate) struct Armed(Shim);

impl Armed {
    /// Calls that failed so far.
    pub(crate) fn fired(&self) -> u64 {
        self.0.fired()
    }
}

impl Drop for Armed {
    fn drop(&mut self) {
        self.0.disarm();
    }
}
