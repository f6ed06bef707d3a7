//! The state of a running call: what it read, what it would write, and the marks it can fall back to.
//!
//! A [`Journal`] lies over a [`StateView`], mostly what a transaction sees ([`TxnView`]). Writes stay in the journal until someone
//! commits its [`Changes`]; a savepoint remembers where to fall back to, and savepoints nest. Everything that was read from the view is
//! recorded, absence included, so that a scheduler can tell whether another order would have given another result.
//!
//! A contract's key is in chain state under the contract's address, 20 bytes, and the key. Its code is no state: it lies in the storage
//! under `a/` and the address, never changes, and has no versions.

mod event;
mod key;
mod view;
mod transaction;
mod past;
mod scan;
mod journal;

pub use event::Event;
pub use journal::{Changes, Journal};
pub use key::{StateKey, code_key};
pub use scan::{Scan, ScanStep};
pub use transaction::TxnView;
pub use view::{StateRows, StateView};

pub(crate) use event::serialize_hex;
