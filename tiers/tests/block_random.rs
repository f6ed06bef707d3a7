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
        for line in generate(plan).unwrap() {
            let block = match line {
                Line::Deploy { name, code } => {
                    sequential.deploy(&name, &code);
                    parallel.deploy(&name, &code);
                    continue;
                }
                Line::Block(block) => block,
            };
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
    for function in ["transfer", "swap", "register_next", "list", "release", "pay", "try_pay"] {
        assert!(seen.functions.contains(function), "{seen:?}");
    }
}

#[test]
fn they_do_so_on_every_database() {
    for backend in ["lmdb", "sqlite", "leveldb", "rocksdb"] {
        compare(backend, seed(SEED), DATABASE_BLOCKS);
    }
}
