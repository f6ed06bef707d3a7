//! The same operations on any backend and on the ordered map, each with a line that says what came of it.

use crate::case::CaseResult;
use crate::check::{Show, failed};
use crate::fixture::{batch, drain, get, owned, storage_digest};
use crate::model::{Step, Traceable, changes_batch, range};
use crate::oracle::{Oracle, digest};
use crate::random::Random;
use serde::{Deserialize, Serialize};
use supervm_plugin_sdk::{
    ByteBuf, Direction, Durability, KeyRange, Limits, Result, StorageBackend, Values, WriteBatch,
};

/// Random operations in a trace.
const STEPS: usize = 600;
/// Keys of a scan that its line has.
const SHOWN_KEYS: usize = 6;
/// Steps between two digests.
const DIGEST_EVERY: usize = 100;

/// A sequence of operations that a seed repeats.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Trace {
    pub(crate) seed: u64,
    pub(crate) delete_range: bool,
    pub(crate) reverse: bool,
}

impl Trace {
    fn steps(self) -> Vec<Step> {
        let mut random = Random::new(self.seed, "trace");
        let can = Traceable { delete_range: self.delete_range, reverse: self.reverse };
        (0..STEPS).map(|_| Step::traceable(&mut random, can)).collect()
    }

    /// What `storage`, which is empty, says to each step, and then to wrong calls.
    pub(crate) fn on_storage(self, storage: &dyn StorageBackend) -> CaseResult<Vec<String>> {
        let mut lines = Vec::new();
        for (number, step) in self.steps().iter().enumerate() {
            let said = match step {
                Step::Write(changes) => {
                    storage.write(&changes_batch(changes), Durability::Buffered)?;
                    "written".to_owned()
                }
                Step::Get(key) => get(storage, &key.0)?.show(),
                Step::MultiGet(keys) => {
                    let keys: Vec<_> = keys.iter().map(|key| key.0.as_slice()).collect();
                    let mut values = Values::new();
                    storage.multi_get(&keys, &mut values)?;
                    owned(&values).show()
                }
                Step::Scan { start, end, reverse } => {
                    let mut cursor = storage.cursor(range(start, end), direction(*reverse))?;
                    scanned(drain(&mut *cursor)?)
                }
                other => return failed(format!("{other:?} is no step of a trace")),
            };
            lines.push(format!("{step:?}: {said}"));
            if number % DIGEST_EVERY == DIGEST_EVERY - 1 {
                lines.push(format!("digest: {}", storage_digest(storage)?));
            }
        }
        lines.extend(wrong_calls(storage));
        Ok(lines)
    }

    /// What the contract asks for, of each step before the wrong calls.
    pub(crate) fn on_map(self) -> Vec<String> {
        let (mut map, mut lines) = (Oracle::default(), Vec::new());
        for (number, step) in self.steps().iter().enumerate() {
            let said = match step {
                Step::Write(changes) => {
                    map.apply(&changes_batch(changes));
                    "written".to_owned()
                }
                Step::Get(key) => map.get(&key.0).show(),
                Step::MultiGet(keys) => {
                    keys.iter().map(|key| map.get(&key.0)).collect::<Vec<_>>().show()
                }
                Step::Scan { start, end, reverse } => {
                    scanned(map.rows(range(start, end), direction(*reverse)))
                }
                _ => String::new(),
            };
            lines.push(format!("{step:?}: {said}"));
            if number % DIGEST_EVERY == DIGEST_EVERY - 1 {
                lines.push(format!("digest: {}", map.digest()));
            }
        }
        lines
    }
}

/// The number of entries, the first keys, and the digest of all.
fn scanned(rows: Vec<crate::check::Row>) -> String {
    let first: Vec<_> = rows.iter().take(SHOWN_KEYS).map(|row| row.0.show()).collect();
    let (count, keys) = (rows.len(), first.join(" "));
    format!("{count} entries, first {keys}, digest {}", digest(rows.into_iter()))
}

fn direction(reverse: bool) -> Direction {
    if reverse { Direction::Reverse } else { Direction::Forward }
}

/// Makes a small content of keys and values of many kinds.
pub(super) fn write_some(storage: &dyn StorageBackend) -> Result<()> {
    for round in 0..20u8 {
        let some = batch(|batch| {
            (0..50u8).for_each(|key| batch.put(&[round, key], &[key; 90]));
            batch.put(&[0xff, round], b"");
            batch.delete(&[round, 7]);
        });
        storage.write(&some, Durability::Buffered)?;
    }
    Ok(())
}

/// Kind, effect and nature of the refusal of each wrong call, and that nothing came of them.
fn wrong_calls(storage: &dyn StorageBackend) -> Vec<String> {
    let capabilities = storage.capabilities();
    let Limits { key_bytes_max, value_bytes_max, batch_operations_max, .. } =
        *capabilities.limits();
    let (long, large) =
        (vec![1; key_bytes_max as usize + 1], vec![1; value_bytes_max as usize + 1]);
    let (mut value, mut values) = (ByteBuf::new(), Values::new());
    let write = |fill: &dyn Fn(&mut WriteBatch)| storage.write(&batch(fill), Durability::Buffered);
    let cursor = |range| storage.cursor(range, Direction::Forward);
    let seek = |key: &[u8]| cursor(KeyRange::ALL).and_then(|mut cursor| cursor.seek(key));
    let mut lines = vec![
        refusal("get of the empty key", storage.get(b"", &mut value)),
        refusal("get of a long key", storage.get(&long, &mut value)),
        refusal("multi_get with the empty key", storage.multi_get(&[b"a", b""], &mut values)),
        refusal("multi_get with a long key", storage.multi_get(&[b"a", &long], &mut values)),
        refusal("put of the empty key", write(&|batch| batch.put(b"", b""))),
        refusal("put of a long key", write(&|batch| batch.put(&long, b""))),
        refusal("put of a large value", write(&|batch| batch.put(b"k", &large))),
        refusal("delete of the empty key", write(&|batch| batch.delete(b""))),
        refusal("delete of a long key", write(&|batch| batch.delete(&long))),
        refusal("too many operations", {
            write(&|batch| (0..=batch_operations_max).for_each(|_| batch.delete(b"k")))
        }),
        refusal("a put and then the empty key", {
            write(&|batch| {
                batch.put(b"k", b"k");
                batch.put(b"", b"");
            })
        }),
        refusal("delete_range from a long key", {
            write(&|batch| batch.delete_range(KeyRange::new(&long, None)))
        }),
        refusal("cursor from a long key", cursor(KeyRange::new(&long, None))),
        refusal("cursor to a long key", cursor(KeyRange::new(b"", Some(&long)))),
        refusal("seek to a long key", seek(&long)),
    ];
    let held = cursor(KeyRange::ALL);
    lines.push(refusal("close under a cursor", storage.close()));
    drop(held);
    lines.push(refusal("close", storage.close()));
    lines.push(refusal("get after close", storage.get(b"k", &mut value)));
    lines.push(refusal("put after close", write(&|batch| batch.put(b"k", b""))));
    lines.push(refusal("cursor after close", cursor(KeyRange::ALL)));
    lines.push(refusal("flush after close", storage.flush(Durability::Buffered)));
    lines.push(refusal("stats after close", storage.stats()));
    lines.push(refusal("close after close", storage.close()));
    lines
}

fn refusal<T>(call: &str, outcome: Result<T>) -> String {
    match outcome {
        Ok(_) => format!("{call}: accepted"),
        Err(error) => format!(
            "{call}: {:?}, {:?}, deterministic: {}, retryable: {}",
            error.kind(),
            error.effect(),
            error.is_deterministic(),
            error.is_retryable()
        ),
    }
}
