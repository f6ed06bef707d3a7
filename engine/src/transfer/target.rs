//! A new data directory while it is being filled.
//!
//! The directory is marked as unfinished from before the first byte to after the last check, so that no node opens it meanwhile
//! and a later run knows it for its own. How far a run has come lies in the storage itself, in the batch that it tells of: after a
//! kill the two agree, whatever the kill took.

use super::place::{Place, remove_dir};
use super::progress::Resumed;
use super::space::check_free;
use crate::storage::{Storage, mark_finished, mark_unfinished, unfinished};
use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use supervm_plugin_sdk::{Capability, Durability, Error, ErrorKind, OpenMode, Result, WriteBatch};

/// Where a transfer keeps how far it has come.
pub(super) const PROGRESS_KEY: &[u8] = b"m/transfer";
/// A batch is written when it has so many bytes: some backends sync every batch.
const BATCH_BYTES: usize = 16 << 20;
/// Or so many operations.
const BATCH_OPERATIONS: usize = 512 << 10;
/// A backend that keeps everything in memory writes it all when it flushes: first after so many bytes, then each time that half as
/// much again has come.
const FLUSH_BYTES: u64 = 64 << 20;

/// A data directory that is being filled.
#[derive(Debug)]
pub(super) struct Target<'a> {
    place: Place<'a>,
    pub(super) storage: Storage,
    batch: WriteBatch,
    writer: Option<Writer>,
}

/// The thread that writes batches while the next one is made.
#[derive(Debug)]
struct Writer {
    batches: SyncSender<WriteBatch>,
    empty: Receiver<WriteBatch>,
    thread: JoinHandle<Result<()>>,
}

/// What was found in the place of a new directory.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    pub(super) target: Target<'a>,
    /// What the last batch of an earlier run of the same transfer said; absent when it begins anew.
    pub(super) progress: Option<Vec<u8>>,
    pub(super) resumed: Resumed,
}

impl<'a> Target<'a> {
    /// Makes the data directory, or opens the one that an earlier run left.
    ///
    /// `what` says what is going on (`import of /x`), `identity` of what exactly: an unfinished directory of another `what` is refused, of
    /// another `identity` emptied.
    ///
    /// # Errors
    /// `InvalidArgument` when something is there that is not such a directory; those of opening a storage.
    pub(super) fn begin(
        place: Place<'a>,
        chain_id: u64,
        what: &str,
        identity: &[u8],
    ) -> Result<Begun<'a>> {
        let Some(found) = unfinished(place.dir)? else {
            check_is_free(place)?;
            let target = Self::create(place, chain_id, what)?;
            return Ok(Begun { target, progress: None, resumed: Resumed::Fresh });
        };
        if !found.is_empty() && found != what {
            let refused = format!(
                "the directory belongs to another transfer, which has not finished: {found}; finish that one, remove the directory, or name another"
            );
            return Err(Error::new(ErrorKind::InvalidArgument, "transfer", refused)
                .with("dir", place.dir.display()));
        }
        let reason = match Self::reopen(place, chain_id, identity) {
            Ok(Ok((target, progress))) => {
                // The caller, who knows what is in the progress, says how much.
                let resumed = Resumed::Resumed { entries: 0 };
                return Ok(Begun { target, progress: Some(progress), resumed });
            }
            Ok(Err(reason)) => reason,
            Err(error) if error.kind() == ErrorKind::Locked => return Err(error),
            Err(error) => format!("what the earlier run left does not open: {error}"),
        };
        remove_dir(place.dir)?;
        let target = Self::create(place, chain_id, what)?;
        Ok(Begun { target, progress: None, resumed: Resumed::BeganAnew { reason } })
    }

    /// Removes what an earlier run of `what` left; for a source that is found to be of no use before the target is opened.
    ///
    /// # Errors
    /// `Io`, `PermissionDenied`.
    pub(super) fn discard(place: Place<'_>, what: &str) -> Result<()> {
        if unfinished(place.dir)?.as_deref() == Some(what) {
            return remove_dir(place.dir);
        }
        Ok(())
    }

    /// Opens an unfinished directory; the inner error says why it is of no use.
    fn reopen(
        place: Place<'a>,
        chain_id: u64,
        identity: &[u8],
    ) -> Result<Result<(Self, Vec<u8>), String>> {
        let options = place.open_options(chain_id, OpenMode::MustExist);
        let storage = Storage::open_unfinished(place.plugin, options)?;
        let Some(progress) = storage.get(PROGRESS_KEY)? else {
            storage.close()?;
            return Ok(Err("the earlier run had not come far enough".to_owned()));
        };
        let Some(progress) = progress.strip_prefix(identity) else {
            storage.close()?;
            return Ok(Err("the source is not what it was in the earlier run".to_owned()));
        };
        let progress = progress.to_vec();
        Ok(Ok((Self::new(place, storage), progress)))
    }

    fn create(place: Place<'a>, chain_id: u64, what: &str) -> Result<Self> {
        fs::create_dir_all(place.dir).map_err(|error| {
            Error::io("create data directory", error).with("dir", place.dir.display())
        })?;
        // IMPORTANT: the mark comes before anything that a node would open.
        mark_unfinished(place.dir, what)?;
        let options = place.open_options(chain_id, OpenMode::Create);
        let opened = Storage::open_unfinished(place.plugin, options);
        let storage = opened.inspect_err(|_| {
            // The failure is what is reported; an empty directory that stays is marked.
            let _ = remove_dir(place.dir);
        })?;
        Ok(Self::new(place, storage))
    }

    fn new(place: Place<'a>, storage: Storage) -> Self {
        let writer = Some(Writer::start(storage.clone()));
        Self { place, storage, batch: WriteBatch::new(), writer }
    }

    /// The operations that are written next.
    pub(super) fn batch(&mut self) -> &mut WriteBatch {
        &mut self.batch
    }

    /// Is it time to [`commit`](Self::commit)?
    pub(super) fn is_full(&self) -> bool {
        self.batch.as_bytes().len() >= BATCH_BYTES || self.batch.len() >= BATCH_OPERATIONS
    }

    /// Hands the operations to the writing thread, together with how far they go: `identity`, then `progress`.
    ///
    /// # Errors
    /// `NoSpace` when they have no room; those of the writing thread.
    pub(super) fn commit(&mut self, identity: &[u8], progress: &[u8]) -> Result<()> {
        self.batch.put(PROGRESS_KEY, &[identity, progress].concat());
        let Some(writer) = &self.writer else { return Err(no_writer()) };
        let empty = writer.empty.recv().unwrap_or_default();
        check_free(self.place.dir, self.batch.as_bytes().len() as u64)?;
        let batch = std::mem::replace(&mut self.batch, empty);
        if writer.batches.send(batch).is_err() {
            // The thread ends early only with a failure.
            self.settle()?;
            return Err(no_writer());
        }
        Ok(())
    }

    /// Waits until everything that was committed is written.
    pub(super) fn settle(&mut self) -> Result<()> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.stop()?;
        self.writer = Some(Writer::start(self.storage.clone()));
        Ok(())
    }

    /// Writes `last` and ends the filling: everything durable, no progress kept, the mark gone.
    pub(super) fn finish(mut self, mut last: WriteBatch) -> Result<()> {
        self.settle()?;
        last.delete(PROGRESS_KEY);
        self.storage.write(&last, Durability::Buffered)?;
        self.storage.flush(self.storage.durability())?;
        self.stop()?;
        self.storage.close()?;
        mark_finished(self.place.dir)
    }

    /// Removes the directory.
    pub(super) fn abandon(mut self) -> Result<()> {
        // What goes wrong with a storage that is thrown away is of no interest.
        let _ = self.stop();
        let _ = self.storage.close();
        let dir: PathBuf = self.place.dir.to_owned();
        drop(self);
        remove_dir(&dir)
    }

    /// Ends a run that a later one goes on from.
    pub(super) fn leave(mut self) -> Result<()> {
        self.stop()?;
        self.storage.close()
    }

    fn stop(&mut self) -> Result<()> {
        self.writer.take().map_or(Ok(()), Writer::stop)
    }
}

impl Writer {
    fn start(storage: Storage) -> Self {
        // One batch is being written, one waits, one is being filled.
        let (batches, queue) = sync_channel::<WriteBatch>(1);
        let (give_back, empty) = sync_channel(3);
        for _ in 0..2 {
            // There is room for all three.
            let _ = give_back.send(WriteBatch::new());
        }
        let thread = thread::spawn(move || {
            let syncs = storage.capabilities().has(Capability::SyncedWrites);
            let (mut written, mut flushed) = (0_u64, 0_u64);
            while let Ok(mut batch) = queue.recv() {
                storage.write(&batch, Durability::Buffered)?;
                written += batch.as_bytes().len() as u64;
                if !syncs && written - flushed >= FLUSH_BYTES.max(flushed / 2) {
                    storage.flush(Durability::Buffered)?;
                    flushed = written;
                }
                batch.clear();
                // Nobody takes it when the transfer has ended.
                let _ = give_back.send(batch);
            }
            Ok(())
        });
        Self { batches, empty, thread }
    }

    fn stop(self) -> Result<()> {
        drop(self.batches);
        self.thread.join().unwrap_or_else(|_| Err(no_writer()))
    }
}

fn no_writer() -> Error {
    Error::new(ErrorKind::Internal, "transfer", "the writing thread has ended")
}

fn check_is_free(place: Place<'_>) -> Result<()> {
    let is_free = match fs::read_dir(place.dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(_) => false,
        Ok(mut entries) => entries.next().is_none(),
    };
    if is_free {
        return Ok(());
    }
    let refused = "there is something already; name a directory that does not exist";
    Err(Error::new(ErrorKind::InvalidArgument, "transfer", refused)
        .with("dir", place.dir.display()))
}
