//! Writing on after the disk was full.
//!
//! When an append finds the disk full, RocksDB takes no writes until it has recovered: every five seconds it looks whether as much is
//! free as one write buffer holds, then writes what is in memory to disk and begins a new log. Without a word in between it would
//! go on refusing for seconds after space became free, and for good where less becomes free than it waits for.

use crate::config::RocksDbConfig;
use crate::database::Database;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use supervm_plugin_sdk::prelude::*;

/// Twice as long as RocksDB takes until it looks.
const RECOVERY_WAIT: Duration = Duration::from_secs(10);
const RECOVERY_POLL: Duration = Duration::from_millis(20);
/// What the file system and RocksDB's small files take beside a batch.
const OVERHEAD_BYTES: u64 = 1 << 20;

/// Whether the last write found the disk full.
#[derive(Debug, Default)]
pub(crate) struct Space {
    was_full: AtomicBool,
}

/// What to do about a write that was refused because the disk is full.
enum Way {
    Refuse,
    WriteAgain,
    Reopen(&'static str),
}

impl Space {
    /// Runs `write`, a second time when the disk was full before and is not any more.
    ///
    /// # Errors
    /// As `write`; with an unknown effect when only opening the storage anew helps.
    pub(crate) fn guard(
        &self,
        database: &Database,
        config: &RocksDbConfig,
        batch_bytes: usize,
        write: impl Fn() -> Result<()>,
    ) -> Result<()> {
        let Err(error) = write() else {
            self.forget();
            return Ok(());
        };
        if error.kind() != ErrorKind::NoSpace || error.effect() != Effect::NotApplied {
            return Err(error);
        }
        if !self.was_full.swap(true, Ordering::Relaxed) {
            return Err(error);
        }
        match way(database, config, batch_bytes as u64)? {
            Way::Refuse => Err(error),
            Way::WriteAgain => write().inspect(|()| self.forget()),
            Way::Reopen(reason) => Err(Error::new(ErrorKind::NoSpace, "write", reason)
                .with_source(error)
                .with_effect(Effect::Unknown)),
        }
    }

    #[inline]
    fn forget(&self) {
        // Read first: the line in memory stays shared between writers.
        if self.was_full.load(Ordering::Relaxed) {
            self.was_full.store(false, Ordering::Relaxed);
        }
    }
}

fn way(database: &Database, config: &RocksDbConfig, batch_bytes: u64) -> Result<Way> {
    let free = database.free_bytes()?;
    if free < 2 * batch_bytes + OVERHEAD_BYTES {
        return Ok(Way::Refuse);
    }
    if free < config.write_buffer_bytes.0 {
        return Ok(Way::Reopen(
            "the disk was full, and less is free than write_buffer_bytes, which RocksDB waits for; close the storage and open it again",
        ));
    }
    let begin = Instant::now();
    while database.check_background("write").is_err() {
        if begin.elapsed() > RECOVERY_WAIT {
            return Ok(Way::Reopen(
                "the disk was full and RocksDB has not recovered; close the storage and open it again",
            ));
        }
        thread::sleep(RECOVERY_POLL);
    }
    Ok(Way::WriteAgain)
}
