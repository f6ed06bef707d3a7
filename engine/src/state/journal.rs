//! Buffered writes, recorded reads and nested savepoints over a view.

use super::event::Event;
use super::key::{StateKey, write_state_key};
use super::scan::{Pending, Scan, ScanStep};
use super::view::StateView;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::{ByteBuf, Direction, KeyRange, Result, prefix_successor};

/// Bytes that an entry of the journal counts for besides its key and value.
const ENTRY_BYTES: usize = 64;

/// The state of one running transaction over a read view.
///
/// # Examples
/// ```
/// use supervm_engine::mvcc::MvccStore;
/// use supervm_engine::state::{Journal, TxnView};
/// use supervm_plugin_sdk::ByteBuf;
/// let (contract, mut value) = ([7; 20], ByteBuf::new());
/// let mut journal = Journal::new(TxnView::new(MvccStore::new().begin()));
/// journal.set(&contract, b"key", b"first");
/// journal.savepoint();
/// journal.set(&contract, b"key", b"second");
/// journal.rollback();
/// assert!(journal.get(&contract, b"key", &mut value)?);
/// assert_eq!(&*value, b"first");
/// # Ok::<(), supervm_plugin_sdk::Error>(())
/// ```
pub struct Journal<V> {
    view: V,
    /// State keys that were read from the view.
    reads: BTreeSet<Vec<u8>>,
    /// State keys that would be written.
    writes: BTreeMap<Vec<u8>, Written>,
    events: Vec<Event>,
    event_bytes: usize,
    /// What `writes` held before each write since the first open savepoint; empty without one.
    undo: Vec<Undo>,
    savepoints: Vec<Savepoint>,
    bytes: usize,
    /// The state key at hand; kept so that a look-up allocates nothing.
    located: Vec<u8>,
}

/// A value that would be written, shared with the open scans; `None` = deleted.
pub(super) type Written = Option<Arc<Vec<u8>>>;

/// What a key had in the journal before a write: nothing, or a write of its own.
struct Undo {
    key: Vec<u8>,
    before: Option<Written>,
}

struct Savepoint {
    undo: usize,
    events: usize,
    event_bytes: usize,
}

/// What a transaction read and would change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The keys that were read from the view, absent ones included. What was read of the journal's own writes is no read.
    pub reads: BTreeSet<StateKey>,
    /// The keys that are written; `None` = deleted.
    pub writes: BTreeMap<StateKey, Option<Vec<u8>>>,
    /// The events, in the order they were emitted.
    pub events: Vec<Event>,
}

impl<V: StateView> Journal<V> {
    /// An empty journal over `view`.
    pub fn new(view: V) -> Self {
        Self {
            view,
            reads: BTreeSet::new(),
            writes: BTreeMap::new(),
            events: Vec::new(),
            event_bytes: 0,
            undo: Vec::new(),
            savepoints: Vec::new(),
            bytes: 0,
            located: Vec::new(),
        }
    }

    /// Copies the value of `key` into `value`; `false` when the key is absent.
    ///
    /// # Errors
    /// What the view fails with.
    pub fn get(&mut self, contract: &Address, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        write_state_key(contract, key, &mut self.located);
        if let Some(own) = self.writes.get(&self.located) {
            value.set(content(own).unwrap_or_default());
            return Ok(own.is_some());
        }
        record(&mut self.reads, &mut self.bytes, &self.located);
        self.view.get(&self.located, value)
    }

    /// Sets `key` to `value`.
    pub fn set(&mut self, contract: &Address, key: &[u8], value: &[u8]) {
        self.write(contract, key, Some(Arc::new(value.to_vec())));
    }

    /// Removes `key`; recorded as a write also when the key is absent.
    pub fn delete(&mut self, contract: &Address, key: &[u8]) {
        self.write(contract, key, None);
    }

    /// Opens a scan over the contract's keys with `prefix`, at most `limit` of them (0 = as many as there are).
    ///
    /// It sees the journal's writes up to this moment.
    ///
    /// # Errors
    /// What the view fails with.
    pub fn scan(
        &mut self,
        contract: &Address,
        prefix: &[u8],
        direction: Direction,
        limit: u32,
    ) -> Result<Scan> {
        write_state_key(contract, prefix, &mut self.located);
        // Without a successor, the prefix is that of the greatest address.
        let end = prefix_successor(&self.located);
        let range = KeyRange::new(&self.located, end.as_deref());
        let rows = self.view.rows(range, direction)?;
        let own = self.writes.range::<[u8], _>(bounds(range));
        let own = own.map(|(key, value)| (key.clone(), value.clone()));
        let pending: Vec<Pending> = match direction {
            Direction::Forward => own.rev().collect(),
            Direction::Reverse => own.collect(),
        };
        Ok(Scan::new(rows, pending, direction, limit))
    }

    /// How many of the contract's keys with `prefix` the journal would write, deletes included; no more than `most` are counted. A scan
    /// copies as many keys.
    pub fn writes_within(&mut self, contract: &Address, prefix: &[u8], most: usize) -> usize {
        write_state_key(contract, prefix, &mut self.located);
        let end = prefix_successor(&self.located);
        let range = KeyRange::new(&self.located, end.as_deref());
        self.writes.range::<[u8], _>(bounds(range)).take(most).count()
    }

    /// Copies the next entry of `scan`, in its order; `false` at its end.
    ///
    /// # Errors
    /// What the view fails with.
    pub fn scan_next(
        &mut self,
        scan: &mut Scan,
        key: &mut ByteBuf,
        value: &mut ByteBuf,
    ) -> Result<bool> {
        loop {
            match self.scan_step(scan, key, value)? {
                ScanStep::Entry => return Ok(true),
                ScanStep::Removed(_) => {}
                ScanStep::End => return Ok(false),
            }
        }
    }

    /// As [`scan_next`](Self::scan_next), for who pays for what is passed: comes to the next entry, or past a page of keys that
    /// earlier transactions of the same block removed.
    ///
    /// # Errors
    /// As [`scan_next`](Self::scan_next).
    pub fn scan_step(
        &mut self,
        scan: &mut Scan,
        key: &mut ByteBuf,
        value: &mut ByteBuf,
    ) -> Result<ScanStep> {
        let Self { reads, bytes, .. } = self;
        scan.step(key, value, |stored| record(reads, bytes, stored))
    }

    /// Appends an event.
    pub fn emit(&mut self, contract: &Address, data: &[u8]) {
        self.event_bytes += data.len();
        self.events.push(Event { contract: *contract, data: data.to_vec() });
    }

    /// The events so far.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Bytes of the events' data so far.
    pub fn event_bytes(&self) -> usize {
        self.event_bytes
    }

    /// Bytes that the recorded reads, the pending writes and what could be rolled back to take, each entry with an allowance
    /// for what surrounds it. Events are counted apart.
    pub fn byte_len(&self) -> usize {
        self.bytes
    }

    /// Marks this moment; [`rollback`](Self::rollback) or [`release`](Self::release) ends the mark. Savepoints nest.
    pub fn savepoint(&mut self) {
        self.savepoints.push(Savepoint {
            undo: self.undo.len(),
            events: self.events.len(),
            event_bytes: self.event_bytes,
        });
    }

    /// Undoes the writes and events since the newest savepoint and ends it; no effect without one. Reads stay recorded.
    pub fn rollback(&mut self) {
        let Some(mark) = self.savepoints.pop() else { return };
        for Undo { key, before } in self.undo.drain(mark.undo..).rev() {
            self.bytes -= undo_bytes(&key, before.as_ref());
            let undone = match before {
                Some(value) => {
                    self.bytes += entry_bytes(&key, content(&value));
                    self.writes.insert(key.clone(), value)
                }
                None => self.writes.remove(&key),
            };
            if let Some(value) = undone {
                self.bytes -= entry_bytes(&key, content(&value));
            }
        }
        self.events.truncate(mark.events);
        self.event_bytes = mark.event_bytes;
    }

    /// Ends the newest savepoint and keeps what was done since; no effect without one.
    pub fn release(&mut self) {
        self.savepoints.pop();
        if self.savepoints.is_empty() {
            let freed = self.undo.drain(..);
            self.bytes -=
                freed.map(|undo| undo_bytes(&undo.key, undo.before.as_ref())).sum::<usize>();
        }
    }

    /// What was read and would be changed; open savepoints are released.
    pub fn into_changes(self) -> Changes {
        let named = |stored: &[u8]| {
            StateKey::from_bytes(stored).expect("the journal holds keys of contract state")
        };
        Changes {
            reads: self.reads.iter().map(|stored| named(stored)).collect(),
            writes: self
                .writes
                .into_iter()
                .map(|(stored, value)| (named(&stored), value.map(Arc::unwrap_or_clone)))
                .collect(),
            events: self.events,
        }
    }

    fn write(&mut self, contract: &Address, key: &[u8], value: Written) {
        write_state_key(contract, key, &mut self.located);
        self.bytes += entry_bytes(&self.located, content(&value));
        let before = match self.writes.get_mut(&self.located) {
            Some(own) => Some(std::mem::replace(own, value)),
            None => {
                self.writes.insert(self.located.clone(), value);
                None
            }
        };
        if let Some(own) = &before {
            self.bytes -= entry_bytes(&self.located, content(own));
        }
        if !self.savepoints.is_empty() {
            self.bytes += undo_bytes(&self.located, before.as_ref());
            self.undo.push(Undo { key: self.located.clone(), before });
        }
    }
}

impl<V> fmt::Debug for Journal<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal")
            .field("reads", &self.reads.len())
            .field("writes", &self.writes.len())
            .field("events", &self.events.len())
            .field("savepoints", &self.savepoints.len())
            .finish_non_exhaustive()
    }
}

fn bounds(range: KeyRange<'_>) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Included(range.start), range.end.map_or(Bound::Unbounded, Bound::Excluded))
}

fn content(written: &Written) -> Option<&[u8]> {
    written.as_ref().map(|value| value.as_slice())
}

fn record(reads: &mut BTreeSet<Vec<u8>>, bytes: &mut usize, stored: &[u8]) {
    if !reads.contains(stored) {
        *bytes += entry_bytes(stored, None);
        reads.insert(stored.to_vec());
    }
}

fn entry_bytes(key: &[u8], value: Option<&[u8]>) -> usize {
    ENTRY_BYTES + key.len() + value.map_or(0, <[u8]>::len)
}

fn undo_bytes(key: &[u8], before: Option<&Written>) -> usize {
    entry_bytes(key, before.and_then(content))
}
