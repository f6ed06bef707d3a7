//! What keys and versions take.

use super::ledger::key;
use serde::Serialize;
use std::fs;
use supervm_engine::mvcc::MvccStore;

const KEYS: usize = 1_000_000;
/// Versions that each key gets besides its first one.
const VERSIONS: usize = 10;
const AT_ONCE: usize = 10_000;

/// Bytes of resident memory.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Memory {
    /// A key of 20 bytes with a value of 8, all that belongs to it.
    pub bytes_per_key: f64,
    /// A further version of such a key.
    pub bytes_per_version: f64,
}

/// Fills a store with a million keys, then gives each ten more versions. To be called before much else has been allocated.
pub fn memory() -> Memory {
    let empty = resident();
    let store = MvccStore::new();
    let write_all = |value: u64| {
        for start in (0..KEYS).step_by(AT_ONCE) {
            let mut txn = store.begin();
            for number in start..start + AT_ONCE {
                txn.write(&key(number), &value.to_le_bytes()).expect("a valid key");
            }
            txn.commit().expect("nobody else writes");
        }
    };
    write_all(0);
    let filled = resident();
    (1..=VERSIONS as u64).for_each(write_all);
    let grown = resident();
    Memory {
        bytes_per_key: (filled - empty) / KEYS as f64,
        bytes_per_version: (grown - filled) / (KEYS * VERSIONS) as f64,
    }
}

fn resident() -> f64 {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux says what a process takes");
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    (resident.expect("the second number is resident pages") * rustix::param::page_size() as u64)
        as f64
}
