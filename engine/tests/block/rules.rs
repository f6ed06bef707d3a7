//! Single behaviours of the executor.

use crate::model::content;
use crate::programs::{CONTRACT, Program, Programs, Step};
use parking_lot::Mutex;
use std::sync::Barrier;
use supervm_engine::block::{
    AccessList, BLOCK_TRANSACTIONS_MAX, BlockExecutor, BlockStats, BlockView, Ran, Refusal,
    Transactions,
};
use supervm_engine::mvcc::{Block, MvccStore};
use supervm_engine::state::{StateKey, StateView};
use supervm_plugin_sdk::{ByteBuf, Direction, ErrorKind, KeyRange, Result};

const BLOCK: Block = Block { number: 1, timestamp: 1 };

fn run(executor: &BlockExecutor, store: &MvccStore, programs: &[Program]) -> BlockStats {
    let executed = executor.execute(store, &Programs(programs)).unwrap();
    executor.commit(executed, BLOCK, None).unwrap().1
}

#[test]
fn a_block_is_one_version_with_its_number() {
    let store = MvccStore::new();
    let programs: Vec<_> = (0..100u8).map(|nth| Program::increment(&[nth])).collect();
    let before = store.last_version();
    run(&BlockExecutor::new(4).unwrap(), &store, &programs);
    assert_eq!(store.last_version(), before.next());
    let last = store.last_block().unwrap();
    assert_eq!((last.number, last.timestamp, last.version), (1, 1, before.next()));
}

#[test]
fn an_empty_block_ends_too() {
    let store = MvccStore::new();
    let stats = run(&BlockExecutor::new(2).unwrap(), &store, &[]);
    assert_eq!(stats, BlockStats::default());
    assert_eq!(store.last_block().unwrap().number, 1);
}

#[test]
fn nothing_is_changed_before_the_commit() {
    let store = MvccStore::new();
    let programs: Vec<_> = (0..100u8).map(|nth| Program::increment(&[nth])).collect();
    let executed = BlockExecutor::new(2).unwrap().execute(&store, &Programs(&programs)).unwrap();
    assert!(content(&store).is_empty());
    drop(executed);
    assert!(content(&store).is_empty());
    assert_eq!(store.last_block(), None);
}

#[test]
fn a_commit_since_the_block_began_is_a_conflict_whatever_it_wrote() {
    let store = MvccStore::new();
    let programs = [Program::increment(b"a")];
    let executor = BlockExecutor::new(1).unwrap();
    let executed = executor.execute(&store, &Programs(&programs)).unwrap();
    let mut other = store.begin();
    other.write(b"elsewhere", b"1").unwrap();
    other.commit().unwrap();
    let refused = executor.commit(executed, BLOCK, None).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert_eq!(content(&store).len(), 1);
}

#[test]
fn a_block_with_too_many_transactions_is_refused() {
    let programs = vec![Program::default(); BLOCK_TRANSACTIONS_MAX + 1];
    let executor = BlockExecutor::new(1).unwrap();
    let refused = executor.execute(&MvccStore::new(), &Programs(&programs)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    assert!(refused.message().contains("at most 65536"), "{refused}");
}

#[test]
fn blocks_of_a_chain_come_to_run_one_by_one_and_others_do_not() {
    let executor = BlockExecutor::new(4).unwrap();
    let chain: Vec<_> = (0..2000).map(|_| Program::increment(b"hot")).collect();
    let stats = run(&executor, &MvccStore::new(), &chain);
    assert!(stats.in_turn > 1500, "{stats:?}");
    let apart: Vec<_> = (0..20_000u32).map(|nth| Program::increment(&nth.to_be_bytes())).collect();
    let executor = BlockExecutor::new(4).unwrap();
    let stats = run(&executor, &MvccStore::new(), &apart);
    assert_eq!((stats.ran_ahead, stats.reruns), (20_000, 0), "{stats:?}");
}

/// Two transactions that meet: the second one reads before the first is merged.
struct Meeting {
    met: Barrier,
    /// How often each ran.
    runs: Mutex<[u32; 8]>,
    second: fn(&mut BlockView) -> Result<bool>,
    access: Option<AccessList>,
}

impl Meeting {
    fn new(second: fn(&mut BlockView) -> Result<bool>) -> Self {
        Self { met: Barrier::new(2), runs: Mutex::default(), second, access: None }
    }

    fn run_twice(&self) -> ([u32; 8], Vec<bool>) {
        let executor = BlockExecutor::new(2).unwrap();
        let executed = executor.execute(&MvccStore::new(), self).unwrap();
        (*self.runs.lock(), executed.outputs.clone())
    }
}

impl Transactions for Meeting {
    type Output = bool;
    type Worker = ();

    fn len(&self) -> usize {
        8
    }

    fn access(&self, index: usize) -> Option<&AccessList> {
        self.access.as_ref().filter(|_| index < 2)
    }

    fn worker(&self) {}

    fn run(&self, (): &mut (), index: usize, view: &BlockView) -> Result<Ran<bool>> {
        self.runs.lock()[index] += 1;
        let is_first_run = self.runs.lock()[index] == 1;
        let key = StateKey { contract: CONTRACT, key: b"key".to_vec() }.to_bytes();
        match index {
            0 => {
                if self.access.is_none() {
                    self.met.wait();
                }
                Ok(Ran { output: true, writes: vec![(key, Some(b"1".to_vec()))] })
            }
            1 => {
                let output = (self.second)(&mut view.clone())?;
                if is_first_run && self.access.is_none() {
                    // The first is let go when the second has read.
                    self.met.wait();
                }
                Ok(Ran { output, writes: Vec::new() })
            }
            _ => Ok(Ran { output: true, writes: Vec::new() }),
        }
    }

    fn refuse(&self, _: usize, _: bool, refusal: &Refusal) -> bool {
        panic!("nothing is too much here: {refusal}")
    }
}

fn reads(view: &mut BlockView) -> Result<bool> {
    let key = StateKey { contract: CONTRACT, key: b"key".to_vec() }.to_bytes();
    view.get(&key, &mut ByteBuf::new())
}

fn walks(view: &mut BlockView) -> Result<bool> {
    let mut rows = view.rows(KeyRange::new(&CONTRACT, None), Direction::Reverse)?;
    Ok(rows.peek()?.is_some())
}

#[test]
fn an_absent_key_that_appears_makes_its_reader_run_again() {
    let (runs, outputs) = Meeting::new(reads).run_twice();
    assert_eq!((&runs[..2], outputs[1]), (&[1, 2][..], true));
}

#[test]
fn a_key_that_appears_in_a_range_makes_who_walked_it_run_again() {
    let (runs, outputs) = Meeting::new(walks).run_twice();
    assert_eq!((&runs[..2], outputs[1]), (&[1, 2][..], true));
}

#[test]
fn what_reads_nothing_that_changes_runs_once() {
    let (runs, outputs) = Meeting::new(|_| Ok(true)).run_twice();
    assert_eq!((&runs[..2], outputs[1]), (&[1, 1][..], true));
}

#[test]
fn what_says_that_it_needs_another_waits_for_it() {
    let key = StateKey { contract: CONTRACT, key: b"key".to_vec() };
    let access = Some(AccessList { reads: Vec::new(), writes: vec![key] });
    for _ in 0..50 {
        let (runs, outputs) = Meeting { access: access.clone(), ..Meeting::new(reads) }.run_twice();
        assert_eq!((&runs[..2], outputs[1]), (&[1, 1][..], true));
    }
}

#[test]
fn a_wrong_access_list_changes_no_result() {
    let nonsense = StateKey { contract: [9; 20], key: b"nothing".to_vec() };
    let list = AccessList { reads: vec![nonsense.clone()], writes: vec![nonsense] };
    let programs: Vec<_> = (0..200)
        .map(|_| Program { access: Some(list.clone()), ..Program::increment(b"hot") })
        .collect();
    let (one, many) = (MvccStore::new(), MvccStore::new());
    run(&BlockExecutor::new(1).unwrap(), &one, &programs);
    run(&BlockExecutor::new(4).unwrap(), &many, &programs);
    assert_eq!(content(&one), content(&many));
}

#[test]
fn a_program_that_yields_is_still_in_order() {
    let programs: Vec<_> = (0..300u32)
        .map(|nth| {
            let key = vec![(nth % 3) as u8];
            Program::new([Step::Read(key.clone()), Step::Yield, Step::Write(key)])
        })
        .collect();
    let model = crate::model::Model::default();
    let expected = Programs(&programs).run_on(&model);
    let executor = BlockExecutor::new(8).unwrap();
    let executed = executor.execute(&MvccStore::new(), &Programs(&programs)).unwrap();
    assert_eq!(executed.outputs, expected);
}
