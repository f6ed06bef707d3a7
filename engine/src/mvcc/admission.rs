//! Which keys are worth memory: those that are read again.
//!
//! A transaction that only reads needs no cell, and to make one costs as much as the read of a fast
//! backend. So a key that is not in memory gets a cell from its second read on, within about as
//! many reads of other keys as memory has room for; one pass over many keys then displaces nothing.
//!
//! Source: the doorkeeper of Einziger, Friedman and Manes, "TinyLFU" (2017), as a table of hashes.

use std::sync::atomic::{AtomicU32, Ordering};

/// Bytes of memory for each key that is remembered; about what a cell takes.
const BYTES_PER_SLOT: usize = 256;
const SLOTS_MIN: usize = 1 << 12;
const SLOTS_MAX: usize = 1 << 22;

pub(super) struct Doorkeeper(Box<[AtomicU32]>);

impl Doorkeeper {
    /// Remembers about as many keys as fit into `memory_bytes_max`; 4 bytes for each.
    pub(super) fn new(memory_bytes_max: usize) -> Self {
        let slots = (memory_bytes_max / BYTES_PER_SLOT).clamp(SLOTS_MIN, SLOTS_MAX);
        let zeros = vec![0; slots.next_power_of_two()];
        Self(zeros.into_iter().map(AtomicU32::new).collect())
    }

    /// One that lets every key in, and remembers none.
    pub(super) fn open() -> Self {
        Self(Box::default())
    }

    /// Was the key with this hash asked about lately? It is remembered now.
    #[inline]
    pub(super) fn admits(&self, hash: u64) -> bool {
        if self.0.is_empty() {
            return true;
        }
        // The parts of a hash that say where and which do not overlap.
        let slot = &self.0[hash as usize & (self.0.len() - 1)];
        let mark = (hash >> 32) as u32 | 1;
        if slot.load(Ordering::Relaxed) == mark {
            return true;
        }
        slot.store(mark, Ordering::Relaxed);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_let_in_when_it_comes_again() {
        let doorkeeper = Doorkeeper::new(1 << 20);
        let hash = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        assert!((1..100).all(|number| !doorkeeper.admits(hash(number))));
        let again = (1..100).filter(|number| doorkeeper.admits(hash(*number))).count();
        assert!(again > 90, "{again} of 99: few share a slot");
        assert!(Doorkeeper::open().admits(0));
    }
}
