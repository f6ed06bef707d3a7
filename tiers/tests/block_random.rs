//! Random blocks of calls: several threads leave the receipts and the state that one leaves.
//!
//! A failure prints the seed. `SUPERVM_BLOCK_SEED` runs its blocks again, `SUPERVM_BLOCKS` says how many there are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::chain::open;
use common::chance::{number, seed};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use supervm_engine::block::{BlockExecutor, BlockStats};
use supervm_engine::config::ExecutionConfig;
use supervm_engine::mvcc::{Block, MvccConfig, MvccStore};
use supervm_engine::runtime::{BlockReceipts, BlockTransaction, Runtime};
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::load;
use supervm_tiers::workload::{BlockLine, CallLine, Line, Plan, Workload, generate};

/// Decides what is left to chance.
const SEED: &str = "SUPERVM_BLOCK_SEED";
const BLOCKS: u64 = 10_000;
/// On each database, where a block waits for the disk.
const DATABASE_BLOCKS: u64 = 300;
/// Blocks of a chain, besides those that fund its accounts.
const CHAIN_BLOCKS: u64 = 40;
const THREADS_MAX: usize = 8;

/// A contract whose keys come and go: `fill` and `clear` set and delete those from one number to another, `list` counts them by a
/// scan.
const KEYS: &str = r#"(module
    (import "storage_api" "storage_set" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "storage_api" "storage_delete" (func $delete (param i32 i32) (result i32)))
    (import "storage_api" "storage_scan" (func $scan (param i32 i32 i32 i32) (result i32)))
    (import "storage_api" "storage_scan_next" (func $next (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "fill") (param $from i64) (param $to i64)
        (loop $on
            (i32.store8 (i32.const 1) (i32.wrap_i64 (local.get $from)))
            (drop (call $set (i32.const 0) (i32.const 2) (i32.const 0) (i32.const 2)))
            (local.set $from (i64.add (local.get $from) (i64.const 1)))
            (br_if $on (i64.lt_u (local.get $from) (local.get $to)))))
    (func (export "clear") (param $from i64) (param $to i64)
        (loop $on
            (i32.store8 (i32.const 1) (i32.wrap_i64 (local.get $from)))
            (drop (call $delete (i32.const 0) (i32.const 2)))
            (local.set $from (i64.add (local.get $from) (i64.const 1)))
            (br_if $on (i64.lt_u (local.get $from) (local.get $to)))))
    (func (export "list") (param $direction i64) (param $limit i64) (result i64)
        (local $scan i32) (local $found i64)
        (local.set $scan (call $scan (i32.const 0) (i32.const 1)
            (i32.wrap_i64 (local.get $limit)) (i32.wrap_i64 (local.get $direction))))
        (block $end (loop $on
            (br_if $end (i32.eqz (call $next (local.get $scan))))
            (local.set $found (i64.add (local.get $found) (i64.const 1)))
            (br $on)))
        (local.get $found)))"#;
/// The contract's name.
const KEYS_NAME: &str = "keys";
/// Keys that it has at most.
const KEYS_MAX: u64 = 250;

/// A call of the contract of keys, as `chance` wants it.
fn keys_call(chance: u64) -> CallLine {
    let from = nth(chance, 1) % KEYS_MAX;
    let to = (from + 1 + nth(chance, 2) % KEYS_MAX).min(KEYS_MAX);
    let (function, args) = match nth(chance, 3) % 4 {
        0 => ("fill", [from, from + 1]),
        1 => ("clear", [from, to]),
        _ => ("list", [nth(chance, 4) % 2, nth(chance, 5) % 3]),
    };
    CallLine {
        contract: KEYS_NAME.to_owned(),
        function: function.to_owned(),
        args: args.map(|number| number as i64).to_vec(),
        // Now and then as little as ends among the keys that a scan passes.
        gas: nth(chance, 6).is_multiple_of(4).then(|| 15_000 + nth(chance, 7) % 60_000),
        ..CallLine::default()
    }
}

/// A chain, as far as a block needs one.
struct Chain {
    runtime: Runtime,
    contracts: HashMap<String, Address>,
}

impl Chain {
    fn new(store: MvccStore, cache: &Path) -> Self {
        let config = ExecutionConfig {
            module_cache_dir: Some(cache.to_owned()),
            ..ExecutionConfig::default()
        };
        let runtime = Runtime::over(store, &load::linked().unwrap(), &config).unwrap();
        Self { runtime, contracts: HashMap::new() }
    }

    fn deploy(&mut self, name: &str, code: &str) {
        let module = self.runtime.module(code.as_bytes()).unwrap();
        self.runtime.deploy(&module).unwrap();
        self.contracts.insert(name.to_owned(), module.address());
    }

    fn run(&self, executor: &BlockExecutor, block: &BlockLine) -> BlockReceipts {
        let gas_limit = self.runtime.config().gas_limit;
        let call = |call: &CallLine| call.transaction(&self.contracts, gas_limit).unwrap();
        let transactions: Vec<BlockTransaction> = block.transactions.iter().map(call).collect();
        let header = Block { number: block.number, timestamp: block.timestamp };
        self.runtime.run_block(executor, header, &transactions, None).unwrap()
    }
}

/// The nth number that follows from `seed`.
fn nth(seed: u64, nth: u64) -> u64 {
    let mixed =
        (seed ^ nth.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed ^ (mixed >> 29)
}

fn plan(seed: u64, chain: u64) -> Plan {
    let choice = |at: u64, of: &[u64]| of[(nth(seed, 10 * chain + at) % of.len() as u64) as usize];
    let kinds: Vec<u64> = (0..8).collect();
    // Half of the chains have some of all.
    let workload = match choice(1, &kinds) {
        0 => Workload::Transfer,
        1 => Workload::Zipf,
        2 => Workload::Chain,
        3 => Workload::Amm,
        _ => Workload::Mixed,
    };
    Plan {
        workload,
        accounts: choice(2, &[2, 8, 30, 200, 1000]),
        blocks: CHAIN_BLOCKS,
        transactions: choice(3, &[7, 24, 48, 96]) as usize,
        seed: nth(seed, 10 * chain + 4),
    }
}

/// What came up.
#[derive(Debug, Default)]
struct Seen {
    blocks: u64,
    stats: BlockStats,
    traps: BTreeMap<&'static str, u64>,
    functions: BTreeSet<String>,
    /// The least and the most gas of the scans with the same arguments and result: they differ by what the block had removed before.
    scan_gas: BTreeMap<(Vec<i64>, Option<i64>), (u64, u64)>,
}

/// Runs so many blocks on several threads over `backend`, and on one in memory.
fn compare(backend: &str, seed: u64, blocks: u64) -> Seen {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("modules");
    let one = BlockExecutor::new(1).unwrap();
    let mut seen = Seen::default();
    for chain in 0.. {
        let plan = plan(seed, chain);
        // Its own, so that what one chain taught it does not keep the next from running ahead.
        let executor = BlockExecutor::new(1 + chain as usize % THREADS_MAX).unwrap();
        let executor = &executor.with_yields(nth(seed, chain));
        let config = || MvccConfig { digest: true, ..MvccConfig::default() };
        let storage = open(backend, &dir.path().join(format!("chain-{chain}")));
        let mut parallel = Chain::new(MvccStore::open(storage, config()).unwrap(), &cache);
        let mut sequential = Chain::new(MvccStore::in_memory(config()), &cache);
        let keys = Line::Deploy { name: KEYS_NAME.to_owned(), code: KEYS.to_owned() };
        for line in std::iter::once(keys).chain(generate(plan).unwrap()) {
            let mut block = match line {
                Line::Deploy { name, code } => {
                    sequential.deploy(&name, &code);
                    parallel.deploy(&name, &code);
                    continue;
                }
                Line::Block(block) => block,
            };
            let first = nth(seed ^ chain, block.number);
            block.transactions.extend((0..first % 12).map(|at| keys_call(nth(first, 10 + at))));
            let (expected, found) = (sequential.run(&one, &block), parallel.run(executor, &block));
            let what = || {
                format!(
                    "SUPERVM_BLOCK_SEED={seed}, {backend}: block {} of chain {chain}, {plan:?}, {} threads",
                    block.number,
                    executor.threads()
                )
            };
            assert_eq!(found.receipts, expected.receipts, "{}", what());
            assert_eq!(found.digest, expected.digest, "{}", what());
            assert_eq!(found.version, expected.version, "{}", what());
            seen.stats.add(&found.stats);
            for (receipt, call) in found.receipts.iter().zip(block.transactions) {
                let trap = receipt.trap.as_ref().map_or("none", |trap| trap.name());
                *seen.traps.entry(trap).or_default() += 1;
                let is_scan = call.contract == KEYS_NAME && call.function == "list";
                if is_scan && receipt.trap.is_none() {
                    let gas =
                        seen.scan_gas.entry((call.args, receipt.result)).or_insert((u64::MAX, 0));
                    *gas = (gas.0.min(receipt.gas_used), gas.1.max(receipt.gas_used));
                }
                seen.functions.insert(call.function);
            }
            seen.blocks += 1;
        }
        if seen.blocks >= blocks {
            break;
        }
    }
    println!("{seen:?}");
    seen
}

#[test]
fn several_threads_leave_the_receipts_and_the_state_that_one_leaves() {
    let seen = compare("memory", seed(SEED), number("SUPERVM_BLOCKS", BLOCKS));
    // It was no test if nothing of this came up.
    let BlockStats { ran_ahead, reruns, in_turn, .. } = seen.stats;
    assert!(ran_ahead > 0 && reruns > 0 && in_turn > 0, "{seen:?}");
    assert_eq!(seen.traps.keys().copied().collect::<Vec<_>>(), ["abort", "none", "out-of-gas"]);
    let functions =
        ["transfer", "swap", "register_next", "list", "release", "pay", "try_pay", "clear"];
    let removed = seen.scan_gas.values().map(|(least, most)| most - least).max();
    assert!(removed > Some(100 * 300), "{seen:?}");
    for function in functions {
        assert!(seen.functions.contains(function), "{seen:?}");
    }
}

#[test]
fn they_do_so_on_every_database() {
    for backend in ["lmdb", "sqlite", "leveldb", "rocksdb"] {
        compare(backend, seed(SEED), DATABASE_BLOCKS);
    }
}
