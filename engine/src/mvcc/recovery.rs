//! What an interrupted commit of several batches left.
//!
//! [`large`](super::large) says how such a commit is written. When the store is opened, `l/` tells of one that was interrupted:
//!
//! - A list above the last version has no marker: the commit did not take effect, and is *rolled back*. Each key that it lists gets its old
//!   record back, or goes when it has none, in one batch with the deletion of the old value; a part of the list goes after its keys. So
//!   a roll-back that is interrupted itself is finished by the next one.
//! - Where no old values are kept, a list above the floor has its marker, and is *left over*: the old values were needed until the marker was
//!   written, and should have been deleted after it.

use super::large::Part;
use crate::layout::{
    Area, ChangedKeys, Meta, Version, change_log_key, history_key, latest_key,
    split_change_log_key, split_record,
};
use crate::storage::{Rows, Storage};
use supervm_plugin_sdk::{ByteBuf, Direction, Error, ErrorKind, KeyRange, Result};

/// Rolls back what has no marker, and deletes what is left over, in batches of about `part_bytes`. Reads one entry when there is nothing of
/// both.
///
/// # Errors
/// `ReadOnly` when something has to be rolled back and the storage is read-only; `Corruption`; what the storage fails with.
pub(crate) fn recover(storage: &Storage, meta: &Meta, part_bytes: usize) -> Result<()> {
    let last = meta.last_version;
    let from = if meta.history.keeps_old_values() { last } else { meta.floor.min(last) };
    let Some(first) = first_list(storage, &change_log_key(from.next(), 0))? else { return Ok(()) };
    if first.version <= last {
        match delete_old_values(storage, from, last, part_bytes) {
            // Nothing reads them: who may write deletes them another time.
            Err(error) if error.kind() == ErrorKind::ReadOnly => {}
            outcome => outcome?,
        }
    }
    roll_back(storage, last, part_bytes).map_err(|error| match error.kind() {
        ErrorKind::ReadOnly => {
            let refused = "a commit was interrupted and has to be rolled back; open the directory for writing once";
            Error::new(ErrorKind::ReadOnly, "open", refused).with_source(error)
        }
        _ => error,
    })
}

/// Makes the latest values those of `last` again, the newest version.
fn roll_back(storage: &Storage, last: Version, part_bytes: usize) -> Result<()> {
    let part = Part::new(storage, part_bytes);
    let mut undo = Undo { storage, last, part, buffers: Buffers::default() };
    each_list(storage, last.next(), None, |list| undo.roll_back(list))?;
    undo.part.write()
}

/// Deletes the old values that the versions after `from` up to `to` replaced, and their lists, in batches of about `part_bytes`.
///
/// # Errors
/// `Corruption`; what the storage fails with. What is left is deleted by the next call.
pub(super) fn delete_old_values(
    storage: &Storage,
    from: Version,
    to: Version,
    part_bytes: usize,
) -> Result<()> {
    let mut part = Part::new(storage, part_bytes);
    let mut stored = Vec::new();
    each_list(storage, from.next(), Some(to), |list| {
        for key in ChangedKeys::new(&list.keys) {
            history_key(key?, list.version, &mut stored);
            part.batch.delete(&stored);
            part.make_room(0)?;
        }
        // IMPORTANT: no earlier than the last old value that it names.
        part.batch.delete(&list.stored);
        Ok(())
    })?;
    part.write()
}

/// A part of a list of changed keys.
struct List {
    stored: Vec<u8>,
    version: Version,
    keys: Vec<u8>,
}

/// The first part at or after `start`.
fn first_list(storage: &Storage, start: &[u8]) -> Result<Option<List>> {
    let range = KeyRange::new(start, Area::ChangeLog.range().end);
    let cursor = storage.cursor(range, Direction::Forward)?;
    // Dropped before anything is written: a cursor that lives on keeps the storage from using the space that becomes free.
    let mut rows = Rows::one_at_first(cursor);
    let Some((stored, keys)) = rows.next()? else { return Ok(None) };
    let (version, _) = split_change_log_key(stored)?;
    Ok(Some(List { stored: stored.to_vec(), version, keys: keys.to_vec() }))
}

/// Calls `use_list` with each part of the lists of the versions from `from` to `to`; without `to`, to the end.
fn each_list(
    storage: &Storage,
    from: Version,
    to: Option<Version>,
    mut use_list: impl FnMut(&List) -> Result<()>,
) -> Result<()> {
    let mut next = change_log_key(from, 0).to_vec();
    while let Some(list) = first_list(storage, &next)? {
        if to.is_some_and(|to| list.version > to) {
            break;
        }
        use_list(&list)?;
        next = list.stored;
        // The smallest key after it.
        next.push(0);
    }
    Ok(())
}

/// A roll-back under way.
struct Undo<'a> {
    storage: &'a Storage,
    last: Version,
    part: Part<'a>,
    buffers: Buffers,
}

#[derive(Default)]
struct Buffers {
    latest: Vec<u8>,
    old: Vec<u8>,
    record: ByteBuf,
}

impl Undo<'_> {
    fn roll_back(&mut self, list: &List) -> Result<()> {
        for key in ChangedKeys::new(&list.keys) {
            self.roll_back_key(key?, list.version)?;
            self.part.make_room(0)?;
        }
        // IMPORTANT: no earlier than the last key that it names.
        self.part.batch.delete(&list.stored);
        Ok(())
    }

    fn roll_back_key(&mut self, key: &[u8], version: Version) -> Result<()> {
        let Buffers { latest, old, record } = &mut self.buffers;
        latest_key(key, latest);
        let is_there = self.storage.get_into(latest, record)?;
        if is_there && split_record(record)?.0 <= self.last {
            // The commit did not come to this key, or an earlier roll-back did.
            return Ok(());
        }
        history_key(key, version, old);
        if self.storage.get_into(old, record)? {
            // IMPORTANT: both in one batch, so that a key whose old value is gone has it back.
            self.part.make_room(record.len() + latest.len() + old.len())?;
            self.part.batch.put(latest, record);
            self.part.batch.delete(old);
        } else if is_there {
            self.part.batch.delete(latest);
        }
        Ok(())
    }
}
