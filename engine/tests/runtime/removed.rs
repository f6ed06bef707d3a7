//! Scans that pass keys which earlier transactions of the block removed.

use crate::support::{SET, contract, packs};
use supervm_engine::block::BlockExecutor;
use supervm_engine::config::ExecutionConfig;
use supervm_engine::mvcc::{Block, MvccConfig, MvccStore};
use supervm_engine::runtime::{
    BlockReceipts, BlockTransaction, CallArguments, Receipt, Runtime, Trap,
};
use supervm_plugin_sdk::host::Address;

/// Gas of each key that a scan passes and that the block has removed before it.
const REMOVED_KEY_GAS: u64 = 300;
/// Gas of each write of the call itself that a scan finds when it is opened.
const PENDING_ENTRY_GAS: i64 = 100;
const THREADS: [usize; 2] = [1, 4];

/// `fill` and `clear` set and delete the keys from one number to another; `list` counts the keys by a scan, at most `limit` of them;
/// `both` clears some and counts the rest.
fn keys() -> String {
    let imports = [
        SET,
        "storage_api.storage_delete(ii)i",
        "storage_api.storage_scan(iiii)i",
        "storage_api.storage_scan_next(i)i",
    ];
    let each = |name: &str, operation: &str| {
        format!(
            r#"(func ${name} (export "{name}") (param $from i64) (param $to i64)
                (loop $on
                    (i32.store8 (i32.const 0) (i32.const 107))
                    (i32.store8 (i32.const 1) (i32.wrap_i64 (i64.shr_u (local.get $from) (i64.const 8))))
                    (i32.store8 (i32.const 2) (i32.wrap_i64 (local.get $from)))
                    {operation}
                    (local.set $from (i64.add (local.get $from) (i64.const 1)))
                    (br_if $on (i64.lt_u (local.get $from) (local.get $to)))))"#
        )
    };
    let fill = each(
        "fill",
        "(drop (call $storage_set (i32.const 0) (i32.const 3) (i32.const 0) (i32.const 3)))",
    );
    let clear = each("clear", "(drop (call $storage_delete (i32.const 0) (i32.const 3)))");
    let list = r#"(func $list (export "list") (param $direction i64) (param $limit i64) (result i64)
        (local $scan i32) (local $found i64)
        (i32.store8 (i32.const 0) (i32.const 107))
        (local.set $scan (call $storage_scan (i32.const 0) (i32.const 1)
            (i32.wrap_i64 (local.get $limit)) (i32.wrap_i64 (local.get $direction))))
        (block $end (loop $on
            (br_if $end (i32.eqz (call $storage_scan_next (local.get $scan))))
            (local.set $found (i64.add (local.get $found) (i64.const 1)))
            (br $on)))
        (local.get $found))"#;
    let both = r#"(func (export "both") (param i64 i64) (result i64)
        (call $clear (local.get 0) (local.get 1))
        (call $list (i64.const 0) (i64.const 0)))"#;
    contract(&imports, &[fill.as_str(), &clear, list, both].concat())
}

struct Chain {
    runtime: Runtime,
    executor: BlockExecutor,
    contract: Address,
}

impl Chain {
    fn new(threads: usize) -> Self {
        let store = MvccStore::in_memory(MvccConfig { digest: true, ..MvccConfig::default() });
        let runtime = Runtime::over(store, &packs(), &ExecutionConfig::default()).unwrap();
        let module = runtime.module(keys().as_bytes()).unwrap();
        runtime.deploy(&module).unwrap();
        let contract = module.address();
        Self { runtime, executor: BlockExecutor::new(threads).unwrap(), contract }
    }

    fn call(&self, function: &str, values: [i64; 2], gas_limit: u64) -> BlockTransaction {
        BlockTransaction {
            contract: self.contract,
            function: function.to_owned(),
            arguments: CallArguments::Values(values.to_vec()),
            sender: [1; 20],
            gas_limit,
            access: None,
        }
    }

    /// Runs a block of calls, and scans that fill it up, so that it is run on all threads.
    fn run(&self, number: u64, calls: &[(&str, [i64; 2])]) -> BlockReceipts {
        let most = self.runtime.config().gas_limit;
        let mut transactions: Vec<_> =
            calls.iter().map(|(function, values)| self.call(function, *values, most)).collect();
        transactions.resize(calls.len() + 20, self.call("list", [0, 0], most));
        self.run_block(number, &transactions)
    }

    fn run_block(&self, number: u64, transactions: &[BlockTransaction]) -> BlockReceipts {
        let block = Block { number, timestamp: number };
        self.runtime.run_block(&self.executor, block, transactions, None).unwrap()
    }
}

fn listed(receipt: &Receipt) -> (Option<i64>, u64) {
    assert_eq!(receipt.trap, None);
    (receipt.result, receipt.gas_used)
}

#[test]
fn a_scan_pays_for_each_key_it_passes_that_the_block_has_removed() {
    for threads in THREADS {
        let chain = Chain::new(threads);
        let filled = chain.run(1, &[("fill", [0, 1000]), ("clear", [0, 100]), ("list", [0, 10])]);
        let (found, with_removed) = listed(&filled.receipts[2]);
        assert_eq!(found, Some(10));
        // They are of an earlier block, so nothing is paid for them.
        let later = chain.run(2, &[("list", [0, 10]), ("list", [1, 10])]);
        let (found, without) = listed(&later.receipts[0]);
        assert_eq!(found, Some(10));
        assert_eq!(with_removed - without, 100 * REMOVED_KEY_GAS, "{threads} threads");
        // A scan that ends before it comes to them pays for none; from the other side it passes 50 of the 60.
        let calls = [("clear", [100, 160]), ("fill", [110, 120]), ("list", [1, 10])];
        let removed = chain.run(3, &[&calls[..], &[("list", [0, 11])]].concat());
        assert_eq!(listed(&removed.receipts[2]), listed(&later.receipts[1]), "{threads} threads");
        let (found, passed) = listed(&removed.receipts[3]);
        let (_, of_eleven) = listed(&chain.run(4, &[("list", [0, 11])]).receipts[0]);
        assert_eq!((found, passed - of_eleven), (Some(11), 50 * REMOVED_KEY_GAS));
    }
}

#[test]
fn a_key_that_was_made_and_removed_within_the_block_is_paid_for_too() {
    for threads in THREADS {
        let chain = Chain::new(threads);
        let (_, empty) = listed(&chain.run(1, &[]).receipts[0]);
        let ran = chain.run(2, &[("fill", [0, 300]), ("clear", [0, 400])]);
        for receipt in &ran.receipts[2..] {
            assert_eq!(listed(receipt), (Some(0), empty + 400 * REMOVED_KEY_GAS));
        }
    }
}

#[test]
fn a_scan_ends_with_its_gas_among_removed_keys_and_others_see_the_same_on_any_number_of_threads() {
    let of_threads = THREADS.map(|threads| {
        let chain = Chain::new(threads);
        let most = chain.runtime.config().gas_limit;
        let mut transactions =
            vec![chain.call("fill", [0, 2000], most), chain.call("clear", [1, 1999], most)];
        let enough = 100_000 + 2000 * REMOVED_KEY_GAS;
        for nth in 0..40 {
            transactions.push(chain.call("list", [nth % 2, 0], enough * (nth as u64 % 4) / 3));
            // It changes a key that some of the scans come to before they run out of gas.
            let key = (nth * 97) % 2000;
            transactions.push(chain.call("fill", [key, key + 1], most));
        }
        let ran = chain.run_block(1, &transactions);
        let outcome = |receipt: &Receipt| (receipt.trap.clone(), receipt.result, receipt.gas_used);
        ran.receipts.iter().map(outcome).collect::<Vec<_>>()
    });
    assert_eq!(of_threads[0], of_threads[1]);
    let out_of_gas = of_threads[0].iter().filter(|(trap, ..)| *trap == Some(Trap::OutOfGas));
    assert_eq!(out_of_gas.count(), 30);
    assert_eq!(of_threads[0].iter().filter(|(trap, ..)| trap.is_none()).count(), 52);
}

#[test]
fn a_scan_pays_when_it_is_opened_for_each_write_of_its_own_call_deletes_included() {
    let gas = |function: &str, count| {
        let chain = Chain::new(1);
        let call = chain.call(function, [0, count], chain.runtime.config().gas_limit);
        let receipt = &chain.run_block(1, &[call]).receipts[0];
        assert_eq!(receipt.trap, None);
        receipt.gas_used as i64
    };
    let difference = |function: &str, least| gas(function, least + 100) - gas(function, least);
    let deletes = difference("clear", 1);
    assert_eq!(difference("both", 1000) - deletes, 100 * PENDING_ENTRY_GAS);
}
