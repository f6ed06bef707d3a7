//! What a commit is told when its batch, or one before it, could not be written.
//!
//! A batch that failed may have happened: what reached the log before the sync failed is there after the next open. The backend says of a
//! write that nothing took effect where it knows that; of a sync nobody knows. Batches are atomic and reach the backend in the order
//! of their versions, each with its last version, so the newest version after the next open tells of every commit.

use crate::layout::Version;
use std::sync::Arc;
use supervm_plugin_sdk::{Effect, Error, ErrorKind};

/// Why a batch was not written, and those behind it neither.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    cause: Arc<Error>,
    effect: Effect,
}

impl Failure {
    /// Of the write of a batch. No batch behind it was handed to the backend.
    pub(super) fn of_write(cause: Error) -> Self {
        let effect = match cause.effect() {
            Effect::NotApplied => Effect::NotApplied,
            Effect::Applied | Effect::Unknown => Effect::Unknown,
        };
        Self { cause: Arc::new(cause), effect }
    }

    /// Of a sync, after the batch was written. Batches behind it may have been written too.
    pub(super) fn of_sync(cause: Error) -> Self {
        Self { cause: Arc::new(cause), effect: Effect::Unknown }
    }

    pub(super) fn cause(&self) -> &Error {
        &self.cause
    }

    /// As the thread is told that wrote, whose commit would have had `version`: with the kind of the failure.
    pub(super) fn of_writer(&self, version: Version) -> Error {
        self.told(self.cause.kind(), "the write failed", version)
    }

    /// As every other commit is told.
    pub(super) fn behind(&self, version: Version) -> Error {
        self.told(ErrorKind::Poisoned, "a write that this commit waited for failed", version)
    }

    fn told(&self, kind: ErrorKind, what: &str, version: Version) -> Error {
        let message = match self.effect {
            Effect::NotApplied => {
                format!("{what}, and nothing took effect; open the store anew to commit again")
            }
            Effect::Applied | Effect::Unknown => format!(
                "{what}, and whether the commit took effect is not known; open the store anew: it did if the newest version is {version} or above before anything else is committed"
            ),
        };
        Error::new(kind, "commit", message)
            .with("version", version)
            .with_source(self.cause.repeated())
            .with_effect(self.effect)
    }
}
