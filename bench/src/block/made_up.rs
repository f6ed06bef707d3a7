//! Transactions that compute for a given time.

use super::BLOCK_TRANSACTIONS;
use super::turns::{Rates, take_turns};
use crate::random::SplitMix;
use serde::Serialize;
use std::hint::spin_loop;
use std::time::{Duration, Instant};
use supervm_engine::block::{BlockExecutor, BlockStats, BlockView, Ran, Refusal, Transactions};
use supervm_engine::mvcc::{Block, MvccStore};
use supervm_engine::state::StateView;
use supervm_plugin_sdk::{ByteBuf, Result};

/// What each account has at first.
const BALANCE: u64 = 1 << 40;

/// Who pays whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contention {
    /// Any of so many accounts pays any other.
    Accounts(u64),
    /// Each is paid by the one before.
    Chain,
    /// One account pays any of a thousand others.
    Hot,
}

/// A kind of transactions.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct MadeUp {
    /// Who pays whom.
    pub contention: Contention,
    /// How long a transaction computes, microseconds.
    pub compute_us: u64,
}

/// What two threads gain.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Speedup {
    /// Of what.
    pub kind: MadeUp,
    /// How fast.
    #[serde(flatten)]
    pub rates: Rates,
    /// How the two threads ran the transactions.
    pub stats: BlockStats,
}

struct Transfer {
    from: u64,
    to: u64,
}

struct Transfers<'a> {
    list: &'a [Transfer],
    compute: Duration,
}

impl Transactions for Transfers<'_> {
    type Output = u64;
    type Worker = [ByteBuf; 2];

    fn len(&self) -> usize {
        self.list.len()
    }

    fn worker(&self) -> Self::Worker {
        Default::default()
    }

    fn run(&self, buffers: &mut Self::Worker, index: usize, view: &BlockView) -> Result<Ran<u64>> {
        let Transfer { from, to } = self.list[index];
        let (from, to, mut view) = (key(from), key(to), view.clone());
        let [first, second] = buffers;
        let first = balance(view.get(&from, first)?, first);
        let second = balance(view.get(&to, second)?, second);
        let start = Instant::now();
        while start.elapsed() < self.compute {
            spin_loop();
        }
        let written = |balance: u64| Some(balance.to_be_bytes().to_vec());
        let writes = vec![(from, written(first - 1)), (to, written(second + 1))];
        Ok(Ran { output: first, writes })
    }

    fn refuse(&self, _: usize, balance: u64, _: &Refusal) -> u64 {
        balance
    }
}

fn key(account: u64) -> Vec<u8> {
    [[7; 12].as_slice(), &account.to_be_bytes()].concat()
}

/// What an account has; all have the same as long as nothing is written.
fn balance(is_written: bool, bytes: &[u8]) -> u64 {
    let written = bytes.first_chunk().filter(|_| is_written);
    written.map_or(BALANCE, |bytes| u64::from_be_bytes(*bytes))
}

fn block(kind: MadeUp, random: &mut SplitMix) -> Vec<Transfer> {
    let transfer = |nth: u64| match kind.contention {
        Contention::Accounts(accounts) => {
            let from = random.below(accounts as usize) as u64;
            let distance = 1 + random.below(accounts as usize - 1) as u64;
            Transfer { from, to: (from + distance) % accounts }
        }
        Contention::Chain => Transfer { from: nth, to: nth + 1 },
        Contention::Hot => Transfer { from: 0, to: 1 + random.below(1000) as u64 },
    };
    (0..BLOCK_TRANSACTIONS as u64).map(transfer).collect()
}

/// Measures `kind`: running blocks and committing them to a store in memory, for about `time` a leg and round.
///
/// # Panics
/// When the legs come to different states.
pub fn speedup(kind: MadeUp, rounds: usize, time: Duration) -> Speedup {
    let legs = [1, 1, 2].map(|threads| {
        (BlockExecutor::new(threads).expect("threads can be started"), MvccStore::new())
    });
    let compute = Duration::from_micros(kind.compute_us);
    let block_time = (compute + Duration::from_nanos(500)) * BLOCK_TRANSACTIONS as u32;
    let count = (time.as_nanos() / block_time.as_nanos()).max(1) as usize;
    let mut stats = BlockStats::default();
    let (mut prepared, mut blocks) = (None, Vec::new());
    let rates = take_turns(rounds, |round, leg| {
        if prepared != Some(round) {
            let mut random = SplitMix::new(1 + round as u64);
            blocks = (0..count).map(|_| block(kind, &mut random)).collect();
            prepared = Some(round);
        }
        let (executor, store) = &legs[leg];
        for list in &blocks {
            let executed = executor.execute(store, &Transfers { list, compute });
            let executed = executed.expect("no transaction fails");
            let number = store.last_block().map_or(1, |last| last.number + 1);
            let header = Block { number, timestamp: number };
            let committed = executor.commit(executed, header, None);
            let (_, ran, _) = committed.expect("nobody else commits");
            if leg == 2 {
                stats.add(&ran);
            }
        }
        count * BLOCK_TRANSACTIONS
    });
    let content = |store: &MvccStore| {
        store.begin_read_only().scan_prefix(b"", usize::MAX).expect("it is in memory")
    };
    let expected = content(&legs[0].1);
    assert!(legs.iter().all(|(_, store)| content(store) == expected), "the states differ");
    Speedup { kind, rates, stats }
}
