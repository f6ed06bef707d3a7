//! The state of a running call: what it read, what it would write, and the marks it can fall back to.
//!
//! A [`Journal`] lies over a [`StateView`], a read view of the storage. Writes stay in the journal until someone commits its
//! [`Changes`]; a savepoint remembers where to fall back to, and savepoints nest. Everything that was read from the view is
//! recorded, absence included, so that a scheduler can tell whether another order would have given another result.
//!
//! ```text
//! c/ <20 bytes: contract> <key>    contract state
//! a/ <20 bytes: contract>          code of a deployed contract
//! ```

mod event;
mod journal;
mod key;
mod scan;
mod view;

pub use event::Event;
pub use journal::{Changes, Journal};
pub use key::{StateKey, code_key};
pub use scan::Scan;
pub use view::StateView;

pub(crate) use event::serialize_hex;
