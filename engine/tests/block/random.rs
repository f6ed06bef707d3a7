//! Random blocks against a map. A failure prints the seed; `SUPERVM_BLOCK_SEED` runs it again, `SUPERVM_BLOCKS` says how many blocks.

use crate::model::{Map, Model, content};
use crate::programs::{Bounded, CONTRACT, Program, Programs, Step};
use std::time::{SystemTime, UNIX_EPOCH};
use supervm_engine::block::{AccessList, BlockExecutor, BlockLimits};
use supervm_engine::mvcc::{Block, MvccStore};
use supervm_engine::state::StateKey;
use supervm_plugin_sdk::Direction;

const BLOCKS: u64 = 12_000;
/// Blocks with small bounds.
const BOUNDED_BLOCKS: u64 = 3_000;
/// Blocks that one store sees.
const BLOCKS_PER_STORE: u64 = 100;

/// Marsaglia's xorshift.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 16) % bound
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// How many keys there are decides how hot they are.
fn key(chance: &mut Chance, keys: u64) -> Vec<u8> {
    vec![b'k', chance.below(keys) as u8]
}

fn step(chance: &mut Chance, keys: u64) -> Step {
    match chance.below(21) {
        0..=6 => Step::Read(key(chance, keys)),
        7..=12 => Step::Write(key(chance, keys)),
        13 => Step::Delete(key(chance, keys)),
        14 | 15 | 19 => {
            let prefix = [&b"k"[..], b"m", b""][chance.below(3) as usize].to_vec();
            let direction = if chance.one_in(2) { Direction::Forward } else { Direction::Reverse };
            match chance.below(3) {
                0 => Step::ShortScan(prefix, direction, chance.below(20)),
                _ => Step::Scan(prefix, direction, chance.below(4) as u32),
            }
        }
        16 => Step::Create(b"m".to_vec()),
        17 => Step::UndoMaybe,
        18 => Step::FailMaybe,
        _ => Step::Yield,
    }
}

/// What a transaction touches, mostly; now and then something else.
fn access(chance: &mut Chance, steps: &[Step]) -> AccessList {
    let mut list = AccessList::default();
    for step in steps.iter().filter(|_| !chance.one_in(8)) {
        match step {
            Step::Read(key) => list.reads.push(StateKey { contract: CONTRACT, key: key.clone() }),
            Step::Write(key) => list.writes.push(StateKey { contract: CONTRACT, key: key.clone() }),
            _ => {}
        }
    }
    list
}

fn block(chance: &mut Chance) -> Vec<Program> {
    let keys = [1, 2, 8, 64, 250][chance.below(5) as usize];
    let declares = chance.one_in(3);
    let is_chain = chance.one_in(10);
    let programs = (0..chance.below(48)).map(|nth| {
        if is_chain {
            let key = |nth: u64| vec![b'k', nth as u8];
            return Program::new([Step::Read(key(nth)), Step::Write(key(nth + 1))]);
        }
        // So many that a scan passes more than a page of them.
        if chance.one_in(30) {
            let first = chance.below(keys);
            return Program::new((first..keys).map(|nth| Step::Delete(vec![b'k', nth as u8])));
        }
        let steps: Vec<_> = (0..1 + chance.below(8)).map(|_| step(chance, keys)).collect();
        let access = declares.then(|| access(chance, &steps));
        Program { steps, access }
    });
    programs.collect()
}

fn seed() -> u64 {
    let fresh = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        now.as_nanos() as u64
    };
    number("SUPERVM_BLOCK_SEED").unwrap_or_else(fresh) | 1
}

#[test]
fn any_number_of_threads_leaves_what_one_by_one_leaves() {
    let seed = seed();
    let mut chance = Chance(seed);
    let executors: Vec<_> =
        (1..=8).map(|threads| BlockExecutor::new(threads).unwrap().with_yields(seed)).collect();
    let mut stats = supervm_engine::block::BlockStats::default();
    let mut removed_most = 0;
    let (mut store, mut model) = (MvccStore::new(), Model::default());
    for number in 0..number("SUPERVM_BLOCKS").unwrap_or(BLOCKS) {
        if number % BLOCKS_PER_STORE == 0 {
            (store, model) = (MvccStore::new(), Model::default());
        }
        let programs = block(&mut chance);
        let expected = Programs(&programs).run_on(&model);
        let executor = &executors[chance.below(8) as usize];
        let failed = || {
            format!(
                "block {number} on {} threads; SUPERVM_BLOCK_SEED={seed} runs it again: {programs:#?}",
                executor.threads()
            )
        };
        let executed = executor.execute(&store, &Programs(&programs)).unwrap();
        let header = Block { number, timestamp: number };
        let (reports, block_stats, _) = executor.commit(executed, header, None).unwrap();
        assert_eq!(reports, expected, "{}", failed());
        let left: Map = content(&store);
        assert_eq!(left, *model.map.lock(), "{}", failed());
        removed_most = expected.iter().map(|report| report.removed).fold(removed_most, u64::max);
        stats.add(&block_stats);
    }
    assert_eq!(stats.ran_ahead + stats.reruns + stats.in_turn, stats.transactions);
    assert!(stats.ran_ahead > 0 && stats.reruns > 0 && stats.in_turn > 0, "{stats:?}");
    assert!(removed_most > 64, "{removed_most}");
    println!("seed {seed}: {stats:?}");
}

#[test]
fn any_number_of_threads_refuses_what_one_by_one_refuses() {
    let seed = seed();
    let mut chance = Chance(seed);
    let executors: Vec<_> =
        (1..=8).map(|threads| BlockExecutor::new(threads).unwrap().with_yields(seed)).collect();
    let (mut store, mut model) = (MvccStore::new(), Model::default());
    let (mut refused, mut kept) = (0, 0);
    for number in 0..number("SUPERVM_BLOCKS").unwrap_or(BOUNDED_BLOCKS) {
        if number % BLOCKS_PER_STORE == 0 {
            (store, model) = (MvccStore::new(), Model::default());
        }
        let programs = block(&mut chance);
        let limits = BlockLimits {
            transaction_bytes_max: 200 + chance.below(1_500) as usize,
            block_bytes_max: 500 + chance.below(8_000) as usize,
        };
        let bounded = Bounded(Programs(&programs), limits);
        let expected = bounded.run_on(&model);
        let executor = &executors[chance.below(8) as usize];
        let failed = || format!("block {number}; SUPERVM_BLOCK_SEED={seed}: {limits:?}");
        let executed = executor.execute(&store, &bounded).unwrap();
        let header = Block { number, timestamp: number };
        let (reports, _, _) = executor.commit(executed, header, None).unwrap();
        assert_eq!(reports, expected, "{}", failed());
        assert_eq!(content(&store), *model.map.lock(), "{}", failed());
        refused += reports.iter().filter(|report| report.is_refused()).count();
        kept += reports.iter().filter(|report| !report.is_refused()).count();
    }
    assert!(refused > 1000 && kept > 1000, "seed {seed}: {refused} refused, {kept} kept");
}
