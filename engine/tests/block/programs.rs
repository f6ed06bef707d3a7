//! Transactions as small programs whose every write depends on everything that was read before it.

use crate::model::{Map, Model};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::thread::yield_now;
use supervm_engine::block::{AccessList, BlockLimits, BlockView, Ran, Refusal, Transactions};
use supervm_engine::mvcc::TRANSACTION_KEYS_MAX;
use supervm_engine::state::{Event, Journal, Scan, ScanStep, StateKey, StateView};
use supervm_plugin_sdk::{ByteBuf, Direction, Result};

pub(crate) const CONTRACT: [u8; 20] = [7; 20];

#[derive(Debug, Clone)]
pub(crate) enum Step {
    Read(Vec<u8>),
    /// Writes a value that follows from what was read so far.
    Write(Vec<u8>),
    Delete(Vec<u8>),
    Scan(Vec<u8>, Direction, u32),
    /// A scan that ends when it has passed so many removed keys, as one does whose gas is used up.
    ShortScan(Vec<u8>, Direction, u64),
    /// Writes to a key whose name follows from what was read so far.
    Create(Vec<u8>),
    /// Undoes what was written so far, when what was read so far says so.
    UndoMaybe,
    /// Ends without effect, when what was read so far says so.
    FailMaybe,
    /// Lets another thread go on.
    Yield,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    pub(crate) access: Option<AccessList>,
}

/// What is kept of a program's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// Of everything that was read.
    seen: u64,
    /// Keys that scans passed and that programs before this one had removed.
    pub(crate) removed: u64,
    reads: Vec<StateKey>,
    events: Vec<Event>,
    refused: Option<String>,
}

impl Report {
    /// What is kept of it when its writes are refused.
    pub(crate) fn refused(self, why: String) -> Self {
        Self { events: Vec::new(), refused: Some(why), ..self }
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }
}

impl Program {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), access: None }
    }

    /// Adds 1 to the number of runs that are told of in `key`.
    pub(crate) fn increment(key: &[u8]) -> Self {
        Self::new([Step::Read(key.to_vec()), Step::Write(key.to_vec())])
    }

    pub(crate) fn run(&self, view: impl StateView) -> Result<Ran<Report>> {
        let mut journal = Journal::new(view);
        let mut value = ByteBuf::new();
        let mut seen = DefaultHasher::new();
        let mut removed = 0;
        let mut failed = false;
        journal.savepoint();
        for step in &self.steps {
            match step {
                Step::Read(name) => {
                    let found = journal.get(&CONTRACT, name, &mut value)?;
                    (found, found.then_some(&*value)).hash(&mut seen);
                }
                Step::Write(name) => {
                    let value = seen.finish();
                    let times = 1 + (value % 5) as usize;
                    journal.set(&CONTRACT, name, &value.to_be_bytes().repeat(times));
                    journal.emit(&CONTRACT, name);
                }
                Step::Delete(name) => journal.delete(&CONTRACT, name),
                Step::Scan(prefix, direction, limit) => {
                    let mut scan = journal.scan(&CONTRACT, prefix, *direction, *limit)?;
                    removed += walk(&mut journal, &mut scan, u64::MAX, &mut seen)?;
                }
                Step::ShortScan(prefix, direction, most) => {
                    let mut scan = journal.scan(&CONTRACT, prefix, *direction, 0)?;
                    removed += walk(&mut journal, &mut scan, *most, &mut seen)?;
                }
                Step::Create(prefix) => {
                    let nth = (seen.finish() % 16) as u8;
                    journal.set(&CONTRACT, &[prefix.as_slice(), &[nth]].concat(), b"made");
                }
                Step::UndoMaybe if seen.finish().is_multiple_of(3) => {
                    journal.rollback();
                    journal.savepoint();
                }
                Step::FailMaybe if seen.finish().is_multiple_of(4) => {
                    failed = true;
                    break;
                }
                Step::Yield => yield_now(),
                Step::UndoMaybe | Step::FailMaybe => {}
            }
        }
        if failed {
            journal.rollback();
        }
        let changes = journal.into_changes();
        let output = Report {
            seen: seen.finish(),
            removed,
            reads: changes.reads.into_iter().collect(),
            events: changes.events,
            refused: None,
        };
        let writes = changes.writes.into_iter();
        Ok(Ran { output, writes: writes.map(|(key, value)| (key.to_bytes(), value)).collect() })
    }
}

/// Goes to the end of a scan, or until it has passed more than `most` removed keys; how many it passed, at most one more.
fn walk<V: StateView>(
    journal: &mut Journal<V>,
    scan: &mut Scan,
    most: u64,
    seen: &mut DefaultHasher,
) -> Result<u64> {
    let (mut key, mut value) = (ByteBuf::new(), ByteBuf::new());
    let mut removed: u64 = 0;
    loop {
        match journal.scan_step(scan, &mut key, &mut value)? {
            ScanStep::Entry => (&*key, &*value).hash(seen),
            ScanStep::Removed(keys) => removed += keys,
            ScanStep::End => return Ok(removed),
        }
        if removed > most {
            return Ok(most + 1);
        }
    }
}

/// A block of programs.
pub(crate) struct Programs<'a>(pub(crate) &'a [Program]);

impl Programs<'_> {
    /// Runs them one by one over a map.
    pub(crate) fn run_on(&self, model: &Model) -> Vec<Report> {
        let run = |program: &Program| {
            let ran = program.run(model.clone()).unwrap();
            model.apply(&ran.writes);
            ran.output
        };
        model.begin_block();
        self.0.iter().map(run).collect()
    }
}

impl Transactions for Programs<'_> {
    type Output = Report;
    type Worker = ();

    fn len(&self) -> usize {
        self.0.len()
    }

    fn access(&self, index: usize) -> Option<&AccessList> {
        self.0[index].access.as_ref()
    }

    fn worker(&self) {}

    fn run(&self, (): &mut (), index: usize, view: &BlockView) -> Result<Ran<Report>> {
        self.0[index].run(view.clone())
    }

    fn refuse(&self, _: usize, report: Report, refusal: &Refusal) -> Report {
        report.refused(refusal.to_string())
    }
}

/// The same within bounds.
pub(crate) struct Bounded<'a>(pub(crate) Programs<'a>, pub(crate) BlockLimits);

impl Bounded<'_> {
    /// Runs them one by one over a map, and refuses what is too much by adding everything up anew for each.
    pub(crate) fn run_on(&self, model: &Model) -> Vec<Report> {
        let Self(Programs(programs), limits) = self;
        model.begin_block();
        let before = model.map.lock().clone();
        let mut written = BTreeSet::new();
        let run = |program: &Program| {
            let Ran { output, writes } = program.run(model.clone()).unwrap();
            let then = model.state();
            let keys: BTreeSet<_> = writes.iter().map(|(key, _)| key.clone()).collect();
            let touched: BTreeSet<_> = written.union(&keys).cloned().collect();
            model.apply(&writes);
            let transaction = size(&keys, &then.0, &model.map.lock());
            let block = size(&touched, &before, &model.map.lock());
            let why = if transaction > limits.transaction_bytes_max {
                format!(
                    "the transaction changes {transaction} bytes of {} keys, with what it replaces; at most {} bytes and {TRANSACTION_KEYS_MAX} keys",
                    keys.len(),
                    limits.transaction_bytes_max
                )
            } else if block > limits.block_bytes_max {
                format!(
                    "the block is full: with this transaction it changes {block} bytes, with what it replaces; at most {}",
                    limits.block_bytes_max
                )
            } else {
                written = touched;
                return output;
            };
            model.restore(then);
            output.refused(why)
        };
        programs.iter().map(run).collect()
    }
}

/// What `keys` count, from one state to another.
fn size(keys: &BTreeSet<Vec<u8>>, before: &Map, after: &Map) -> usize {
    let length = |map: &Map, key| map.get(key).map_or(0, Vec::len);
    keys.iter().map(|key| 80 + 4 * key.len() + length(before, key) + length(after, key)).sum()
}

impl Transactions for Bounded<'_> {
    type Output = Report;
    type Worker = ();

    fn len(&self) -> usize {
        self.0.len()
    }

    fn access(&self, index: usize) -> Option<&AccessList> {
        self.0.access(index)
    }

    fn limits(&self) -> BlockLimits {
        self.1
    }

    fn worker(&self) {}

    fn run(&self, (): &mut (), index: usize, view: &BlockView) -> Result<Ran<Report>> {
        self.0.run(&mut (), index, view)
    }

    fn refuse(&self, index: usize, report: Report, refusal: &Refusal) -> Report {
        self.0.refuse(index, report, refusal)
    }
}
