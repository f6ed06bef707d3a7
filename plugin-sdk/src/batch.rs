//! A batch of writes as one contiguous operation log.
//!
//! ```text
//! log        operation*
//! operation  1 | key length u32 LE | value length u32 LE | key | value       put
//!            2 | key length u32 LE | 0                   | key               delete
//!            3 | lo length u32 LE  | hi length u32 LE    | lo  | hi          delete_range [lo, hi)
//!            4 | lo length u32 LE  | 0                   | lo                delete_range [lo, unbounded)
//! ```
//!
//! One log is one call across the boundary, and its bytes are the same for the same operations, so it can be
//! hashed, kept and replayed. LevelDB's write batch has the same idea.

use crate::{ByteBuf, Error, ErrorKind, KeyRange, Limits, Result};

const HEADER_BYTES: usize = 9;
const PUT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_RANGE: u8 = 3;
const DELETE_FROM: u8 = 4;

/// One operation of a [`WriteBatch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Sets `key` to `value`.
    Put {
        /// The key.
        key: &'a [u8],
        /// The value; empty is present.
        value: &'a [u8],
    },
    /// Removes `key`; no effect when it is absent.
    Delete {
        /// The key.
        key: &'a [u8],
    },
    /// Removes every key in the range, those that the same batch put before it included (clause 6).
    DeleteRange {
        /// The range; empty when `start >= end`.
        range: KeyRange<'a>,
    },
}

/// Operations that are applied atomically and in order (clauses 6 and 7).
///
/// # Examples
/// ```
/// use supervm_plugin_sdk::{KeyRange, Operation, WriteBatch};
/// let mut batch = WriteBatch::new();
/// batch.put(b"a", b"1");
/// batch.delete(b"b");
/// batch.delete_range(KeyRange::new(b"c", None));
/// assert_eq!(batch.len(), 3);
/// assert_eq!(batch.iter().next(), Some(Operation::Put { key: b"a", value: b"1" }));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WriteBatch {
    log: ByteBuf,
    operations: u64,
}

impl WriteBatch {
    /// An empty batch; allocates nothing.
    pub const fn new() -> Self {
        Self { log: ByteBuf::new(), operations: 0 }
    }

    /// Reads back a log that [`as_bytes`](Self::as_bytes) gave.
    ///
    /// # Errors
    /// `Corruption` when the log does not parse to its last byte.
    pub fn from_bytes(log: &[u8]) -> Result<Self> {
        let batch = Self { log: log.to_vec().into(), operations: 0 };
        let mut operations = batch.iter();
        let count = operations.by_ref().count() as u64;
        if !operations.rest.is_empty() {
            return Err(Error::new(
                ErrorKind::Corruption,
                "batch",
                "the operation log is cut or malformed",
            )
            .with("offset", log.len() - operations.rest.len()));
        }
        Ok(Self { operations: count, ..batch })
    }

    /// Sets `key` to `value`.
    #[inline]
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.push(PUT, key, value);
    }

    /// Removes `key`.
    #[inline]
    pub fn delete(&mut self, key: &[u8]) {
        self.push(DELETE, key, &[]);
    }

    /// Removes every key in `range`.
    pub fn delete_range(&mut self, range: KeyRange<'_>) {
        match range.end {
            Some(end) => self.push(DELETE_RANGE, range.start, end),
            None => self.push(DELETE_FROM, range.start, &[]),
        }
    }

    /// Adds the operations of `other` after those that are there.
    pub fn append(&mut self, other: &Self) {
        self.log.extend(&other.log);
        self.operations += other.operations;
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.log.clear();
        self.operations = 0;
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.operations as usize
    }

    /// Is there no operation?
    pub fn is_empty(&self) -> bool {
        self.operations == 0
    }

    /// The operation log; the same operations give the same bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.log
    }

    /// The operations, in order.
    pub fn iter(&self) -> Operations<'_> {
        Operations { rest: &self.log }
    }

    /// Checks every operation against `limits` (clauses 2, 3, 4, 7).
    ///
    /// # Errors
    /// `BatchTooLarge`, `InvalidKey`, `KeyTooLarge` or `ValueTooLarge`, with the size, the limit and the operation's
    /// index. The bounds of a range are keys and may be empty.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        if self.log.len() as u64 > limits.batch_bytes_max {
            return Err(too_large(
                ErrorKind::BatchTooLarge,
                "bytes",
                self.log.len(),
                limits.batch_bytes_max,
            ));
        }
        if self.operations > limits.batch_operations_max {
            let most = limits.batch_operations_max;
            return Err(too_large(ErrorKind::BatchTooLarge, "operations", self.len(), most));
        }
        for (index, operation) in self.iter().enumerate() {
            let checked = match operation {
                Operation::Put { key, value } => {
                    check_key(key, limits).and_then(|()| check_value(value, limits))
                }
                Operation::Delete { key } => check_key(key, limits),
                Operation::DeleteRange { range } => check_range(&range, limits),
            };
            checked.map_err(|error| error.with("operation_index", index))?;
        }
        Ok(())
    }

    #[inline]
    fn push(&mut self, tag: u8, key: &[u8], value: &[u8]) {
        let mut header = [0; HEADER_BYTES];
        header[0] = tag;
        header[1..5].copy_from_slice(&(key.len() as u32).to_le_bytes());
        header[5..].copy_from_slice(&(value.len() as u32).to_le_bytes());
        self.log.extend_parts([&header, key, value]);
        self.operations += 1;
    }

    #[cfg(feature = "host")]
    pub(crate) fn log(&self) -> &ByteBuf {
        &self.log
    }

    /// A batch over a log that the other side of the boundary made and counted.
    pub(crate) fn from_log(log: ByteBuf, operations: u64) -> Self {
        Self { log, operations }
    }
}

/// Is `key` one that a backend with these limits accepts (clauses 2 and 4)?
///
/// # Errors
/// `InvalidKey` for the empty key, `KeyTooLarge` past the limit.
#[inline]
pub fn check_key(key: &[u8], limits: &Limits) -> Result<()> {
    if key.is_empty() {
        return Err(Error::new(ErrorKind::InvalidKey, "check key", "a key has at least one byte"));
    }
    if key.len() as u64 > limits.key_bytes_max {
        return Err(too_large(ErrorKind::KeyTooLarge, "bytes", key.len(), limits.key_bytes_max));
    }
    Ok(())
}

/// Are the bounds of `range` no longer than a key may be? They may be empty.
///
/// # Errors
/// `KeyTooLarge`.
pub fn check_range(range: &KeyRange<'_>, limits: &Limits) -> Result<()> {
    let longest = range.start.len().max(range.end.map_or(0, <[u8]>::len));
    if longest as u64 > limits.key_bytes_max {
        return Err(too_large(ErrorKind::KeyTooLarge, "bytes", longest, limits.key_bytes_max));
    }
    Ok(())
}

/// Is `value` no longer than a backend with these limits accepts (clauses 3 and 4)?
///
/// # Errors
/// `ValueTooLarge`.
#[inline]
pub fn check_value(value: &[u8], limits: &Limits) -> Result<()> {
    if value.len() as u64 > limits.value_bytes_max {
        return Err(too_large(
            ErrorKind::ValueTooLarge,
            "bytes",
            value.len(),
            limits.value_bytes_max,
        ));
    }
    Ok(())
}

#[cold]
fn too_large(kind: ErrorKind, unit: &'static str, size: usize, limit: u64) -> Error {
    Error::new(kind, "check limits", format!("{}: {size} {unit}, at most {limit}", kind.phrase()))
        .with("size", size)
        .with("limit", limit)
}

/// The operations of a [`WriteBatch`].
#[derive(Debug, Clone)]
pub struct Operations<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Operations<'a> {
    type Item = Operation<'a>;

    #[inline]
    fn next(&mut self) -> Option<Operation<'a>> {
        let (header, rest) = self.rest.split_first_chunk::<HEADER_BYTES>()?;
        let length = |at: usize| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
                as usize
        };
        let (key, rest) = rest.split_at_checked(length(1))?;
        let (value, rest) = rest.split_at_checked(length(5))?;
        let operation = match header[0] {
            PUT => Operation::Put { key, value },
            DELETE => Operation::Delete { key },
            DELETE_RANGE => Operation::DeleteRange { range: KeyRange::new(key, Some(value)) },
            DELETE_FROM => Operation::DeleteRange { range: KeyRange::new(key, None) },
            _ => return None,
        };
        self.rest = rest;
        Some(operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_reads_back_and_a_cut_one_is_corruption() {
        let mut batch = WriteBatch::new();
        batch.put(b"key", b"");
        batch.delete(b"other");
        batch.delete_range(KeyRange::new(b"a", Some(b"b")));
        batch.delete_range(KeyRange::ALL);
        assert_eq!(WriteBatch::from_bytes(batch.as_bytes()).expect("whole log"), batch);
        let mut twice = batch.clone();
        twice.append(&batch);
        assert_eq!(twice.len(), 2 * batch.len());
        assert!(twice.iter().eq(batch.iter().chain(batch.iter())));
        for cut in 1..batch.as_bytes().len() {
            let log = &batch.as_bytes()[..cut];
            let whole = WriteBatch::from_bytes(log).map(|batch| batch.as_bytes().len());
            assert!(
                whole.as_ref().map_or(true, |&length| length == cut),
                "cut at {cut}: {whole:?}"
            );
        }
        assert!(WriteBatch::from_bytes(&[9; 9]).is_err());
    }

    #[test]
    fn limits_are_exact_and_name_the_operation() {
        let limits = Limits { key_bytes_max: 3, value_bytes_max: 2, ..Limits::CONTRACT };
        let mut batch = WriteBatch::new();
        batch.put(b"abc", b"12");
        assert!(batch.check(&limits).is_ok());
        batch.put(b"abc", b"123");
        let error = batch.check(&limits).expect_err("too long");
        assert_eq!(error.kind(), ErrorKind::ValueTooLarge);
        assert!(error.context().any(|pair| pair == ("operation_index", "1")));
    }
}
