//! Many operations of one kind as one execution.

use super::parallel::ParallelScheduler;
use crate::layout::Version;
use crate::mvcc::Txn;
use crate::state::Event;
use std::thread;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Keys of a batch that each thread gets at least when they are divided. A thread takes up to 0.1 ms to start and end; so many keys take 0.6 to 1 ms when
/// the backend has to be asked for them.
pub const KEYS_PER_THREAD_MIN: usize = 1_024;

impl ParallelScheduler {
    /// Sets every key to its value, in one transaction; of a key that comes twice the last value stays. Returns the version that they have.
    ///
    /// # Errors
    /// As [`execute_with_retry`](Self::execute_with_retry) and [`Txn::write`]; nothing is written then.
    pub fn batch_write(&self, entries: &[(impl AsRef<[u8]>, impl AsRef<[u8]>)]) -> Result<Version> {
        let write = |txn: &mut Txn| {
            entries.iter().try_for_each(|(key, value)| txn.write(key.as_ref(), value.as_ref()))
        };
        self.transact("batch write", write).map(|((), version)| version)
    }

    /// Removes every key, in one transaction; it is no error when one does not exist. Returns the version from which on they are gone.
    ///
    /// # Errors
    /// As [`execute_with_retry`](Self::execute_with_retry) and [`Txn::delete`]; nothing is removed then.
    pub fn batch_delete(&self, keys: &[impl AsRef<[u8]>]) -> Result<Version> {
        let delete = |txn: &mut Txn| keys.iter().try_for_each(|key| txn.delete(key.as_ref()));
        self.transact("batch delete", delete).map(|((), version)| version)
    }

    /// The values of `keys` in their order, `None` for one that does not exist; all of one version, the newest.
    ///
    /// Divided among threads when the store has a backend, which may have to be asked for each key, and each thread gets at least
    /// [`KEYS_PER_THREAD_MIN`] keys. What is in memory is read faster than a thread starts.
    ///
    /// # Errors
    /// As [`Txn::read`].
    pub fn batch_read(&self, keys: &[impl AsRef<[u8]> + Sync]) -> Result<Vec<Option<Vec<u8>>>> {
        let txn = self.store().begin_read_only();
        let worth_starting = match self.store().storage() {
            Some(_) => keys.len() / KEYS_PER_THREAD_MIN,
            None => 1,
        };
        let threads = self.threads().min(worth_starting).max(1);
        self.once("batch read", || match threads {
            1 => read_all(&txn, keys),
            threads => read_divided(&txn, keys, threads),
        })
    }

    /// Keeps `events` in their order, without another batch's between them, until they are [taken](Self::take_events).
    ///
    /// Emit what an execution gives rise to when it has succeeded: a try that is discarded must not leave events.
    ///
    /// # Errors
    /// `Busy` when more than [`KEPT_EVENTS_MAX`](super::KEPT_EVENTS_MAX) events or [`KEPT_EVENT_BYTES_MAX`](super::KEPT_EVENT_BYTES_MAX) bytes of data would be
    /// kept; none of them is.
    pub fn batch_emit_events(&self, events: impl IntoIterator<Item = Event>) -> Result<()> {
        self.once("batch emit events", || self.events().append(events.into_iter().collect()))
    }

    /// Takes the events that are kept, in the order in which their batches were emitted.
    pub fn take_events(&self) -> Vec<Event> {
        self.events().take()
    }
}

fn read_all(txn: &Txn, keys: &[impl AsRef<[u8]>]) -> Result<Vec<Option<Vec<u8>>>> {
    keys.iter().map(|key| txn.read_shared(key.as_ref())).collect()
}

fn read_divided(
    txn: &Txn,
    keys: &[impl AsRef<[u8]> + Sync],
    threads: usize,
) -> Result<Vec<Option<Vec<u8>>>> {
    let mut parts = keys.chunks(keys.len().div_ceil(threads));
    let own = parts.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = parts.map(|part| scope.spawn(move || read_all(txn, part))).collect();
        let mut values = read_all(txn, own)?;
        for other in others {
            let panicked =
                |_| Err(Error::new(ErrorKind::Internal, "batch read", "a thread panicked"));
            values.append(&mut other.join().unwrap_or_else(panicked)?);
        }
        Ok(values)
    })
}
