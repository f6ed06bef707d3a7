//! Blocks of calls: what a block is refused for, what a transaction of it fails with, and what else may be committed meanwhile.

use crate::support::{EMIT, GET, SET, contract, packs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use supervm_engine::block::BlockExecutor;
use supervm_engine::config::ExecutionConfig;
use supervm_engine::mvcc::{Block, MvccConfig, MvccStore, Txn};
use supervm_engine::runtime::{
    BlockReceipts, BlockTransaction, CallArguments, CallContext, Runtime, Trap,
};
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::{ErrorKind, Result};

const THREADS: usize = 3;

/// `add` adds its parameter to a number; `forever` does not end; `late` traps after it has written and told.
fn counter() -> String {
    contract(
        &[SET, GET, EMIT, "storage_api.storage_read_value(ii)i"],
        r#"(data (i32.const 0) "sum")
        (func $add (export "add") (param i64) (result i64)
            (i64.store (i32.const 64) (i64.const 0))
            (drop (call $storage_get (i32.const 0) (i32.const 3)))
            (drop (call $storage_read_value (i32.const 64) (i32.const 8)))
            (i64.store (i32.const 64) (i64.add (i64.load (i32.const 64)) (local.get 0)))
            (drop (call $storage_set (i32.const 0) (i32.const 3) (i32.const 64) (i32.const 8)))
            (i64.load (i32.const 64)))
        (func (export "late") (param i64)
            (drop (call $add (local.get 0)))
            (drop (call $emit_event (i32.const 0) (i32.const 3)))
            (unreachable))
        (func (export "forever") (loop $on (br $on)))"#,
    )
}

struct Chain {
    runtime: Runtime,
    executor: BlockExecutor,
    counter: Address,
}

impl Chain {
    fn new() -> Self {
        let store = MvccStore::in_memory(MvccConfig { digest: true, ..MvccConfig::default() });
        let runtime = Runtime::over(store, &packs(), &ExecutionConfig::default()).unwrap();
        let module = runtime.module(counter().as_bytes()).unwrap();
        runtime.deploy(&module).unwrap();
        let counter = module.address();
        Self { runtime, executor: BlockExecutor::new(THREADS).unwrap(), counter }
    }

    fn call(&self, function: &str, values: &[i64]) -> BlockTransaction {
        BlockTransaction {
            contract: self.counter,
            function: function.to_owned(),
            arguments: CallArguments::Values(values.to_vec()),
            sender: [1; 20],
            gas_limit: 1_000_000,
            access: None,
        }
    }

    fn run(&self, number: u64, transactions: &[BlockTransaction]) -> Result<BlockReceipts> {
        let block = Block { number, timestamp: number };
        self.runtime.run_block(&self.executor, block, transactions, None)
    }
}

#[test]
fn the_results_are_those_of_the_order() {
    let chain = Chain::new();
    let transactions: Vec<_> = (0..200).map(|nth| chain.call("add", &[nth])).collect();
    let ran = chain.run(1, &transactions).unwrap();
    let results: Vec<_> = ran.receipts.iter().map(|receipt| receipt.result.unwrap()).collect();
    let sums: Vec<_> = (0..200_i64).map(|nth| nth * (nth + 1) / 2).collect();
    assert_eq!(results, sums);
    let last = chain.runtime.store().last_block().unwrap();
    assert_eq!((last.version, last.digest), (ran.version, ran.digest));
    assert_ne!(ran.digest, [0; 32]);
}

#[test]
fn what_traps_has_a_receipt_and_changes_and_tells_nothing() {
    let chain = Chain::new();
    let missing = BlockTransaction { contract: [9; 20], ..chain.call("add", &[1]) };
    let transactions = [
        chain.call("add", &[1]),
        chain.call("late", &[10]),
        chain.call("forever", &[]),
        chain.call("nothing", &[]),
        chain.call("add", &[1, 2]),
        missing,
        chain.call("add", &[1]),
    ];
    for executor in [1, 4].map(|threads| BlockExecutor::new(threads).unwrap()) {
        let chain = Chain { executor, ..Chain::new() };
        let ran = chain.run(1, &transactions).unwrap();
        let trap = |at: usize| ran.receipts[at].trap.as_ref().map_or("none", Trap::name);
        let traps: Vec<_> = (0..transactions.len()).map(trap).collect();
        assert_eq!(
            traps,
            [
                "none",
                "unreachable",
                "out-of-gas",
                "missing-export",
                "bad-arguments",
                "missing-contract",
                "none"
            ]
        );
        assert_eq!(ran.receipts[6].result, Some(2));
        assert!(ran.receipts[1..6].iter().all(|receipt| {
            receipt.writes.is_empty() && receipt.events.is_empty() && receipt.result.is_none()
        }));
        assert_eq!(ran.receipts[2].gas_used, 1_000_000, "an endless loop ends with its gas");
        assert!(ran.receipts[5].gas_used < 100_000, "what is not there costs little");
    }
}

#[test]
fn a_block_is_refused_before_anything_is_run() {
    let chain = Chain::new();
    chain.run(5, &[chain.call("add", &[1])]).unwrap();
    let before = chain.runtime.store().last_version();
    let refused = |number, transactions: &[BlockTransaction]| {
        let error = chain.run(number, transactions).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        error.to_string()
    };
    assert!(refused(5, &[chain.call("add", &[1])]).contains("does not follow"));
    let greedy = BlockTransaction { gas_limit: u64::MAX, ..chain.call("add", &[1]) };
    let error = refused(6, &[chain.call("add", &[1]), greedy]);
    assert!(error.contains("transaction: 1"), "{error}");
    let long = CallArguments::Input(vec![0; (1 << 20) + 1]);
    let long = BlockTransaction { arguments: long, ..chain.call("add", &[]) };
    assert!(refused(6, &[long]).contains("transaction: 0"));
    assert_eq!(chain.runtime.store().last_version(), before);
}

#[test]
fn a_block_runs_again_when_others_commit_meanwhile() {
    let chain = Chain::new();
    let store = chain.runtime.store();
    let is_over = AtomicBool::new(false);
    let mut blocks = 0;
    thread::scope(|scope| {
        let other = scope.spawn(|| {
            let mut commits = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                let mut txn = store.begin();
                txn.write(b"commits of another thread", &commits.to_be_bytes()).unwrap();
                txn.commit().unwrap();
                commits += 1;
                // Its commits come at any time within a block, but not so close that none gets through.
                thread::sleep(Duration::from_millis(3));
            }
            commits
        });
        let transactions: Vec<_> = (0..50).map(|_| chain.call("add", &[1])).collect();
        while store.metrics().conflicts == 0 && blocks < 10_000 {
            match chain.run(blocks + 1, &transactions) {
                Ok(_) => blocks += 1,
                // On a machine that is busy enough the other thread is always faster.
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict),
            }
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(other.join().unwrap() > 0);
    });
    assert!(store.metrics().conflicts > 0, "no commit came in between");
    let ran = chain.run(blocks + 1, &[chain.call("add", &[0])]).unwrap();
    assert_eq!(ran.receipts[0].result, Some(50 * blocks as i64), "each block counts once");
}

#[test]
fn calls_of_their_own_and_blocks_take_turns() {
    const CALLS: i64 = 300;
    let chain = Chain::new();
    let module = chain.runtime.module(counter().as_bytes()).unwrap();
    let transactions: Vec<_> = (0..20).map(|_| chain.call("add", &[1])).collect();
    thread::scope(|scope| {
        scope.spawn(|| {
            let (one, context) = (CallArguments::Values(vec![1]), CallContext::default());
            for _ in 0..CALLS {
                let commit = Txn::commit;
                let receipt = chain.runtime.transact(&module, "add", &one, &context, commit);
                assert_eq!(receipt.unwrap().trap, None);
            }
        });
        for number in 1..=100 {
            chain.run(number, &transactions).unwrap();
        }
    });
    let ran = chain.run(101, &[chain.call("add", &[0])]).unwrap();
    assert_eq!(ran.receipts[0].result, Some(CALLS + 100 * 20));
}
