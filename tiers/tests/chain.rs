//! A node's chain state: calls beside each other, blocks, the past, and one digest whatever the backend.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{Place, contract};
use std::path::Path;
use supervm_engine::config::{HistoryConfig, HistoryKind};
use supervm_engine::layout::Version;
use supervm_engine::runtime::{CallArguments, CallContext, Receipt};
use supervm_engine::state::StateKey;
use supervm_plugin_sdk::ErrorKind;
use supervm_tiers::builtin::STORAGE_BACKENDS;
use supervm_tiers::{Node, TierProfile};

/// The backends of this repository, sorted.
const OURS: [&str; 5] = ["leveldb", "lmdb", "memory", "rocksdb", "sqlite"];

/// A node over one of our backends, and a ledger on it.
struct Ledger {
    node: Node,
    code: Vec<u8>,
}

impl Ledger {
    fn open(dir: &Path, backend: &str, history: HistoryConfig) -> Self {
        let mut profile = TierProfile { history, ..TierProfile::dev() };
        profile = profile.with_backend(backend).with_dir(dir.join(backend));
        if !STORAGE_BACKENDS.contains(&backend) {
            // `cargo build --workspace` leaves it beside the command.
            let command = Path::new(env!("CARGO_BIN_EXE_supervm"));
            profile.plugins.dirs.push(command.parent().unwrap().to_owned());
        }
        Self { node: profile.open().unwrap(), code: std::fs::read(contract("ledger.wat")).unwrap() }
    }

    fn call(&self, block_number: u64, function: &str, arguments: &[i64]) -> Receipt {
        let arguments = CallArguments::Values(arguments.to_vec());
        let timestamp = 1_700_000_000 + block_number;
        let context = CallContext { block_number, timestamp, ..CallContext::default() };
        self.node.run(&self.code, function, &arguments, &context).unwrap()
    }

    /// A call that does not trap, and its result.
    fn done(&self, block_number: u64, function: &str, arguments: &[i64]) -> Option<i64> {
        let receipt = self.call(block_number, function, arguments);
        assert_eq!(receipt.trap, None, "{function} {arguments:?}");
        receipt.result
    }

    fn balance(&self, account: i64) -> i64 {
        self.done(0, "balance", &[account]).unwrap()
    }

    /// The key of an account's balance in chain state.
    fn key(&self, account: i64) -> Vec<u8> {
        let contract = self.node.runtime().module(&self.code).unwrap().address();
        StateKey { contract, key: account.to_le_bytes().to_vec() }.to_bytes()
    }

    /// An account's balance after a block.
    fn balance_at(&self, block: u64, account: i64) -> i64 {
        let state = self.node.state_at(block).unwrap();
        let value = state.get(&self.key(account)).unwrap();
        value.map_or(0, |value| i64::from_le_bytes(value.try_into().unwrap()))
    }

    /// A block for each number, in which account 1 gets that number.
    fn mint_blocks(&self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.done(number, "mint", &[1, number as i64]);
        }
    }
}

fn keeping(mode: HistoryKind, blocks: u64) -> HistoryConfig {
    HistoryConfig { mode: Some(mode), blocks }
}

/// The sum of 1 to `number`, which is what account 1 has after that block of [`Ledger::mint_blocks`].
fn minted(number: u64) -> i64 {
    (number * (number + 1) / 2) as i64
}

#[test]
fn transfers_from_many_threads_lose_and_make_nothing() {
    const ACCOUNTS: i64 = 4;
    let place = Place::new();
    for backend in ["memory", "sqlite"] {
        let ledger = Ledger::open(place.path(), backend, keeping(HistoryKind::Archive, 1));
        for account in 0..ACCOUNTS {
            ledger.done(1, "mint", &[account, 10_000]);
        }
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let ledger = &ledger;
                scope.spawn(move || {
                    for number in 0..50 {
                        let (from, to) = (thread, (thread + 1 + number % 3) % ACCOUNTS);
                        ledger.done(2 + number as u64, "transfer", &[from, to, 1 + number]);
                    }
                });
            }
        });
        let balances: Vec<_> = (0..ACCOUNTS).map(|account| ledger.balance(account)).collect();
        assert_eq!(balances.iter().sum::<i64>(), 10_000 * ACCOUNTS, "{backend}: {balances:?}");
        assert_eq!(ledger.node.store().last_version(), Version(4 + 200), "{backend}");
        // Of the calls that met in a block, one ended it.
        let blocks = ledger.node.history().blocks(0, usize::MAX).unwrap();
        assert_eq!(blocks.iter().map(|block| block.number).max(), Some(51));
        assert!(blocks.windows(2).all(|pair| pair[0].version < pair[1].version), "{blocks:?}");
    }
}

#[test]
fn a_trap_and_a_call_that_changes_nothing_make_no_version() {
    let place = Place::new();
    let ledger = Ledger::open(place.path(), "memory", HistoryConfig::default());
    ledger.done(1, "mint", &[1, 5]);
    let (store, history) = (ledger.node.store(), ledger.node.history());
    let before =
        (store.last_version(), store.last_block(), history.latest().unwrap().digest().unwrap());
    assert_eq!(ledger.call(2, "transfer", &[1, 2, 6]).trap.unwrap().name(), "abort");
    assert_eq!(ledger.balance(1), 5);
    assert_eq!(
        (store.last_version(), store.last_block(), history.latest().unwrap().digest().unwrap()),
        before
    );
}

#[test]
fn the_first_commit_of_a_new_number_ends_the_block_and_later_ones_belong_to_the_next() {
    let place = Place::new();
    let ledger = Ledger::open(place.path(), "memory", keeping(HistoryKind::Archive, 1));
    for (block, amount) in [(1, 10), (1, 20), (3, 40), (2, 80), (4, 160)] {
        ledger.done(block, "mint", &[1, amount]);
    }
    let blocks = ledger.node.history().blocks(0, usize::MAX).unwrap();
    let ended: Vec<_> = blocks.iter().map(|block| (block.number, block.version.0)).collect();
    assert_eq!(ended, [(1, 1), (3, 3), (4, 5)]);
    let after = [1, 3, 4].map(|block| ledger.balance_at(block, 1));
    assert_eq!(after, [10, 70, 310]);
}

#[test]
fn an_archive_has_the_state_after_every_block_also_when_it_is_opened_without_saying_so() {
    let place = Place::new();
    for backend in ["memory", "sqlite"] {
        let ledger = Ledger::open(place.path(), backend, keeping(HistoryKind::Archive, 1));
        ledger.mint_blocks(1..=20);
        let digests = |ledger: &Ledger| -> Vec<_> {
            let state = |block| ledger.node.state_at(block).unwrap();
            (1..=20).map(|block| state(block).digest().unwrap().to_string()).collect()
        };
        let before = digests(&ledger);
        ledger.node.close().unwrap();
        let ledger = Ledger::open(place.path(), backend, HistoryConfig::default());
        ledger.mint_blocks(21..=30);
        assert_eq!(digests(&ledger), before);
        for block in 1..=30 {
            assert_eq!(ledger.balance_at(block, 1), minted(block), "{backend}, block {block}");
            let record = ledger.node.history().block(block).unwrap().unwrap();
            let accumulator = ledger.node.state_at(block).unwrap().accumulator().unwrap();
            assert_eq!(record.digest, accumulator.digest(), "{backend}, block {block}");
        }
    }
}

#[test]
fn a_window_is_pruned_as_blocks_are_added_and_without_history_only_the_latest_state_is_there() {
    let place = Place::new();
    for backend in ["memory", "sqlite"] {
        let ledger = Ledger::open(place.path(), backend, keeping(HistoryKind::Window, 5));
        for block in 1..=20 {
            ledger.mint_blocks(block..=block);
            let oldest = block.saturating_sub(4).max(1);
            for kept in oldest..=block {
                assert_eq!(ledger.balance_at(kept, 1), minted(kept), "{backend}, block {kept}");
            }
            if oldest > 1 {
                let refused = ledger.node.state_at(oldest - 1).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::VersionPruned, "{backend}, block {block}");
            }
        }
        let old = ledger.node.storage().scan(b"h/", usize::MAX).unwrap();
        assert_eq!(old.len(), 4, "{backend}: what the pruned blocks needed is deleted");
        ledger.node.close().unwrap();

        let ledger = Ledger::open(place.path(), backend, keeping(HistoryKind::None, 1));
        ledger.mint_blocks(21..=22);
        assert_eq!(ledger.balance(1), minted(22));
        let refused = ledger.node.state_at(20).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::VersionPruned, "{backend}");
        assert_eq!(ledger.balance_at(22, 1), minted(22));
    }
}

#[test]
fn a_window_keeps_the_blocks_that_exist_when_their_numbers_have_gaps() {
    let place = Place::new();
    for backend in ["memory", "sqlite"] {
        let ledger = Ledger::open(place.path(), backend, keeping(HistoryKind::Window, 3));
        let numbers = [10, 20, 30, 40, 50, 1 << 20, 1 << 40, (1 << 40) + 1];
        for (index, number) in numbers.into_iter().enumerate() {
            ledger.done(number, "mint", &[1, 1]);
            for (earlier, ended) in numbers[..=index].iter().enumerate() {
                if earlier + 3 > index {
                    assert_eq!(ledger.balance_at(*ended, 1), earlier as i64 + 1, "{backend}");
                } else {
                    let refused = ledger.node.state_at(*ended).unwrap_err();
                    assert_eq!(refused.kind(), ErrorKind::VersionPruned, "{backend}, {ended}");
                }
            }
        }
    }
}

#[test]
fn a_long_window_is_pruned_once_for_several_blocks_whatever_their_numbers() {
    const BLOCKS: u64 = 96;
    let place = Place::new();
    let ledger = Ledger::open(place.path(), "memory", keeping(HistoryKind::Window, BLOCKS));
    let floor = || ledger.node.history().floor().unwrap();
    let (mut prunings, mut before) = (0, floor());
    for index in 1..=BLOCKS + 30 {
        ledger.done(1_000 * index, "mint", &[1, 1]);
        assert!(floor().0 <= index.saturating_sub(BLOCKS - 1), "block {index}: {}", floor());
        assert!(floor().0 + BLOCKS + 2 >= index, "block {index}: {}", floor());
        if index > BLOCKS && floor() > before {
            prunings += 1;
        }
        before = floor();
    }
    assert_eq!(prunings, 10, "a thirty-second of the window is 3 blocks");
}

#[test]
fn the_same_calls_leave_the_same_digests_on_every_backend_and_in_every_mode() {
    let place = Place::new();
    let modes = [HistoryKind::Archive, HistoryKind::Window, HistoryKind::None];
    let mut found = Vec::new();
    for (index, backend) in OURS.into_iter().enumerate() {
        let ledger = Ledger::open(place.path(), backend, keeping(modes[index % 3], 3));
        for block in 1..=12_i64 {
            ledger.done(block as u64, "mint", &[block % 3, 100 + block]);
            ledger.done(block as u64, "transfer", &[block % 3, block % 5, block]);
        }
        ledger.done(13, "mint", &[9, 1]);
        let latest = ledger.node.history().latest().unwrap();
        let incremental = ledger.node.store().last_block().unwrap().digest;
        assert_eq!(latest.accumulator().unwrap().digest(), incremental, "{backend}");
        found.push((latest.digest().unwrap().to_string(), incremental, latest.version()));
        drop(latest);
        ledger.node.close().unwrap();
    }
    assert!(found.iter().all(|one| *one == found[0]), "{found:?}");
}

#[test]
fn a_block_of_an_earlier_time_than_the_last_is_refused_and_changes_nothing() {
    let place = Place::new();
    let node = TierProfile::dev().with_dir(place.path()).open().unwrap();
    let demo = std::fs::read(contract("demo.wat")).unwrap();
    node.execute(&demo, "process", 5, 1_000).unwrap();
    let before = node.store().last_version();
    let refused = node.execute(&demo, "process", 6, 999).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidArgument);
    assert_eq!(node.store().last_version(), before);
    node.execute(&demo, "process", 6, 1_000).unwrap();
}
