//! A transaction with a stack of savepoints.

use crate::mvcc::{Savepoint, Txn};
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Savepoints that may be open at a time.
pub const SAVEPOINTS_MAX: usize = 1_024;

/// A transaction whose savepoints nest: each is rolled back or committed after those within it.
///
/// A savepoint is a mark and costs the same whatever the transaction has written; to roll it back costs what was written since.
///
/// # Examples
/// ```
/// use supervm_engine::mvcc::MvccStore;
/// use supervm_engine::scheduler::StateManager;
/// let store = MvccStore::new();
/// let mut state = StateManager::new(store.begin());
/// state.create_savepoint()?;
/// state.txn().write(b"k", b"outer")?;
/// state.create_savepoint()?;
/// state.txn().write(b"k", b"inner")?;
/// state.rollback()?;
/// state.commit()?;
/// state.into_txn().commit()?;
/// assert_eq!(store.begin_read_only().read(b"k")?.as_deref(), Some(&b"outer"[..]));
/// # Ok::<(), supervm_plugin_sdk::Error>(())
/// ```
#[derive(Debug)]
pub struct StateManager {
    txn: Txn,
    /// The outermost first.
    savepoints: Vec<Savepoint>,
}

impl StateManager {
    /// A manager of the state that `txn` sees.
    pub fn new(txn: Txn) -> Self {
        Self { txn, savepoints: Vec::new() }
    }

    /// The transaction, to read and write.
    pub fn txn(&mut self) -> &mut Txn {
        &mut self.txn
    }

    /// How many savepoints are open.
    pub fn depth(&self) -> usize {
        self.savepoints.len()
    }

    /// Opens a savepoint within those that are open.
    ///
    /// # Errors
    /// `Busy` when [`SAVEPOINTS_MAX`] are open.
    pub fn create_savepoint(&mut self) -> Result<()> {
        if self.depth() == SAVEPOINTS_MAX {
            let refused =
                format!("{SAVEPOINTS_MAX} savepoints are open, which is the most; end one");
            return Err(Error::new(ErrorKind::Busy, "create savepoint", refused));
        }
        self.savepoints.push(self.txn.savepoint());
        Ok(())
    }

    /// Ends the newest savepoint and undoes what was written since. What was read stays in the transaction's conflict check.
    ///
    /// # Errors
    /// `InvalidArgument` when none is open.
    pub fn rollback(&mut self) -> Result<()> {
        let newest = self.newest("roll back")?;
        self.txn.rollback_to(newest)?;
        self.txn.release(newest)
    }

    /// Ends the newest savepoint and keeps what was written since, as part of the one around it, or of the transaction.
    ///
    /// # Errors
    /// As [`rollback`](Self::rollback).
    pub fn commit(&mut self) -> Result<()> {
        let newest = self.newest("commit savepoint")?;
        self.txn.release(newest)
    }

    /// The transaction, with what was written in savepoints that are still open.
    pub fn into_txn(self) -> Txn {
        self.txn
    }

    fn newest(&mut self, operation: &'static str) -> Result<Savepoint> {
        self.savepoints.pop().ok_or_else(|| {
            let refused = "no savepoint is open; create one first";
            Error::new(ErrorKind::InvalidArgument, operation, refused)
        })
    }
}
