//! Blocks that fail: nothing of them stays, and what a discarded run did fails nothing.

use std::sync::atomic::{AtomicU32, Ordering};
use supervm_engine::block::{BlockExecutor, BlockLimits, BlockView, Ran, Refusal, Transactions};
use supervm_engine::mvcc::MvccStore;
use supervm_engine::state::StateView;
use supervm_plugin_sdk::{ByteBuf, Error, ErrorKind, Result};

const COUNT: usize = 100;

/// What one transaction does instead of its increment.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Error,
    Panic,
    /// Fails as long as it reads what is not merged yet.
    ErrorWhileAhead,
    PanicWhileAhead,
}

/// Each counts up the same key; the one at `at` has the fault.
struct Counting {
    fault: Fault,
    at: usize,
    faults: AtomicU32,
    limits: BlockLimits,
}

impl Transactions for Counting {
    type Output = u64;
    type Worker = ();

    fn len(&self) -> usize {
        COUNT
    }

    fn limits(&self) -> BlockLimits {
        self.limits
    }

    fn worker(&self) {}

    fn run(&self, (): &mut (), index: usize, view: &BlockView) -> Result<Ran<u64>> {
        let mut value = ByteBuf::new();
        view.clone().get(b"count", &mut value)?;
        let count = value.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
        let is_ahead = count != index as u64;
        let is_faulty = match self.fault {
            Fault::Error | Fault::Panic => true,
            Fault::ErrorWhileAhead | Fault::PanicWhileAhead => is_ahead,
        };
        if index == self.at && is_faulty {
            self.faults.fetch_add(1, Ordering::Relaxed);
            if matches!(self.fault, Fault::Panic | Fault::PanicWhileAhead) {
                panic!("told to panic");
            }
            return Err(Error::new(ErrorKind::Io, "read", "told to fail"));
        }
        let writes = vec![(b"count".to_vec(), Some((count + 1).to_be_bytes().to_vec()))];
        Ok(Ran { output: count, writes })
    }

    fn refuse(&self, _: usize, _: u64, _: &Refusal) -> u64 {
        panic!("told to panic when it is refused")
    }
}

fn run(fault: Fault, at: usize, threads: usize) -> (Result<Vec<u64>>, u32) {
    let limits = BlockLimits::default();
    let counting = Counting { fault, at, faults: AtomicU32::new(0), limits };
    let executor = BlockExecutor::new(threads).unwrap();
    let outcome = executor.execute(&MvccStore::new(), &counting);
    (outcome.map(|executed| executed.outputs), counting.faults.into_inner())
}

#[test]
fn a_failure_at_its_turn_ends_the_block_and_names_the_transaction() {
    for threads in [1, 2, 8] {
        for at in [0, 1, COUNT / 2, COUNT - 1] {
            let error = run(Fault::Error, at, threads).0.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io);
            assert!(error.to_string().contains(&format!("transaction: {at}")), "{error}");
        }
    }
}

#[test]
fn a_panic_at_its_turn_is_an_error_of_the_block() {
    for threads in [1, 2, 8] {
        let error = run(Fault::Panic, 40, threads).0.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.message().contains("transaction 40 panicked: told to panic"), "{error}");
    }
}

#[test]
fn a_failure_of_a_run_that_is_discarded_is_no_failure() {
    let expected: Vec<_> = (0..COUNT as u64).collect();
    for fault in [Fault::ErrorWhileAhead, Fault::PanicWhileAhead] {
        let mut faults = 0;
        // Whether the run is ahead of its turn is chance.
        for try_ in 0..10_000 {
            let (outputs, met) = run(fault, try_ % 16, 4);
            assert_eq!(outputs.unwrap(), expected);
            faults += met;
            if faults > 10 {
                break;
            }
        }
        assert!(faults > 0, "no run was ahead of its turn");
    }
}

#[test]
fn a_panic_while_a_transaction_is_refused_is_an_error_of_the_block() {
    for threads in [1, 8] {
        let limits = BlockLimits { transaction_bytes_max: 10, ..BlockLimits::default() };
        let faults = AtomicU32::new(0);
        let counting = Counting { fault: Fault::Error, at: COUNT, faults, limits };
        let executor = BlockExecutor::new(threads).unwrap();
        let error = executor.execute(&MvccStore::new(), &counting).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(error.to_string().contains("transaction 0 panicked"), "{error}");
    }
}
