//! How chain state lies in a storage: which keys there are, and what their values hold.
//!
//! ```text
//! c/ <key>                                latest value: version u64 | value
//! h/ <ordered key> <superseded_at u64>    a value that was replaced or deleted: version u64 | value
//! l/ <version u64> <part u32>             the keys that this version changed: (length u16 | key)*
//! b/ <number u64>                         a block: version u64 | timestamp u64 | state digest, 32 bytes
//! m/ <name>                               one fact about the whole: see [`Meta`]
//! m/ deployed/ <contract, 20 bytes>       when its code came: version u64
//! ```
//!
//! Integers are big-endian, so that keys order by them. An *ordered key* ([`put_ordered_key`]) keeps the order of the keys and
//! marks their end, so that the old values of one key lie together, from the oldest to the newest.
//!
//! # History
//! An old value lies under the version that superseded it. The value of a key as of version `v` is the latest one when its version is at
//! most `v`; else the first old value with `superseded_at > v`, when its version is at most `v`; else the key was absent at `v`.
//!
//! ```text
//! put k=1 at 3, put k=2 at 5, delete k at 8, put k=3 at 9
//!
//! c/k -> 9|3      h/k 5 -> 3|1      h/k 8 -> 5|2
//! as of 4: the latest is too new; first old value superseded after 4 is "3|1"  -> 1
//! as of 8: the latest is too new; no old value was superseded after 8          -> absent
//! ```
//!
//! So pruning to a floor is deleting what was superseded at or below it, and `l/` names those keys without a search.

mod block;
mod changes;
mod deployment;
mod key;
mod meta;
mod record;
mod version;

pub use block::{BLOCK_NUMBER_MAX, BlockRecord, TIMESTAMP_MAX};
pub(crate) use changes::ChangeLogWriter;
pub use changes::{ChangedKeys, put_changed_keys};
pub use deployment::{deployed_at, deployment_key};
pub use key::{
    Area, STATE_KEY_BYTES_MAX, block_key, change_log_key, history_key, history_prefix,
    history_range, latest_key, latest_range, put_ordered_key, split_block_key,
    split_change_log_key, split_history_key, take_ordered_key,
};
pub use meta::{HistoryMode, Meta};
pub use record::{STATE_VALUE_BYTES_MAX, put_record, split_latest, split_record};
pub use version::{VERSION_MAX, Version};

use supervm_plugin_sdk::{Error, ErrorKind, Limits};

/// What keys and values of chain state are held against.
pub(crate) const STATE_LIMITS: Limits = Limits {
    key_bytes_max: STATE_KEY_BYTES_MAX as u64,
    value_bytes_max: STATE_VALUE_BYTES_MAX as u64,
    ..Limits::CONTRACT
};

/// Stored bytes that do not parse.
fn corrupt(what: &'static str, bytes: &[u8]) -> Error {
    let shown = &bytes[..bytes.len().min(64)];
    Error::new(ErrorKind::Corruption, "read chain state", format!("{what} does not parse"))
        .with("length", bytes.len())
        .with("begins", hex::encode(shown))
}
