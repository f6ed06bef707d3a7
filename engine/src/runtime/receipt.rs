//! What a call is given, and what it leaves.

use super::trap::Trap;
use crate::scheduler::ReadWriteSet;
use crate::state::{Changes, Event, StateKey, serialize_hex};
use serde::{Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use supervm_plugin_sdk::host::{ADDRESS_BYTES, Address};

/// Gas that a call is given when nothing is said.
pub const GAS_LIMIT_DEFAULT: u64 = 10_000_000;

/// What a function of a contract is called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallArguments {
    /// One integer for each parameter; one for an `i32` lies in -2147483648 to 4294967295.
    Values(Vec<i64>),
    /// Bytes that the contract reads through its host functions; the function has no parameters.
    Input(Vec<u8>),
}

impl Default for CallArguments {
    fn default() -> Self {
        Self::Values(Vec::new())
    }
}

/// The circumstances of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallContext {
    /// The block that the call is part of. Default: 0.
    pub block_number: u64,
    /// The block's time, seconds since 1970-01-01 UTC. Default: 0.
    pub timestamp: u64,
    /// Who calls. Default: twenty zero bytes.
    pub caller: Address,
    /// Most gas that the call may use, at most the configured limit. Default: [`GAS_LIMIT_DEFAULT`].
    pub gas_limit: u64,
    /// Refuse writes and events, also in the contracts that are called. Default: false.
    pub read_only: bool,
}

impl Default for CallContext {
    fn default() -> Self {
        Self {
            block_number: 0,
            timestamp: 0,
            caller: [0; ADDRESS_BYTES],
            gas_limit: GAS_LIMIT_DEFAULT,
            read_only: false,
        }
    }
}

/// What a call leaves. Nothing of it is in the storage until the receipt is committed.
///
/// With a [`trap`](Self::trap) there is no result, no output, no event and no write; the reads are those that led to it.
///
/// Serialised, bytes are hexadecimal digits, and keys of state are the contract's address, a colon and the key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The function's result; an `i32` keeps its sign. `None` when it has none.
    pub result: Option<i64>,
    /// The output that the contract set.
    #[serde(serialize_with = "serialize_hex")]
    pub output: Vec<u8>,
    /// The events, in the order they were emitted.
    pub events: Vec<Event>,
    /// Gas used; the whole limit after a trap, unless [`Trap::refunds_gas`].
    pub gas_used: u64,
    /// The keys that were read from the storage, absent ones included.
    pub reads: BTreeSet<StateKey>,
    /// The keys that would be written; `None` = deleted.
    #[serde(serialize_with = "serialize_writes")]
    pub writes: BTreeMap<StateKey, Option<Vec<u8>>>,
    /// Why the call ended without a result.
    pub trap: Option<Trap>,
}

impl Receipt {
    pub(super) fn succeeded(
        changes: Changes,
        result: Option<i64>,
        output: Vec<u8>,
        gas_used: u64,
    ) -> Self {
        let Changes { reads, writes, events } = changes;
        Self { result, output, events, gas_used, reads, writes, trap: None }
    }

    pub(super) fn trapped(changes: Changes, trap: Trap, gas_used: u64) -> Self {
        Self { gas_used, reads: changes.reads, trap: Some(trap), ..Self::default() }
    }

    /// The receipt of the same call when it ends with `trap` after all.
    pub(super) fn retracted(self, trap: Trap, gas_used: u64) -> Self {
        Self { gas_used, reads: self.reads, trap: Some(trap), ..Self::default() }
    }
}

impl From<&Receipt> for ReadWriteSet {
    fn from(receipt: &Receipt) -> Self {
        let reads = receipt.reads.iter();
        let set = reads.fold(Self::new(), |set, key| set.reading(key.to_bytes()));
        receipt.writes.keys().fold(set, |set, key| set.writing(key.to_bytes()))
    }
}

fn serialize_writes<S: Serializer>(
    writes: &BTreeMap<StateKey, Option<Vec<u8>>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer
        .collect_map(writes.iter().map(|(key, value)| (key, value.as_deref().map(hex::encode))))
}
