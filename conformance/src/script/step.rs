//! A line of a case: one step.

use super::bytes::{Bytes, Scanner};
use super::{Change, Name, Range, Row, Step};
use std::collections::BTreeSet;
use supervm_plugin_sdk::{Capability, Direction, ErrorKind, OpenMode};

/// What the lines of a case may use.
#[derive(Default)]
pub(super) struct Scope {
    /// What the backend declares, by the head of the case.
    pub(super) needs: Vec<Capability>,
    snapshots: BTreeSet<Name>,
    cursors: BTreeSet<Name>,
}

impl Scope {
    /// Refuses a step that the head of the case does not allow for.
    pub(super) fn require(&self, capability: Capability) -> Result<(), String> {
        if self.needs.contains(&capability) {
            return Ok(());
        }
        Err(format!("the step needs {capability}, which the case's `needs` does not have"))
    }

    pub(super) fn changes(&self, scanner: &mut Scanner) -> Result<Vec<Change>, String> {
        if scanner.takes_word("put") {
            return Ok(list(scanner, row)?.into_iter().map(Change::Put).collect());
        }
        if scanner.takes_word("delete") {
            return Ok(list(scanner, Scanner::bytes)?.into_iter().map(Change::Delete).collect());
        }
        if scanner.takes_word("delete-range") {
            self.require(Capability::DeleteRange)?;
            return Ok(vec![Change::DeleteRange(range(scanner)?)]);
        }
        Err(format!("expected put, delete, delete-range or `}}`, found `{}`", scanner.rest()))
    }

    pub(super) fn step(&mut self, scanner: &mut Scanner) -> Result<Step, String> {
        let word = scanner.word()?;
        let Some((name, verb)) = word.split_once('.') else { return self.plain(word, scanner) };
        if self.snapshots.contains(name) {
            return self.read(Some(name), verb, scanner);
        }
        if !self.cursors.contains(name) {
            return Err(format!("there is no snapshot or cursor `{name}`"));
        }
        match verb {
            "seek" => {
                let key = scanner.bytes()?;
                let row = answer(scanner, "end", row)?.flatten();
                Ok(Step::Seek { cursor: name, key, row })
            }
            "rest" => Ok(Step::Rest { cursor: name, rows: rows(scanner)? }),
            _ => Err(format!("a cursor has seek and rest, not `{verb}`")),
        }
    }

    fn plain(&mut self, verb: &'static str, scanner: &mut Scanner) -> Result<Step, String> {
        Ok(match verb {
            "snapshot" => {
                self.require(Capability::Snapshot)?;
                let name = scanner.word()?;
                self.snapshots.insert(name);
                Step::Snapshot(name)
            }
            "drop" => {
                let name = scanner.word()?;
                if !self.snapshots.remove(name) && !self.cursors.remove(name) {
                    return Err(format!("there is no snapshot or cursor `{name}`"));
                }
                Step::Drop(name)
            }
            "digest" => {
                scanner.expect("->")?;
                Step::Digest(scanner.word()?)
            }
            "flush" => {
                let synced = scanner.takes_word("synced");
                if synced {
                    self.require(Capability::SyncedWrites)?;
                }
                Step::Flush { synced }
            }
            "compact" => {
                self.require(Capability::Compact)?;
                Step::Compact(range(scanner)?)
            }
            "close" => Step::Close,
            "reopen" => self.reopen(scanner)?,
            _ => return self.read(None, verb, scanner),
        })
    }

    fn reopen(&self, scanner: &mut Scanner) -> Result<Step, String> {
        // A backend that forgets at close has nothing to be found again.
        self.require(Capability::SyncedWrites)?;
        if scanner.takes_word("read-only") {
            self.require(Capability::ReadOnlyOpen)?;
            return Ok(Step::Reopen { close: true, mode: OpenMode::ReadOnly });
        }
        let close = !scanner.takes_word("dropped");
        Ok(Step::Reopen { close, mode: OpenMode::MustExist })
    }

    /// A read of the storage or of a snapshot.
    fn read(
        &mut self,
        of: Option<Name>,
        verb: &str,
        scanner: &mut Scanner,
    ) -> Result<Step, String> {
        let direction = if verb.starts_with('r') { Direction::Reverse } else { Direction::Forward };
        if direction == Direction::Reverse {
            self.require(Capability::ReverseCursor)?;
        }
        match verb {
            "get" => {
                let key = scanner.bytes()?;
                Ok(Step::Get {
                    of,
                    key,
                    value: answer(scanner, "absent", Scanner::bytes)?.flatten(),
                })
            }
            "multi-get" => {
                let keys =
                    if scanner.at("->") { Vec::new() } else { list(scanner, Scanner::bytes)? };
                let one = |scanner: &mut Scanner| {
                    if scanner.takes_word("absent") { Ok(None) } else { scanner.bytes().map(Some) }
                };
                let answers = answer(scanner, "nothing", |scanner| list(scanner, one))?;
                Ok(Step::MultiGet { of, keys, answers: answers.flatten().unwrap_or_default() })
            }
            "scan" | "rscan" => {
                let range = range(scanner)?;
                Ok(Step::Scan { of, range, direction, rows: rows(scanner)? })
            }
            "cursor" | "rcursor" => {
                let name = scanner.word()?;
                self.cursors.insert(name);
                Ok(Step::Cursor { of, name, range: range(scanner)?, direction })
            }
            _ => Err(format!("unknown step `{verb}`")),
        }
    }
}

/// One or more items, up to the end of the line or an arrow.
fn list<T>(
    scanner: &mut Scanner,
    item: impl Fn(&mut Scanner) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut items = vec![item(scanner)?];
    while !scanner.at_end() && !scanner.at("->") {
        items.push(item(scanner)?);
    }
    Ok(items)
}

fn row(scanner: &mut Scanner) -> Result<Row, String> {
    let key = scanner.bytes()?;
    let value = if scanner.takes("=") { scanner.bytes()? } else { key.clone() };
    Ok(Row { key, value })
}

/// What follows the arrow: `Some(None)` for the word that stands for nothing, `None` where a refusal follows.
fn answer<T>(
    scanner: &mut Scanner,
    none: &str,
    some: impl FnOnce(&mut Scanner) -> Result<T, String>,
) -> Result<Option<Option<T>>, String> {
    let mut ahead = *scanner;
    ahead.expect("->")?;
    if ahead.takes_word("error") {
        return Ok(None);
    }
    *scanner = ahead;
    if scanner.takes_word(none) {
        Ok(Some(None))
    } else {
        some(scanner).map(|some| Some(Some(some)))
    }
}

fn rows(scanner: &mut Scanner) -> Result<Vec<Row>, String> {
    let rows = answer(scanner, "nothing", |scanner| list(scanner, row))?;
    Ok(rows.flatten().unwrap_or_default())
}

fn range(scanner: &mut Scanner) -> Result<Range, String> {
    if scanner.takes_word("all") {
        return Ok(Range::Bounds(Bytes::empty(), None));
    }
    if scanner.takes_word("prefix") {
        return Ok(Range::Prefix(scanner.bytes()?));
    }
    scanner.expect("[")?;
    let start = scanner.bytes()?;
    scanner.expect(",")?;
    let end = if scanner.takes_word("..") { None } else { Some(scanner.bytes()?) };
    scanner.expect(")")?;
    Ok(Range::Bounds(start, end))
}

pub(super) fn error_kind(name: &str) -> Result<ErrorKind, String> {
    let known = ErrorKind::ALL.into_iter().find(|kind| format!("{kind:?}") == name);
    known.ok_or_else(|| format!("unknown kind of error `{name}`"))
}
