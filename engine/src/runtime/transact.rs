//! A call as a transaction of its own.
//!
//! Calls run beside each other on what each sees, and the first of two that get in each other's way commits; the other runs again on what that
//! left. A call that others overtake again and again runs alone in the end, so that no call starves, and none needs to be given up.

use super::handle::Runtime;
use super::module::Module;
use super::receipt::{CallArguments, CallContext, Receipt};
use super::trap::Trap;
use crate::layout::Version;
use crate::mvcc::{CommitOptions, Txn};
use crate::state::{StateView, TxnView};
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// How often a call is tried beside others; the try after them is alone.
const TRIES_BESIDE_OTHERS: u32 = 15;

impl Runtime {
    /// Runs a call in a serializable transaction of its own, and hands that to `commit` when the call succeeded; runs it again when another
    /// transaction got in its way, at most 16 times.
    ///
    /// # Behavior
    /// - The result is that of some order of all such calls, one by one.
    /// - A trap is part of the receipt, and nothing is committed.
    /// - `commit` is also called when the call changed nothing; that commit writes nothing unless it ends a block.
    /// - Nothing is deployed, and no block runs, while the call does.
    ///
    /// # Errors
    /// As [`call`](Self::call); `InvalidArgument` within the `commit` of another call of this runtime; what `commit` fails with; `Conflict`, which may be tried again, only when others than this runtime's calls
    /// commit to the same store again and again.
    pub fn transact(
        &self,
        module: &Module,
        function: &str,
        arguments: &CallArguments,
        context: &CallContext,
        mut commit: impl FnMut(Txn) -> Result<Version>,
    ) -> Result<Receipt> {
        let turns = &self.0.turns;
        let mut attempt = || self.attempt(module, function, arguments, context, &mut commit);
        for _ in 0..TRIES_BESIDE_OTHERS {
            let outcome = {
                let _beside_others = turns.shared("transact")?;
                attempt()?
            };
            match outcome {
                Ok(receipt) => return Ok(receipt),
                Err((_, read_version)) => self.store().wait_for_newer(read_version),
            }
        }
        let _alone = turns.alone("transact")?;
        attempt()?.map_err(|(conflict, _)| conflict)
    }

    /// As [`transact`](Self::transact), and deploys the contract just before `commit` when it is not deployed yet: the call then runs alone.
    /// A call that ends in a trap deploys nothing.
    ///
    /// # Errors
    /// As [`transact`](Self::transact) and [`deploy`](Self::deploy).
    pub fn deploy_and_transact(
        &self,
        module: &Module,
        function: &str,
        arguments: &CallArguments,
        context: &CallContext,
        mut commit: impl FnMut(Txn) -> Result<Version>,
    ) -> Result<Receipt> {
        if self.0.is_deployed(&module.address())? {
            return self.transact(module, function, arguments, context, commit);
        }
        let _alone = self.0.turns.alone("transact")?;
        let mut deploy_and_commit = |txn: Txn| {
            self.0.deploy_alone(module)?;
            commit(txn)
        };
        for _ in 0..TRIES_BESIDE_OTHERS {
            match self.attempt(module, function, arguments, context, &mut deploy_and_commit)? {
                Ok(receipt) => return Ok(receipt),
                Err((_, read_version)) => self.store().wait_for_newer(read_version),
            }
        }
        let last = self.attempt(module, function, arguments, context, &mut deploy_and_commit)?;
        last.map_err(|(conflict, _)| conflict)
    }

    /// Runs a call in a transaction of its own and commits it; a conflict with the version that the transaction read.
    fn attempt(
        &self,
        module: &Module,
        function: &str,
        arguments: &CallArguments,
        context: &CallContext,
        commit: &mut impl FnMut(Txn) -> Result<Version>,
    ) -> Result<Result<Receipt, (Error, Version)>> {
        let txn = self.store().begin();
        let read_version = txn.read_version();
        let called = self.call_in(txn, module, function, arguments, context);
        let committed = called.and_then(|(receipt, txn)| match receipt.trap {
            Some(_) => Ok(receipt),
            None => commit(txn).map(|_| receipt),
        });
        match committed {
            Ok(receipt) => Ok(Ok(receipt)),
            Err(error) if begins_anew(&error) => Ok(Err((error, read_version))),
            Err(error) => Err(error),
        }
    }

    /// Runs a call within `txn`: on what it sees, and with what the call changed written to it when the call succeeded. Ends nothing.
    ///
    /// # Behavior
    /// A call that changes more than a transaction can hold ends in the trap `limit-exceeded`, on every backend.
    ///
    /// # Errors
    /// As [`call`](Self::call); `ReadOnly` for a call that changes something in a read-only transaction. The transaction is aborted then.
    pub fn call_in(
        &self,
        txn: Txn,
        module: &Module,
        function: &str,
        arguments: &CallArguments,
        context: &CallContext,
    ) -> Result<(Receipt, Txn)> {
        let view = TxnView::new(txn);
        let beneath: Box<dyn StateView> = Box::new(view.clone());
        let mut receipt = self.call_on(beneath, module, function, arguments, context)?;
        let mut txn = view.into_txn().expect("a call that has ended reads no more");
        if receipt.writes.is_empty() {
            return Ok((receipt, txn));
        }
        let before = txn.savepoint();
        write(&mut txn, &receipt)?;
        match txn.check_size() {
            Ok(()) => txn.release(before)?,
            Err(error) if error.kind() == ErrorKind::BatchTooLarge => {
                txn.rollback_to(before)?;
                let what = error.message().to_owned();
                receipt = receipt.retracted(Trap::LimitExceeded { what }, context.gas_limit);
            }
            Err(error) => return Err(error),
        }
        Ok((receipt, txn))
    }

    /// Runs a call as a transaction of its own; a trap is an error.
    pub(super) fn execute_in(
        &self,
        module: &Module,
        function: &str,
        arguments: &CallArguments,
        context: &CallContext,
    ) -> Result<Receipt> {
        let commit = |txn: Txn| txn.commit_with(CommitOptions::default());
        let receipt = self.transact(module, function, arguments, context, commit)?;
        match &receipt.trap {
            None => Ok(receipt),
            Some(trap) => Err(Error::new(ErrorKind::InvalidArgument, "execute", trap.to_string())
                .with("function", function)
                .with("trap", trap.name())),
        }
    }
}

/// Returns `true` for what a new transaction may not meet: a conflict, or that this one became too
/// old for memory.
pub(super) fn begins_anew(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Conflict | ErrorKind::SnapshotExpired)
}

/// Writes what a call changed.
pub(super) fn write(txn: &mut Txn, receipt: &Receipt) -> Result<()> {
    for (key, value) in &receipt.writes {
        match value {
            Some(value) => txn.write(&key.to_bytes(), value)?,
            None => txn.delete(&key.to_bytes())?,
        }
    }
    Ok(())
}
