//! The log that LevelDB appends to, and its syncs.
//!
//! LevelDB begins a new log when the table in memory is full, and lets go of the old one without a sync. A sync of the new log then says
//! nothing about the writes in the old one: after a power cut they may be missing while later ones are there, until the table they are
//! in was written out. So syncs are made here, through a second descriptor of the same file, and the old log is synced before the
//! write that went to the new one returns.
//!
//! Invariant: every log before [`LogTail::log`] is synced, or its content is in a table, which LevelDB syncs.

use crate::files;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

pub(crate) struct LogTail {
    dir: PathBuf,
    number: u64,
    log: File,
    /// Length of the log after the last write.
    bytes: u64,
    /// Logs begun since open.
    begun: u64,
}

impl LogTail {
    /// The last log in `dir`, whose database was just opened.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        let (number, log) = last_log(&dir)?;
        let bytes = log.metadata()?.len();
        // The names of files that open has made are in the directory, not in the files.
        sync_dir(&dir)?;
        Ok(Self { dir, number, log, bytes, begun: 0 })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn begun(&self) -> u64 {
        self.begun
    }

    /// Called after each write. A log that did not grow is not the last one any more.
    #[inline]
    pub(crate) fn follow(&mut self) -> io::Result<()> {
        let bytes = self.log.metadata()?.len();
        if bytes == self.bytes {
            return self.follow_to_new_log();
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Makes every write durable that [`follow`](Self::follow) was called for.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.log.sync_data()
    }

    fn follow_to_new_log(&mut self) -> io::Result<()> {
        self.log.sync_data()?;
        let (number, log) = last_log(&self.dir)?;
        if number == self.number {
            return Err(io::Error::other("a write did not make the log longer"));
        }
        // A compaction may have begun logs between two writes.
        for (between, path) in files::logs(&self.dir)? {
            if between <= self.number || between >= number {
                continue;
            }
            match File::open(path) {
                Ok(log) => log.sync_data()?,
                // Its content is in a table.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        sync_dir(&self.dir)?;
        self.bytes = log.metadata()?.len();
        (self.number, self.log) = (number, log);
        self.begun += 1;
        Ok(())
    }
}

/// The log with the greatest number.
fn last_log(dir: &Path) -> io::Result<(u64, File)> {
    loop {
        let Some((number, path)) = files::logs(dir)?.pop() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the database has no log"));
        };
        match File::open(path) {
            // A compaction may end it meanwhile; there is a later one then.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            log => return Ok((number, log?)),
        }
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
