//! Rounds of blocks, in turns.

use super::ledger::{Accounts, Ledger, SuperVm};
use crate::boundary::order;
use crate::random::SplitMix;
use crate::statistics::Estimate;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::sync::Barrier;
use std::time::{Duration, Instant};
use supervm_engine::mvcc::{AutoGcConfig, MvccConfig};

/// Before anything counts, each leg runs at least this long.
const WARM_UP: Duration = Duration::from_millis(300);
/// The clock is looked at once in so many transactions.
const BURST: u64 = 32;

/// How often each account comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// All alike.
    Uniform,
    /// Zipf's, exponent 0.99.
    Zipf,
}

/// Transactions a second of two legs of one kind and their peer.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Throughput {
    /// Threads that commit.
    pub threads: usize,
    /// How often each account comes.
    pub distribution: Distribution,
    /// Of SuperVM.
    pub per_second: Estimate,
    /// Of the peer.
    pub peer_per_second: Estimate,
    /// SuperVM's to the peer's.
    pub ratio: Estimate,
    /// SuperVM's to that of another SuperVM.
    pub guard: Estimate,
    /// Commits that were refused, of all.
    pub conflict_share: f64,
}

/// Percentiles of the time that a transaction took, from its begin to the end of its commit, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Latency {
    /// Half of them took at most this.
    pub us_p50: f64,
    /// 99 in 100 took at most this.
    pub us_p99: f64,
    /// 999 in 1000 took at most this.
    pub us_p999: f64,
}

/// Lets `leg`, `twin` of the same kind, and `peer` take turns.
///
/// # Panics
/// When a leg loses money.
pub fn throughput(
    legs: [&dyn Ledger; 3],
    distribution: Distribution,
    threads: usize,
    rounds: usize,
    block: Duration,
) -> Throughput {
    let accounts =
        Accounts::new((distribution == Distribution::Zipf).then_some(super::ZIPF_EXPONENT));
    let mut seed = 1;
    let mut run = |leg: &dyn Ledger, time: Duration| {
        seed += 1;
        let outcome = transfers(leg, &accounts, threads, seed, time);
        leg.tidy();
        outcome
    };
    for leg in legs {
        let _ = run(leg, WARM_UP);
    }
    let mut rates = [const { Vec::new() }; 3];
    let (mut done, mut refused) = (0, 0);
    for round in 0..rounds {
        for index in order(round, legs.len()) {
            let block = run(legs[index], block);
            rates[index].push(block.rate);
            if index == 0 {
                done += block.done;
                refused += block.refused;
            }
        }
    }
    legs.iter().for_each(|leg| assert!(leg.is_sound(), "a leg lost money"));
    let ratios = |other: &[f64]| -> Vec<f64> {
        rates[0].iter().zip(other).map(|(own, other)| own / other).collect()
    };
    Throughput {
        threads,
        distribution,
        per_second: Estimate::of(&rates[0]),
        peer_per_second: Estimate::of(&rates[2]),
        ratio: Estimate::of(&ratios(&rates[2])),
        guard: Estimate::of(&ratios(&rates[1])),
        conflict_share: refused as f64 / (done + refused) as f64,
    }
}

struct Block {
    rate: f64,
    done: u64,
    refused: u64,
}

fn transfers(
    leg: &dyn Ledger,
    accounts: &Accounts,
    threads: usize,
    seed: u64,
    time: Duration,
) -> Block {
    let barrier = Barrier::new(threads);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let worker = |thread: usize| {
            let mut random = SplitMix::new(seed * 1_000 + thread as u64);
            barrier.wait();
            let start = Instant::now();
            let (mut done, mut refused) = (0, 0);
            while start.elapsed() < time {
                for _ in 0..BURST {
                    let (from, to) = accounts.pair(&mut random);
                    match leg.transfer(from, to) {
                        true => done += 1,
                        false => refused += 1,
                    }
                }
            }
            (done, refused, done as f64 / start.elapsed().as_secs_f64())
        };
        let others: Vec<_> =
            (1..threads).map(|thread| scope.spawn(move || worker(thread))).collect();
        let own = worker(0);
        let others = others.into_iter().map(|other| other.join().expect("a worker does not panic"));
        std::iter::once(own).chain(others).collect()
    });
    Block {
        rate: outcomes.iter().map(|outcome| outcome.2).sum(),
        done: outcomes.iter().map(|outcome| outcome.0).sum(),
        refused: outcomes.iter().map(|outcome| outcome.1).sum(),
    }
}

/// Each transaction's time, on one thread.
pub fn latency(leg: &dyn Ledger, transactions: u64) -> Latency {
    let accounts = Accounts::new(None);
    let mut random = SplitMix::new(99);
    let mut times = Histogram::<u64>::new(3).expect("three digits are allowed");
    for _ in 0..transactions {
        let (from, to) = accounts.pair(&mut random);
        let start = Instant::now();
        leg.transfer(from, to);
        times.saturating_record(start.elapsed().as_nanos() as u64);
    }
    leg.tidy();
    let at = |quantile| times.value_at_quantile(quantile) as f64 / 1e3;
    Latency { us_p50: at(0.5), us_p99: at(0.99), us_p999: at(0.999) }
}

/// Read-only point reads a second, on one thread.
pub fn read_only(leg: &dyn Ledger, rounds: usize) -> Estimate {
    const READS: u32 = 20_000;
    let accounts = Accounts::new(None);
    let mut random = SplitMix::new(7);
    let rates: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            let sum = (0..READS)
                .map(|_| leg.balance(accounts.one(&mut random)))
                .fold(0, u64::wrapping_add);
            std::hint::black_box(sum);
            f64::from(READS) / start.elapsed().as_secs_f64()
        })
        .collect();
    Estimate::of(&rates)
}

/// What a thread that collects garbage takes from the throughput, as a share: 0.03 is three percent.
///
/// Both legs are looked at over blocks that are long against the collector's interval; the leg without it never collects.
pub fn collector_cost(rounds: usize, block: Duration) -> Estimate {
    let auto_gc = AutoGcConfig {
        interval: Duration::from_millis(100),
        version_threshold: None,
        run_on_start: false,
    };
    let with = SuperVm::new(MvccConfig { auto_gc: Some(auto_gc), ..MvccConfig::default() });
    let without = SuperVm::new(MvccConfig::default());
    let accounts = Accounts::new(None);
    let costs: Vec<f64> = (0..rounds)
        .map(|round| {
            let run = |leg: &SuperVm| transfers(leg, &accounts, 1, round as u64, block).rate;
            let (own, other) = match round % 2 {
                0 => (run(&with), run(&without)),
                _ => {
                    let other = run(&without);
                    (run(&with), other)
                }
            };
            without.tidy();
            1.0 - own / other
        })
        .collect();
    Estimate::of(&costs)
}
