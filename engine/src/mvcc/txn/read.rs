//! How a transaction reads one key.

use super::Txn;
use crate::mvcc::cell::Cell;
use crate::mvcc::commit;
use crate::mvcc::inner::read_stored;
use crate::mvcc::value::Value;
use crate::storage::Storage;
use supervm_plugin_sdk::Result;

impl Txn {
    /// Refuses when memory no longer has what the transaction reads.
    ///
    /// IMPORTANT: with the lock of whatever is read; see [`Readers::expire_oldest`].
    ///
    /// [`Readers::expire_oldest`]: crate::mvcc::readers::Readers::expire_oldest
    #[inline]
    pub(super) fn check_valid(&self, operation: &'static str) -> Result<()> {
        match self.inner.readers.is_expired(self.pin.version) {
            true => Err(commit::expired(operation)),
            false => Ok(()),
        }
    }

    /// Calls `use_value` with the value of `key` in a read-only transaction over a backend. A key
    /// that was not read lately is read past memory: it gets no cell.
    pub(super) fn glance<R>(
        &self,
        key: &[u8],
        use_value: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R> {
        let inner = &self.inner;
        match (inner.index.get(key), &inner.backend) {
            (Some(cell), _) => self.use_cell(&inner.load(cell)?, use_value),
            (None, Some(storage)) if !inner.doorkeeper.admits(inner.index.hash(key)) => {
                self.read_past_memory(storage, key, use_value)
            }
            (None, _) => self.use_cell(&inner.loaded(key)?, use_value),
        }
    }

    /// A commit that this transaction does not see keeps its keys in memory. So what the backend
    /// has is what the transaction sees, unless the key has come into memory meanwhile.
    fn read_past_memory<R>(
        &self,
        storage: &Storage,
        key: &[u8],
        use_value: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R> {
        let mut use_value = Some(use_value);
        let used = read_stored(storage, key, |found| match found {
            Some((version, value)) if version <= self.pin.version => {
                use_value.take().map(|use_value| use_value(Some(value)))
            }
            _ => None,
        })?;
        let Some(use_value) = use_value else { return Ok(used.expect("it was used")) };
        match self.inner.index.get(key) {
            Some(cell) => self.use_cell(&self.inner.load(cell)?, use_value),
            None => {
                self.check_valid("read")?;
                Ok(use_value(None))
            }
        }
    }

    /// Calls `use_value` with what the transaction sees of a loaded cell that it has not written.
    #[inline]
    pub(super) fn use_cell<R>(
        &self,
        cell: &Cell,
        use_value: impl FnOnce(Option<&[u8]>) -> R,
    ) -> Result<R> {
        let chain = cell.lock();
        self.check_valid("read")?;
        Ok(use_value(chain.at(self.pin.version).and_then(Value::bytes)))
    }
}
