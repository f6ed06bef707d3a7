//! Plays the steps of a script on a storage.

use super::{Change, Line, Name, Range, Row, Script, Step};
use crate::case::{CaseResult, Finding};
use crate::check::{self, equal, failed, same_rows};
use crate::fixture::{Fixture, batch, drain, first, owned};
use crate::job::stage;
use std::collections::BTreeMap;
use supervm_plugin_sdk::{
    ByteBuf, Cursor, Direction, Durability, Error, KeyRange, Limits, StorageSnapshot, Values,
    prefix_successor,
};

/// Plays every step. The first that does not come out as the script says ends it, with its line in the message.
pub(crate) fn play(script: &Script, fixture: &mut Fixture) -> CaseResult {
    let mut play = Play {
        cursors: BTreeMap::new(),
        snapshots: BTreeMap::new(),
        mirrored: script.mirrored,
        limits: fixture.limits(),
        fixture,
    };
    for line in &script.lines {
        let place = format!("{}:{} `{}`", script.file, line.number, line.text);
        stage(&place);
        play.line(line).map_err(|finding| match finding {
            Finding::Failed(what) => Finding::Failed(format!("{place}: {what}")),
            skipped @ Finding::Skipped(_) => skipped,
        })?;
    }
    Ok(())
}

struct Play<'a> {
    // Fields drop in order: cursors and snapshots first.
    cursors: BTreeMap<Name, Box<dyn Cursor>>,
    snapshots: BTreeMap<Name, Box<dyn StorageSnapshot>>,
    mirrored: bool,
    limits: Limits,
    fixture: &'a mut Fixture,
}

/// Why a step ended early.
enum Stop {
    Refused(Error),
    Found(Finding),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Finding> for Stop {
    fn from(finding: Finding) -> Self {
        Self::Found(finding)
    }
}

impl Play<'_> {
    fn line(&mut self, line: &Line) -> CaseResult {
        match (self.step(&line.step), line.refused) {
            (Ok(()), None) => Ok(()),
            (Err(Stop::Found(finding)), None) => Err(finding),
            (Err(Stop::Refused(error)), None) => Err(error.into()),
            (Err(Stop::Refused(error)), Some(kind)) => {
                check::refused("the step", Err::<(), _>(error), kind).map(drop)
            }
            (Ok(()) | Err(Stop::Found(_)), Some(kind)) => {
                failed(format!("accepted, expected a refusal with {kind:?}"))
            }
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), Stop> {
        let storage = self.fixture.storage();
        match step {
            Step::Write { changes, synced } => self.write(changes, *synced)?,
            Step::Get { of, key, value } => {
                self.get(*of, &key.eval(&self.limits), value.as_ref())?
            }
            Step::MultiGet { of, keys, answers } => self.multi_get(*of, keys, answers)?,
            Step::Scan { of, range, direction, rows } => {
                let direction = if self.mirrored { Direction::Reverse } else { *direction };
                let found = drain(&mut *self.cursor(*of, range, direction)?)?;
                let mut expected = self.rows(rows);
                if self.mirrored {
                    expected.reverse();
                }
                same_rows(format!("the {direction:?} scan"), &found, &expected)?;
            }
            Step::Snapshot(name) => drop(self.snapshots.insert(name, storage.snapshot()?)),
            Step::Cursor { of, name, range, direction } => {
                let cursor = self.cursor(*of, range, *direction)?;
                self.cursors.insert(name, cursor);
            }
            Step::Seek { cursor, key, row } => {
                let expected = row.as_ref().map(|row| self.row(row));
                let (key, cursor) = (key.eval(&self.limits), self.cursor_named(cursor));
                cursor.seek(&key)?;
                equal("the entry after the seek", &first(cursor)?, &expected)?;
            }
            Step::Rest { cursor, rows } => {
                let expected = self.rows(rows);
                same_rows("what is left", &drain(self.cursor_named(cursor))?, &expected)?;
            }
            Step::Drop(name) => {
                drop((self.cursors.remove(name), self.snapshots.remove(name)));
            }
            Step::Digest(expected) => {
                equal("the digest", &self.fixture.digest()?, &(*expected).to_owned())?;
            }
            Step::Flush { synced } => storage.flush(durability(*synced))?,
            Step::Compact(range) => {
                let (start, end) = self.bounds(range);
                storage.compact(KeyRange::new(&start, end.as_deref()))?;
            }
            Step::Close => storage.close()?,
            Step::Reopen { close, mode } => {
                if *close {
                    storage.close()?;
                }
                self.fixture.drop_storage();
                self.fixture.open(*mode)?;
            }
        }
        Ok(())
    }

    fn write(&self, changes: &[Change], synced: bool) -> Result<(), Stop> {
        let filled = batch(|batch| {
            for change in changes {
                match change {
                    Change::Put(row) => {
                        let (key, value) = self.row(row);
                        batch.put(&key, &value);
                    }
                    Change::Delete(key) => batch.delete(&key.eval(&self.limits)),
                    Change::DeleteRange(range) => {
                        let (start, end) = self.bounds(range);
                        batch.delete_range(KeyRange::new(&start, end.as_deref()));
                    }
                }
            }
        });
        Ok(self.fixture.storage().write(&filled, durability(synced))?)
    }

    fn get(
        &self,
        of: Option<Name>,
        key: &[u8],
        expected: Option<&super::Bytes>,
    ) -> Result<(), Stop> {
        let mut value = ByteBuf::new();
        let found = match of {
            Some(name) => self.snapshots[name].get(key, &mut value)?,
            None => self.fixture.storage().get(key, &mut value)?,
        };
        let expected = expected.map(|bytes| bytes.eval(&self.limits));
        Ok(equal("the value", &found.then(|| value.to_vec()), &expected)?)
    }

    fn multi_get(
        &self,
        of: Option<Name>,
        keys: &[super::Bytes],
        answers: &[Option<super::Bytes>],
    ) -> Result<(), Stop> {
        let keys: Vec<_> = keys.iter().map(|key| key.eval(&self.limits)).collect();
        let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
        let mut values = Values::new();
        match of {
            Some(name) => self.snapshots[name].multi_get(&keys, &mut values)?,
            None => self.fixture.storage().multi_get(&keys, &mut values)?,
        }
        let answers = answers.iter().map(|one| one.as_ref().map(|bytes| bytes.eval(&self.limits)));
        Ok(equal("the answers", &owned(&values), &answers.collect())?)
    }

    fn cursor(
        &self,
        of: Option<Name>,
        range: &Range,
        direction: Direction,
    ) -> Result<Box<dyn Cursor>, Error> {
        let (start, end) = self.bounds(range);
        let range = KeyRange::new(&start, end.as_deref());
        match of {
            Some(name) => self.snapshots[name].cursor(range, direction),
            None => self.fixture.storage().cursor(range, direction),
        }
    }

    fn cursor_named(&mut self, name: Name) -> &mut dyn Cursor {
        &mut **self.cursors.get_mut(name).expect("the parser knows the names that live")
    }

    fn bounds(&self, range: &Range) -> (Vec<u8>, Option<Vec<u8>>) {
        match range {
            Range::Prefix(prefix) => {
                let prefix = prefix.eval(&self.limits);
                let end = prefix_successor(&prefix);
                (prefix, end)
            }
            Range::Bounds(start, end) => {
                (start.eval(&self.limits), end.as_ref().map(|end| end.eval(&self.limits)))
            }
        }
    }

    fn row(&self, row: &Row) -> check::Row {
        (row.key.eval(&self.limits), row.value.eval(&self.limits))
    }

    fn rows(&self, rows: &[Row]) -> Vec<check::Row> {
        rows.iter().map(|row| self.row(row)).collect()
    }
}

fn durability(synced: bool) -> Durability {
    if synced { Durability::Synced } else { Durability::Buffered }
}
