//! Transfers of the example's token.

use super::BLOCK_TRANSACTIONS;
use super::turns::{Rates, take_turns};
use crate::backend::{linked, scratch_dir};
use crate::random::SplitMix;
use serde::Serialize;
use std::time::{Duration, Instant};
use supervm_engine::block::{BlockExecutor, BlockStats};
use supervm_engine::config::ExecutionConfig;
use supervm_engine::mvcc::{Acknowledgement, Block, MvccConfig, MvccStore};
use supervm_engine::runtime::{
    BlockReceipts, BlockTransaction, CallArguments, CallContext, Runtime,
};
use supervm_engine::storage::{OpenOptions, Storage};
use supervm_host_chain as _;
use supervm_host_crypto as _;
use supervm_host_storage as _;
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::{OpenMode, load};
use tempfile::TempDir;

const TOKEN: &str = include_str!("../../../examples/contracts/token/token.wat");
const ACCOUNTS: usize = 10_000;
const MINTER: Address = [0xad; 20];
/// More than a transfer needs.
const GAS: u64 = 1_000_000;
/// Blocks whose time is divided among what they do.
const SHARE_BLOCKS: usize = 20;

/// Transfers a second, on one backend.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Transfers {
    /// The backend.
    pub backend: &'static str,
    /// How fast.
    #[serde(flatten)]
    pub rates: Rates,
    /// How the two threads ran the transactions.
    pub stats: BlockStats,
    /// Of the time of a block on one thread, the part of a transaction that a call takes by itself, without executor, microseconds.
    pub call_us: f64,
}

/// A chain with the token, and accounts that have some.
struct Chain {
    runtime: Runtime,
    executor: BlockExecutor,
    token: Address,
    next: u64,
    // The runtime goes before its directory.
    _dir: TempDir,
}

impl Chain {
    fn new(backend: &str, threads: usize) -> Self {
        let dir = scratch_dir();
        let options = OpenOptions {
            dir: &dir.path().join("data"),
            chain_id: 0,
            options: &toml::Table::new(),
            mode: OpenMode::Create,
            require: &[],
            durability: None,
        };
        let storage = Storage::open(&linked(backend), options).expect("the directory is new");
        let config = MvccConfig { digest: true, ..MvccConfig::default() };
        let store = MvccStore::open(storage, config).expect("the storage is empty");
        let plugins = load::linked().expect("the descriptors are sound");
        let runtime = Runtime::over(store, &plugins, &ExecutionConfig::default());
        let runtime = runtime.expect("the host packs are linked in");
        let module = runtime.module(TOKEN.as_bytes()).expect("the example is a contract");
        runtime.deploy(&module).expect("the storage has room");
        let executor = BlockExecutor::new(threads).expect("threads can be started");
        let mut chain = Self { runtime, executor, token: module.address(), next: 1, _dir: dir };
        chain.fund();
        chain
    }

    fn fund(&mut self) {
        let init = self.call("init", MINTER, Vec::new());
        let amount = (1_u64 << 40).to_le_bytes();
        let mint = |number| self.call("mint", MINTER, [&account(number)[..], &amount].concat());
        let calls: Vec<_> = std::iter::once(init).chain((0..ACCOUNTS).map(mint)).collect();
        for calls in calls.chunks(BLOCK_TRANSACTIONS) {
            self.run(calls);
        }
    }

    fn call(&self, function: &str, sender: Address, input: Vec<u8>) -> BlockTransaction {
        BlockTransaction {
            contract: self.token,
            function: function.to_owned(),
            arguments: CallArguments::Input(input),
            sender,
            gas_limit: GAS,
            access: None,
        }
    }

    fn transfers(&self, random: &mut SplitMix) -> Vec<BlockTransaction> {
        let transfer = |_| {
            let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS));
            let input = [&account(to)[..], &1_u64.to_le_bytes()].concat();
            self.call("transfer", account(from), input)
        };
        (0..BLOCK_TRANSACTIONS).map(transfer).collect()
    }

    fn run(&mut self, calls: &[BlockTransaction]) -> BlockReceipts {
        let block = Block { number: self.next, timestamp: self.next };
        self.next += 1;
        // As strong as the backend has it: on RocksDB each block is synced.
        let acknowledgement = self.is_durable().then_some(Acknowledgement::Durable);
        let ran = self.runtime.run_block(&self.executor, block, calls, acknowledgement);
        let ran = ran.expect("nobody else commits");
        assert!(ran.receipts.iter().all(|receipt| receipt.trap.is_none()), "a transfer trapped");
        ran
    }

    fn is_durable(&self) -> bool {
        let storage = self.runtime.store().storage().expect("there is a backend");
        storage.durability() == supervm_plugin_sdk::Durability::Synced
    }

    /// Microseconds of a transfer that is called and not committed.
    fn call_us(&self) -> f64 {
        let module = self.runtime.deployed(&self.token).expect("the storage is read");
        let module = module.expect("the token is deployed");
        let calls = self.transfers(&mut SplitMix::new(77));
        let start = Instant::now();
        for _ in 0..SHARE_BLOCKS {
            for call in &calls {
                let context =
                    CallContext { caller: call.sender, gas_limit: GAS, ..CallContext::default() };
                let called = self.runtime.call(&module, &call.function, &call.arguments, &context);
                assert!(called.expect("the storage is read").trap.is_none());
            }
        }
        start.elapsed().as_secs_f64() * 1e6 / (SHARE_BLOCKS * calls.len()) as f64
    }
}

fn account(number: usize) -> Address {
    let mut address = [0xac; 20];
    address[12..].copy_from_slice(&(number as u64).to_be_bytes());
    address
}

/// Measures transfers on `backend`: running blocks and committing them, for about `time` a leg and round.
///
/// # Panics
/// When the legs come to different states.
pub fn transfers(backend: &'static str, rounds: usize, time: Duration) -> Transfers {
    let mut legs = [1, 1, 2].map(|threads| Chain::new(backend, threads));
    let count = (time.as_micros() / (10 * BLOCK_TRANSACTIONS as u128)).max(1) as usize;
    let (mut stats, mut digests) = (BlockStats::default(), [[0; 32]; 3]);
    let (mut prepared, mut blocks) = (None, Vec::new());
    let rates = take_turns(rounds, |round, leg| {
        if prepared != Some(round) {
            let mut random = SplitMix::new(1 + round as u64);
            blocks = (0..count).map(|_| legs[0].transfers(&mut random)).collect();
            prepared = Some(round);
        }
        for calls in &blocks {
            let ran = legs[leg].run(calls);
            digests[leg] = ran.digest;
            if leg == 2 {
                stats.add(&ran.stats);
            }
        }
        count * BLOCK_TRANSACTIONS
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]), "the states differ");
    Transfers { backend, rates, stats, call_us: legs[0].call_us() }
}
