//! Numbered batches, and what the answers to their writes promise.

use crate::case::CaseResult;
use crate::check::{failed, holds};
use crate::kill::{check_survivors, counted};
use std::fmt::Display;
use std::thread::sleep;
use std::time::{Duration, Instant};
use supervm_plugin_sdk::{ByteBuf, Durability, Effect, Error, ErrorKind, Result, StorageBackend};

/// Time in which a storage has to notice that its disk has room again.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a storage has to contain after the writes that it answered.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Batches that are there.
    batches: u64,
    /// One more may be there.
    in_doubt: bool,
    value_bytes: usize,
}

impl Ledger {
    /// Batches with values of `value_bytes`.
    pub(crate) fn new(value_bytes: usize) -> Self {
        Self { batches: 0, in_doubt: false, value_bytes }
    }

    pub(crate) fn batches(&self) -> u64 {
        self.batches
    }

    /// Writes the next batch and books the answer.
    pub(crate) fn write(
        &mut self,
        storage: &dyn StorageBackend,
        durability: Durability,
    ) -> Result<()> {
        let batch = counted(self.batches, self.value_bytes);
        let outcome = storage.write(&batch, durability);
        match outcome.as_ref().map_err(Error::effect) {
            Ok(()) | Err(Effect::Applied) => self.batches += 1,
            // A poisoned storage refuses what may be there already.
            Err(Effect::NotApplied) => {}
            Err(Effect::Unknown) => self.in_doubt = true,
        }
        outcome
    }

    /// Writes `count` batches that have to succeed, synced and buffered in turn.
    pub(crate) fn write_some(&mut self, storage: &dyn StorageBackend, count: u64) -> CaseResult {
        for number in 0..count {
            let durability =
                if number % 2 == 0 { Durability::Synced } else { Durability::Buffered };
            self.write(storage, durability)?;
        }
        Ok(())
    }

    /// Checks that `storage` has what was promised, `when` that was. A storage that is poisoned may refuse to be read as well.
    pub(crate) fn check(&self, storage: &dyn StorageBackend, when: impl Display) -> CaseResult {
        let read = || storage.get(b"head/0", &mut ByteBuf::new());
        if self.in_doubt && read().is_err_and(|error| error.kind() == ErrorKind::Poisoned) {
            return Ok(());
        }
        self.found(storage, &when).map(drop)
    }

    /// As [`check`](Self::check), on a storage that was opened anew: what was in doubt is known from here on.
    pub(crate) fn settle(
        &mut self,
        storage: &dyn StorageBackend,
        when: impl Display,
    ) -> CaseResult {
        self.batches = self.found(storage, &when)?;
        self.in_doubt = false;
        Ok(())
    }

    fn found(&self, storage: &dyn StorageBackend, when: &dyn Display) -> CaseResult<u64> {
        let found = check_survivors(storage, self.batches, self.value_bytes, when)?;
        let most = self.batches + u64::from(self.in_doubt);
        if found > most {
            return failed(format!(
                "{when}, {found} batches are there, although only {} were acknowledged and the others said to be not applied",
                self.batches
            ));
        }
        Ok(found)
    }

    /// Writes again while the disk is said to be full, which a storage may look into only now and then.
    fn write_with_patience(&mut self, storage: &dyn StorageBackend) -> Result<()> {
        let start = Instant::now();
        loop {
            let outcome = self.write(storage, Durability::Synced);
            let is_full = |error: &Error| error.kind() == ErrorKind::NoSpace;
            if !outcome.as_ref().is_err_and(is_full) || start.elapsed() > PATIENCE {
                return outcome;
            }
            sleep(Duration::from_millis(100));
        }
    }

    /// Checks that a storage whose write or sync failed with `error` is poisoned when the effect is unknown, and not otherwise.
    pub(crate) fn check_poisoning(
        &mut self,
        storage: &dyn StorageBackend,
        error: &Error,
    ) -> CaseResult {
        let later = self.write_with_patience(storage);
        let kind = later.as_ref().err().map(Error::kind);
        if error.effect() == Effect::Unknown {
            let claim = format!(
                "after a failure of unknown effect ({error}) a write is refused as Poisoned; it ended with {later:?}"
            );
            return holds(claim, kind == Some(ErrorKind::Poisoned));
        }
        match later {
            Ok(()) => Ok(()),
            // It need not go on, when it says so.
            Err(later) if later.kind() == ErrorKind::Poisoned => Ok(()),
            Err(later) => failed(format!(
                "after a failure of effect {:?} ({error}), and with the cause gone, a write failed: {later}",
                error.effect()
            )),
        }
    }
}
