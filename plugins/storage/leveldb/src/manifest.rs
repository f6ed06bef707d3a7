//! What a database consists of: its manifest, as far as it has to be known before LevelDB opens it.

use crate::files::{CURRENT, DatabaseFile};
use crate::records::{End, Packed, Records};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// The order of keys that LevelDB has unless it is given another.
const COMPARATOR: &[u8] = b"leveldb.BytewiseComparator";

// Tags of fields of an edit.
const LOG_NUMBER: u64 = 2;
const NEXT_FILE: u64 = 3;
const LAST_SEQUENCE: u64 = 4;

/// What the edits in a manifest come to.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// The oldest log whose content is in no table.
    pub(crate) log_number: u64,
    /// The number of the last operation when the manifest was last written; those in logs may be later.
    pub(crate) last_sequence: u64,
    /// The tables, by number, and their lengths in bytes.
    pub(crate) tables: BTreeMap<u64, u64>,
    /// The tags of the fields that were given a value.
    fields: BTreeSet<u64>,
}

impl Manifest {
    /// Reads the manifest that `CURRENT` names.
    ///
    /// # Errors
    /// `Corruption`; `FormatMismatch` when it is one of another database, such as RocksDB; `Io`.
    pub(crate) fn read(dir: &Path) -> Result<Self> {
        let io = |error| Error::io("open", error);
        let current = fs::read_to_string(dir.join(CURRENT)).map_err(io)?;
        let name = current.strip_suffix('\n').unwrap_or_default();
        if !matches!(DatabaseFile::parse(name), Some(DatabaseFile::Manifest(_))) {
            return Err(damaged("CURRENT names no manifest"));
        }
        let path = dir.join(name);
        if !path.exists() {
            return Err(damaged("the manifest that CURRENT names is missing").with("file", name));
        }
        let file = fs::read(path).map_err(io)?;
        let mut records = Records::new(&file);
        let mut manifest = Self::default();
        for edit in records.by_ref() {
            manifest.apply(&edit).map_err(|error| error.with("file", name))?;
        }
        match records.end() {
            End::Damaged(what) => Err(damaged(&what).with("file", name)),
            // Each edit is synced before the next.
            End::Torn if records.is_followed_by_a_record() => {
                Err(damaged("an edit between others is lost").with("file", name))
            }
            // What every manifest has before LevelDB uses it.
            _ if !manifest.has_all_fields() => {
                Err(damaged("it ends before its first edit does").with("file", name))
            }
            // An edit that was not finished has no effect.
            End::Whole | End::Torn => Ok(manifest),
        }
    }

    fn has_all_fields(&self) -> bool {
        [LOG_NUMBER, NEXT_FILE, LAST_SEQUENCE].iter().all(|field| self.fields.contains(field))
    }

    fn apply(&mut self, edit: &[u8]) -> Result<()> {
        let mut edit = Packed(edit);
        while !edit.is_empty() {
            self.apply_field(&mut edit)?.ok_or_else(|| damaged("an edit that ends early"))?;
        }
        Ok(())
    }

    /// `None` when the edit ends within the field.
    fn apply_field(&mut self, edit: &mut Packed<'_>) -> Result<Option<()>> {
        let Some(tag) = edit.varint() else { return Ok(None) };
        self.fields.insert(tag);
        let (number, text) = (Packed::varint, Packed::text);
        Ok(match tag {
            1 => match text(edit) {
                Some(name) if name != COMPARATOR => {
                    let message = "the database orders its keys in another way than by bytes";
                    let name = String::from_utf8_lossy(name);
                    return Err(mismatch(message).with("comparator", name));
                }
                name => name.map(drop),
            },
            LOG_NUMBER => number(edit).map(|number| self.log_number = number),
            // Number 9 is the log before, of databases older than LevelDB 1.2.
            NEXT_FILE | 9 => number(edit).map(drop),
            LAST_SEQUENCE => number(edit).map(|number| self.last_sequence = number),
            // Where a level's compaction goes on.
            5 => number(edit).and_then(|_| text(edit)).map(drop),
            6 => number(edit).and_then(|_| number(edit)).map(|table| {
                self.tables.remove(&table);
            }),
            7 => self.apply_new_table(edit),
            _ => {
                let message = "the manifest is not one of LevelDB; is it one of RocksDB?";
                return Err(mismatch(message).with("tag", tag));
            }
        })
    }

    fn apply_new_table(&mut self, edit: &mut Packed<'_>) -> Option<()> {
        let _level = edit.varint()?;
        let (table, bytes) = (edit.varint()?, edit.varint()?);
        let (_smallest, _largest) = (edit.text()?, edit.text()?);
        self.tables.insert(table, bytes);
        Some(())
    }
}

fn damaged(what: &str) -> Error {
    Error::new(ErrorKind::Corruption, "open", format!("the manifest is damaged: {what}"))
}

fn mismatch(message: &str) -> Error {
    Error::new(ErrorKind::FormatMismatch, "open", message)
}
