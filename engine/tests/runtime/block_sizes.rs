//! How much a transaction and a block may change, and what becomes of one that changes more.

use crate::support::{SET, contract, packs, storage};
use supervm_engine::block::BlockExecutor;
use supervm_engine::config::ExecutionConfig;
use supervm_engine::mvcc::{Block, MvccConfig, MvccStore, Txn};
use supervm_engine::runtime::{
    BlockReceipts, BlockTransaction, CallArguments, CallContext, Module, Receipt, Runtime, Trap,
};
use supervm_plugin_sdk::ByteSize;
use tempfile::TempDir;

const MIB: i64 = 1 << 20;
const GAS: u64 = 1 << 40;

/// `put` writes a value of so many bytes under a number; `delete` deletes the numbers from its first parameter to before its second.
fn values() -> String {
    contract(
        &[SET, "storage_api.storage_delete(ii)i"],
        r#"(func (export "put") (param i32) (param i32)
            (if (i32.lt_u (memory.size) (i32.const 257)) (then (drop (memory.grow (i32.const 256)))))
            (i32.store (i32.const 0) (local.get 0))
            (drop (call $storage_set (i32.const 0) (i32.const 4) (i32.const 16) (local.get 1))))
        (func (export "delete") (param i32) (param i32)
            (loop $on
                (i32.store (i32.const 0) (local.get 0))
                (drop (call $storage_delete (i32.const 0) (i32.const 4)))
                (local.set 0 (i32.add (local.get 0) (i32.const 1)))
                (br_if $on (i32.lt_u (local.get 0) (local.get 1)))))"#,
    )
}

/// A chain over the memory backend. The runtime goes before its directory.
struct Chain {
    runtime: Runtime,
    executor: BlockExecutor,
    values: Module,
    _dir: TempDir,
}

impl Chain {
    fn new(threads: usize, config: ExecutionConfig) -> Self {
        let dir = TempDir::new().unwrap();
        let config = ExecutionConfig { gas_limit: GAS, ..config };
        let with_digest = MvccConfig { digest: true, ..MvccConfig::default() };
        let store = MvccStore::open(storage(&dir), with_digest).unwrap();
        let runtime = Runtime::over(store, &packs(), &config).unwrap();
        let values = runtime.module(values().as_bytes()).unwrap();
        runtime.deploy(&values).unwrap();
        Self { runtime, executor: BlockExecutor::new(threads).unwrap(), values, _dir: dir }
    }

    fn call(&self, function: &str, values: [i64; 2]) -> BlockTransaction {
        BlockTransaction {
            contract: self.values.address(),
            function: function.to_owned(),
            arguments: CallArguments::Values(values.to_vec()),
            sender: [1; 20],
            gas_limit: GAS,
            access: None,
        }
    }

    fn run(&self, number: u64, transactions: &[BlockTransaction]) -> BlockReceipts {
        let block = Block { number, timestamp: number };
        self.runtime.run_block(&self.executor, block, transactions, None).unwrap()
    }

    fn alone(&self, transaction: &BlockTransaction) -> Receipt {
        let BlockTransaction { function, arguments, gas_limit, .. } = transaction;
        let context = CallContext { gas_limit: *gas_limit, ..CallContext::default() };
        let commit = Txn::commit;
        self.runtime.transact(&self.values, function, arguments, &context, commit).unwrap()
    }

    /// Lengths of all values.
    fn lengths(&self) -> Vec<usize> {
        let mut txn = self.runtime.store().begin_read_only();
        let entries = txn.scan_prefix(b"", usize::MAX).unwrap();
        entries.into_iter().map(|(_, value)| value.len()).collect()
    }
}

fn traps(receipts: &[Receipt]) -> Vec<&str> {
    receipts.iter().map(|receipt| receipt.trap.as_ref().map_or("none", Trap::name)).collect()
}

#[test]
fn a_transaction_that_replaces_more_than_a_batch_holds_traps_in_a_block_as_alone() {
    const VALUES: i64 = 28;
    for threads in [1, 4] {
        let chain = Chain::new(threads, ExecutionConfig::default());
        for number in 0..VALUES {
            assert_eq!(chain.alone(&chain.call("put", [number, 2_400_000])).trap, None);
        }
        // Not in memory: what a transaction replaces is read for its size.
        assert!(chain.runtime.store().evict() > 0);
        let greedy = chain.call("delete", [0, VALUES]);
        let alone = chain.alone(&greedy);
        assert_eq!(traps(std::slice::from_ref(&alone)), ["limit-exceeded"]);
        let mut transactions = vec![greedy];
        transactions.extend((100..110).map(|number| chain.call("put", [number, 3])));
        transactions.insert(5, transactions[0].clone());
        let ran = chain.run(1, &transactions);
        for (at, receipt) in ran.receipts.iter().enumerate() {
            match at {
                0 | 5 => assert_eq!(*receipt, alone),
                _ => assert_eq!(receipt.trap, None),
            }
        }
        assert_eq!(chain.lengths().len(), VALUES as usize + 10);
        let half = [chain.call("delete", [0, 20]), chain.call("delete", [20, VALUES])];
        assert_eq!(traps(&chain.run(2, &half).receipts), ["none", "none"]);
        assert_eq!(chain.lengths(), [3; 10]);
    }
}

#[test]
fn a_block_that_changes_more_than_a_batch_holds_is_committed_whole() {
    let chain = Chain::new(2, ExecutionConfig::default());
    let puts: Vec<_> = (0..10).map(|number| chain.call("put", [number, 12 * MIB])).collect();
    let before = chain.runtime.store().last_version();
    let ran = chain.run(1, &puts);
    assert_eq!(traps(&ran.receipts), ["none"; 10]);
    assert_eq!(ran.version, before.next());
    assert_eq!(chain.lengths(), [12 << 20; 10]);
    // One by one, each its own block, leads to the same state.
    let slow = Chain::new(1, ExecutionConfig::default());
    let mut digest = [0; 32];
    for (number, put) in (1..).zip(&puts) {
        digest = slow.run(number, std::slice::from_ref(put)).digest;
    }
    assert_eq!(digest, ran.digest);
}

#[test]
fn a_transaction_that_a_full_block_has_no_room_for_traps_and_smaller_ones_go_on() {
    let config = ExecutionConfig { block_bytes_max: ByteSize(64 << 20), ..Default::default() };
    for threads in [1, 4] {
        let chain = Chain::new(threads, config.clone());
        let mut transactions: Vec<_> =
            (0..6).map(|number| chain.call("put", [number, 15 * MIB])).collect();
        transactions.push(chain.call("put", [6, 3 * MIB]));
        transactions.push(chain.call("put", [7, 3 * MIB]));
        // It gives room back for what the block had put there itself.
        transactions.push(chain.call("delete", [0, 2]));
        transactions.push(chain.call("put", [8, 15 * MIB]));
        transactions.extend((9..14).map(|number| chain.call("put", [number, 3])));
        let ran = chain.run(1, &transactions);
        let trapped = [4, 5, 7];
        for (at, receipt) in ran.receipts.iter().enumerate() {
            let Some(trap) = &receipt.trap else {
                assert!(!trapped.contains(&at), "{at}");
                continue;
            };
            assert!(trapped.contains(&at), "{at}: {trap}");
            assert!(
                matches!(trap, Trap::LimitExceeded { what } if what.starts_with("the block is full")),
                "{trap}"
            );
            assert!(receipt.writes.is_empty() && receipt.events.is_empty());
            assert_eq!(receipt.gas_used, GAS);
        }
        assert_eq!(chain.lengths().len(), 2 + 1 + 1 + 5);
        // The next block has room again, and counts what it replaces.
        let again: Vec<_> = (2..4).map(|number| chain.call("put", [number, 15 * MIB])).collect();
        assert_eq!(traps(&chain.run(2, &again).receipts), ["none", "none"]);
        let again: Vec<_> = (2..5).map(|number| chain.call("put", [number, 15 * MIB])).collect();
        assert_eq!(traps(&chain.run(3, &again).receipts), ["none", "none", "limit-exceeded"]);
    }
}
