//! Connections that read, each with a read transaction that is kept open.
//!
//! Beginning and ending a transaction costs as much as reading a key. So a *lane* keeps its transaction over many reads, and
//! renews it only when a commit came between: `commits` tells. Snapshots and cursors read from *views*, whose transaction stays at
//! its moment. A transaction that is open keeps SQLite from reusing its log, so the writer asks idle lanes to end theirs before
//! it moves the log into the database.
//!
//! 1. `commits` is odd while a commit is on its way, and even otherwise. It rises before a commit can be seen, and again before
//!    the write returns.
//! 2. A transaction that began at an even number is what every reader sees for as long as the number stays.
//! 3. Nothing is known of one that began at an odd number: a lane renews it at every read, and a view of it is not shared.

use crate::database::Database;
use crate::error::failed;
use crate::snapshot::View;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::Connection;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::available_parallelism;
use supervm_plugin_sdk::prelude::*;

/// Lanes, at most; there is one for each processor.
const LANES_MAX: usize = 16;
/// Views that have a connection of their own although another one has the same moment, so that a few of them read in parallel.
const VIEWS_APART: u32 = 16;
/// Connections that are kept for the next view.
const IDLE_MAX: usize = 16;

static NEXT_HOME: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    /// The lane at which this thread tries first.
    static HOME: usize = NEXT_HOME.fetch_add(1, Ordering::Relaxed);
}

/// Every connection that reads.
#[derive(Debug)]
pub(crate) struct Readers {
    database: Database,
    /// See the head of this module.
    commits: AtomicU64,
    lanes: Box<[Mutex<Lane>]>,
    views: Mutex<Views>,
}

#[derive(Debug, Default)]
struct Lane {
    /// `None` until the lane is used: beside a log that was left, every connection reads the whole log first.
    connection: Option<Connection>,
    /// The number of commits at which the open transaction began.
    began: Option<u64>,
    is_closed: bool,
}

#[derive(Debug, Default)]
struct Views {
    live: u32,
    newest: Weak<View>,
    idle: Vec<Connection>,
    is_closed: bool,
}

impl Readers {
    pub(crate) fn new(database: Database) -> Self {
        let lanes = available_parallelism().map_or(1, NonZero::get).min(LANES_MAX);
        let lanes = (0..lanes).map(|_| Mutex::default()).collect();
        Self { database, commits: AtomicU64::new(0), lanes, views: Mutex::default() }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    /// Reads from a view that holds every write that has returned.
    pub(crate) fn latest<T>(
        &self,
        operation: &'static str,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T> {
        let mut lane = self.lane();
        let lane = &mut *lane;
        if lane.is_closed {
            return Err(closed(operation));
        }
        let connection = match &lane.connection {
            Some(connection) => connection,
            None => lane.connection.insert(self.database.reader()?),
        };
        let commits = self.commits.load(Ordering::SeqCst);
        let renewed = renew(connection, &mut lane.began, commits);
        let outcome = renewed.and_then(|()| read(connection));
        outcome.map_err(|error| {
            end(connection, &mut lane.began);
            failed(operation, error)
        })
    }

    /// A view of this moment for a snapshot or a cursor.
    pub(crate) fn view(self: &Arc<Self>, operation: &'static str) -> Result<Arc<View>> {
        let connection = {
            // IMPORTANT: dropped after the guard: the last owner of a view gives its connection back under the same lock.
            let newest;
            let mut views = self.views.lock();
            if views.is_closed {
                return Err(closed(operation));
            }
            let most = self.database.config().readers_max;
            if views.live >= most.min(VIEWS_APART) {
                newest = views.newest.upgrade();
                let commits = self.commits.load(Ordering::SeqCst);
                if let Some(newest) = &newest
                    && newest.began() == commits
                    && is_settled(commits)
                {
                    return Ok(newest.clone());
                }
            }
            if views.live >= most {
                return Err(all_taken(operation, most));
            }
            views.live += 1;
            views.idle.pop()
        };
        let made = self.make_view(connection, operation);
        let mut views = self.views.lock();
        match &made {
            Ok(view) => views.newest = Arc::downgrade(view),
            Err(_) => views.live -= 1,
        }
        made
    }

    /// Takes back the connection of a view that is gone.
    pub(crate) fn give_back(&self, connection: Connection) {
        let ended = connection.prepare_cached("ROLLBACK").and_then(|mut sql| sql.execute([]));
        let mut views = self.views.lock();
        views.live -= 1;
        if ended.is_ok() && !views.is_closed && views.idle.len() < IDLE_MAX {
            views.idle.push(connection);
        }
    }

    /// Runs `commit`, from before its outcome can be seen until every later read sees it.
    pub(crate) fn during_commit<T>(&self, commit: impl FnOnce() -> T) -> T {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let outcome = commit();
        self.commits.fetch_add(1, Ordering::SeqCst);
        outcome
    }

    /// Ends the transactions of the lanes; the next read of each begins a new one.
    pub(crate) fn end_lanes(&self) {
        for lane in &self.lanes {
            let lane = &mut *lane.lock();
            if let Some(connection) = &lane.connection {
                end(connection, &mut lane.began);
            }
        }
    }

    /// Closes every connection that is not in a view.
    pub(crate) fn close(&self) {
        for lane in &self.lanes {
            *lane.lock() = Lane { is_closed: true, ..Lane::default() };
        }
        let mut views = self.views.lock();
        views.is_closed = true;
        views.idle.clear();
    }

    /// Connections in views.
    pub(crate) fn views_live(&self) -> u64 {
        u64::from(self.views.lock().live)
    }

    fn make_view(
        self: &Arc<Self>,
        connection: Option<Connection>,
        operation: &'static str,
    ) -> Result<Arc<View>> {
        let connection = connection.map_or_else(|| self.database.reader(), Ok)?;
        let began = self.commits.load(Ordering::SeqCst);
        // A transaction begins at its first read.
        let first = connection
            .prepare_cached("BEGIN")
            .and_then(|mut sql| sql.execute([]))
            .and_then(|_| connection.prepare_cached("SELECT 1 FROM entries LIMIT 1")?.exists([]));
        first.map_err(|error| failed(operation, error))?;
        Ok(Arc::new(View::new(connection, began, self.clone())))
    }

    /// This thread's own lane, or the first that is free, or else the own one when it becomes so.
    fn lane(&self) -> MutexGuard<'_, Lane> {
        let home = HOME.with(|home| *home) % self.lanes.len();
        let (before, from) = self.lanes.split_at(home);
        let free = from.iter().chain(before).find_map(Mutex::try_lock);
        free.unwrap_or_else(|| self.lanes[home].lock())
    }
}

/// Makes the transaction one that holds everything that was committed when `commits` was read.
fn renew(connection: &Connection, began: &mut Option<u64>, commits: u64) -> rusqlite::Result<()> {
    if *began == Some(commits) && is_settled(commits) {
        return Ok(());
    }
    end(connection, began);
    connection.prepare_cached("BEGIN")?.execute([])?;
    *began = Some(commits);
    Ok(())
}

fn end(connection: &Connection, began: &mut Option<u64>) {
    // SQLite ends a transaction by itself after some errors; there is then nothing to roll back.
    if began.take().is_some() && !connection.is_autocommit() {
        let ended = connection.prepare_cached("ROLLBACK").and_then(|mut sql| sql.execute([]));
        debug_assert!(ended.is_ok(), "a read transaction without a running statement ends");
    }
}

fn is_settled(commits: u64) -> bool {
    commits.is_multiple_of(2)
}

fn closed(operation: &'static str) -> Error {
    Error::new(ErrorKind::Closed, operation, "the storage was closed")
}

fn all_taken(operation: &'static str, most: u32) -> Error {
    let refused =
        "every connection for reading is taken; drop a cursor or a snapshot, or raise readers_max";
    Error::new(ErrorKind::Busy, operation, refused).with("readers_max", most)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SqliteConfig;
    use crate::snapshot;

    fn has(readers: &Readers, key: &[u8]) -> bool {
        let mut value = ByteBuf::new();
        let found = readers.latest("get", |connection| snapshot::get(connection, key, &mut value));
        found.expect("reads")
    }

    /// Rule 3: what began during a commit may be from before it.
    #[test]
    fn a_read_during_a_commit_is_not_relied_on_by_a_later_one() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let opened = Database::open(dir.path(), SqliteConfig::default(), OpenMode::Create);
        let (database, writer) = opened.expect("opens");
        let writer = writer.expect("opened for writing");
        let readers = Arc::new(Readers::new(database));
        let _held: Vec<_> =
            (0..VIEWS_APART).map(|_| readers.view("cursor").expect("free")).collect();
        readers.during_commit(|| {
            assert!(!has(&readers, b"a"));
            let before = readers.view("cursor").expect("free");
            writer.execute_batch("INSERT INTO entries VALUES (x'61', x'')").expect("writes");
            assert!(has(&readers, b"a"));
            let after = readers.view("cursor").expect("free");
            assert!(!Arc::ptr_eq(&before, &after), "the moments differ");
        });
        assert!(has(&readers, b"a"));
        let (one, other) = (readers.view("cursor"), readers.view("cursor"));
        assert!(Arc::ptr_eq(&one.expect("free"), &other.expect("free")), "one moment is shared");
    }
}
