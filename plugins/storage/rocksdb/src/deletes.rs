//! Deletes that a scan would pass one by one.
//!
//! A delete is an entry like any other until it meets what it deletes and nothing is left below. In the table of new entries, which
//! is in memory, that never happens: a scan passes each of them there, in 60 ns forward and 530 ns in reverse. So that table is
//! written to disk early when it has many, and on disk a table that is full of deletes is merged with what is below it at once
//! (see the options).

use crate::database::Database;
use rocksdb::FlushOptions;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Deletes after which the table of new entries is written to disk, however small it is.
const DELETES_MAX: usize = 16 << 10;
/// As many are enough when that was not done for a while, so that few stay for long.
const DELETES_LATER: usize = 1 << 10;
const A_WHILE: Duration = Duration::from_millis(250);

/// Counts deletes.
#[derive(Debug, Default)]
pub(crate) struct Deletes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since the table of new entries was last written to disk for their sake.
    deletes: usize,
    written: Option<Instant>,
}

impl Deletes {
    /// Counts the deletes of a batch that was written, and has the table of new entries written to disk in the background when they are many.
    pub(crate) fn note(&self, database: &Database, deletes: usize) {
        if deletes == 0 || !self.is_due(deletes) {
            return;
        }
        // A table that came to the last level as it was is looked at again when a snapshot ends.
        drop(database.db.snapshot());
        let mut options = FlushOptions::default();
        options.set_wait(false);
        // The batch is written. What keeps a table from being written shows in the next batch.
        let _ = database.db.flush_opt(&options);
    }

    fn is_due(&self, deletes: usize) -> bool {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.deletes += deletes;
        let is_due = state.deletes >= DELETES_MAX
            || state.deletes >= DELETES_LATER
                && state.written.is_none_or(|written| written.elapsed() >= A_WHILE);
        if is_due {
            *state = State { deletes: 0, written: Some(Instant::now()) };
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_deletes_are_due_at_once_and_some_when_none_were_for_a_while() {
        let deletes = Deletes::default();
        assert!(!deletes.is_due(DELETES_LATER - 1));
        assert!(deletes.is_due(1));
        assert!(!deletes.is_due(DELETES_LATER), "just now");
        assert!(deletes.is_due(DELETES_MAX - DELETES_LATER));
        deletes.0.lock().expect("not poisoned").written = Instant::now().checked_sub(A_WHILE);
        assert!(deletes.is_due(DELETES_LATER));
    }
}
