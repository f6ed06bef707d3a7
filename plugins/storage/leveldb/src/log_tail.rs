//! The log that LevelDB appends to, and its syncs.
//!
//! LevelDB begins a new log when the table in memory is full, and lets go of the old one without a sync. A sync of the new log then says
//! nothing about the writes in the old one, until the table they are in was written out. So syncs are made here, through second
//! descriptors of the same files, and reach the older logs first. Without a sync nothing waits for the disk: what the death of the
//! machine takes of an older log takes the later ones along, which `recovery` sees to.
//!
//! A new log is looked for when something is to be synced and not before: LevelDB's thread may be about to remove files, and whoever
//! looks into the directory meanwhile waits for it.
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
    /// Length of the log after the last write that went to it.
    bytes: u64,
    /// Did a write go to a later log?
    is_left: bool,
}

impl LogTail {
    /// The last log in `dir`, whose database was just opened.
    pub(crate) fn open(dir: PathBuf) -> io::Result<Self> {
        let Some((number, path)) = files::logs(&dir)?.pop() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the database has no log"));
        };
        let log = File::open(path)?;
        let bytes = log.metadata()?.len();
        // The names of files that open has made are in the directory, not in the files.
        sync_dir(&dir)?;
        Ok(Self { dir, number, log, bytes, is_left: false })
    }

    /// Called after each write. A log that did not grow is not the last one any more.
    #[inline]
    pub(crate) fn follow(&mut self) -> io::Result<()> {
        if !self.is_left {
            let bytes = self.log.metadata()?.len();
            self.is_left = bytes == self.bytes;
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Makes every write durable that [`follow`](Self::follow) was called for.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.log.sync_data()?;
        if self.is_left { self.sync_later_logs() } else { Ok(()) }
    }

    fn sync_later_logs(&mut self) -> io::Result<()> {
        while self.is_left {
            let mut later = files::logs(&self.dir)?;
            later.retain(|(number, _)| *number > self.number);
            if later.is_empty() {
                return Err(io::Error::other("a write did not make the log longer"));
            }
            sync_dir(&self.dir)?;
            for (number, path) in later {
                let log = match File::open(path) {
                    // Its content is in a table meanwhile, and there is a later log.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    log => log?,
                };
                log.sync_data()?;
                self.bytes = log.metadata()?.len();
                (self.number, self.log, self.is_left) = (number, log, false);
            }
        }
        Ok(())
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
