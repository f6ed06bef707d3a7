//! What a task reads and writes.

use crate::state::Changes;

/// The keys that a task reads and writes. A key may be in both; one that comes twice counts once.
///
/// # Examples
/// ```
/// use supervm_engine::scheduler::ReadWriteSet;
/// let transfer = ReadWriteSet::new().reading("alice").writing("alice").writing("bob");
/// assert_eq!((transfer.reads().len(), transfer.writes().len()), (1, 2));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadWriteSet {
    reads: Vec<Box<[u8]>>,
    writes: Vec<Box<[u8]>>,
}

impl ReadWriteSet {
    /// Of a task that touches nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with `key` read.
    #[must_use]
    pub fn reading(mut self, key: impl AsRef<[u8]>) -> Self {
        self.reads.push(key.as_ref().into());
        self
    }

    /// The same with `key` written, or deleted.
    #[must_use]
    pub fn writing(mut self, key: impl AsRef<[u8]>) -> Self {
        self.writes.push(key.as_ref().into());
        self
    }

    /// The keys that are read, absent ones included, in the order in which they were added.
    pub fn reads(&self) -> &[Box<[u8]>] {
        &self.reads
    }

    /// The keys that are written or deleted, in the order in which they were added.
    pub fn writes(&self) -> &[Box<[u8]>] {
        &self.writes
    }
}

impl From<&Changes> for ReadWriteSet {
    fn from(changes: &Changes) -> Self {
        let set = changes.reads.iter().fold(Self::new(), |set, key| set.reading(key.to_bytes()));
        changes.writes.keys().fold(set, |set, key| set.writing(key.to_bytes()))
    }
}
