//! The legs: stores that can move an amount between two accounts.

use crate::mvcc::ACCOUNTS;
use crate::random::{SplitMix, Zipf};
use supervm_engine::mvcc::{MvccConfig, MvccStore};

/// Transactions that load the accounts have so many of them.
const LOADED_AT_ONCE: usize = 1_000;
const OPENING_BALANCE: u64 = 1_000;
const KEY_BYTES: usize = 20;

/// An account's key.
pub type Key = [u8; KEY_BYTES];

/// The key of account `number`: its first bytes are spread over all values, as addresses are.
pub(super) fn key(number: usize) -> Key {
    let mut key = [0; KEY_BYTES];
    key[..8].copy_from_slice(&SplitMix::new(number as u64).next_u64().to_be_bytes());
    key[12..].copy_from_slice(&(number as u64).to_be_bytes());
    key
}

/// Where pairs of accounts come from.
#[derive(Debug)]
pub struct Accounts {
    keys: Vec<Key>,
    zipf: Option<Zipf>,
}

impl Accounts {
    /// All accounts alike, or some far more often than others.
    pub fn new(zipf_exponent: Option<f64>) -> Self {
        Self {
            keys: (0..ACCOUNTS).map(key).collect(),
            zipf: zipf_exponent.map(|exponent| Zipf::new(ACCOUNTS, exponent)),
        }
    }

    /// One account.
    #[inline]
    pub fn one(&self, random: &mut SplitMix) -> &Key {
        let number = match &self.zipf {
            Some(zipf) => zipf.sample(random),
            None => random.below(self.keys.len()),
        };
        &self.keys[number]
    }

    /// Two different accounts.
    #[inline]
    pub fn pair(&self, random: &mut SplitMix) -> (&Key, &Key) {
        let from = self.one(random);
        loop {
            let to = self.one(random);
            if to != from {
                return (from, to);
            }
        }
    }
}

/// A store of accounts.
pub trait Ledger: Sync {
    /// Moves 1 from one account to another; `false` when another transaction was in the way.
    fn transfer(&self, from: &Key, to: &Key) -> bool;

    /// The balance of an account, in a read-only transaction.
    fn balance(&self, account: &Key) -> u64;

    /// Whatever the store wants done between two blocks, outside of the time that is measured.
    fn tidy(&self) {}

    /// The sum over all accounts.
    fn sum(&self) -> u64 {
        (0..ACCOUNTS).map(|number| self.balance(&key(number))).fold(0, u64::wrapping_add)
    }

    /// Is nothing lost and nothing made?
    fn is_sound(&self) -> bool {
        self.sum() == OPENING_BALANCE * ACCOUNTS as u64
    }
}

/// SuperVM's store, in memory.
#[derive(Debug)]
pub struct SuperVm {
    store: MvccStore,
}

impl SuperVm {
    /// With all accounts.
    pub fn new(config: MvccConfig) -> Self {
        let store = MvccStore::in_memory(config);
        for start in (0..ACCOUNTS).step_by(LOADED_AT_ONCE) {
            let mut txn = store.begin();
            for number in start..start + LOADED_AT_ONCE {
                txn.write(&key(number), &OPENING_BALANCE.to_le_bytes()).expect("a valid key");
            }
            txn.commit().expect("nobody else writes");
        }
        Self { store }
    }

    /// The store.
    pub fn store(&self) -> &MvccStore {
        &self.store
    }
}

fn amount(value: Option<&[u8]>) -> u64 {
    let bytes = value.expect("every account is there");
    u64::from_le_bytes(bytes.try_into().expect("a balance has eight bytes"))
}

impl Ledger for SuperVm {
    #[inline]
    fn transfer(&self, from: &Key, to: &Key) -> bool {
        let mut txn = self.store.begin();
        let payer = txn.read_with(from, amount).expect("in memory");
        let payee = txn.read_with(to, amount).expect("in memory");
        txn.write(from, &payer.wrapping_sub(1).to_le_bytes()).expect("a valid key");
        txn.write(to, &payee.wrapping_add(1).to_le_bytes()).expect("a valid key");
        txn.commit().is_ok()
    }

    #[inline]
    fn balance(&self, account: &Key) -> u64 {
        self.store.begin_read_only().read_with(account, amount).expect("in memory")
    }

    fn tidy(&self) {
        if !self.store.is_auto_gc_running() {
            self.store.gc();
        }
    }
}

/// The peer: surrealmx, also serializable and in memory.
pub struct SurrealMx(surrealmx::Database);

impl SurrealMx {
    /// With all accounts.
    pub fn new() -> Self {
        let database = surrealmx::Database::new();
        for start in (0..ACCOUNTS).step_by(LOADED_AT_ONCE) {
            let mut txn = database.transaction(true);
            for number in start..start + LOADED_AT_ONCE {
                txn.set(key(number).to_vec(), OPENING_BALANCE.to_le_bytes().to_vec())
                    .expect("a valid key");
            }
            txn.commit().expect("nobody else writes");
        }
        Self(database)
    }
}

impl Default for SurrealMx {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for SurrealMx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SurrealMx")
    }
}

impl Ledger for SurrealMx {
    #[inline]
    fn transfer(&self, from: &Key, to: &Key) -> bool {
        let mut txn = self.0.transaction(true).with_serializable_snapshot_isolation();
        let payer = amount(txn.get(&from[..]).expect("in memory").as_deref());
        let payee = amount(txn.get(&to[..]).expect("in memory").as_deref());
        txn.set(&from[..], &payer.wrapping_sub(1).to_le_bytes()[..]).expect("a valid key");
        txn.set(&to[..], &payee.wrapping_add(1).to_le_bytes()[..]).expect("a valid key");
        txn.commit().is_ok()
    }

    #[inline]
    fn balance(&self, account: &Key) -> u64 {
        amount(self.0.get(&account[..]).expect("in memory").as_deref())
    }

    fn tidy(&self) {
        self.0.run_cleanup();
        self.0.run_gc();
    }
}
