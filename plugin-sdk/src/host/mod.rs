//! The host-pack contract: functions that contracts import.
//!
//! A pack is a table of [`HostFunction`]s in one import module. The engine reads the table once: it links the functions,
//! charges their gas before each call, refuses a write in a read-only call, and hashes the whole into the gas schedule. The
//! functions themselves are safe Rust over a [`HostContext`].

mod context;
mod environment;
mod error;
mod function;

pub use context::HostContext;
pub use environment::{CallOutcome, ContractCall, HostEnvironment, SCRATCH_SLOTS};
pub use error::HostError;
pub use function::{Arguments, Body, HostFunction, HostValue, Parameter, StateAccess, ValueType};

/// Bytes of an account's or contract's address.
pub const ADDRESS_BYTES: usize = 20;
/// An account's or contract's address.
pub type Address = [u8; ADDRESS_BYTES];

/// A host pack: a named set of functions in one import module.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no host pack",
    label = "does not implement `HostPack`",
    note = "implement `HostPack` for the type: its import module and its table of functions"
)]
pub trait HostPack: 'static {
    /// The import module that contracts name, such as `storage_api`.
    const MODULE: &'static str;
    /// Do the same inputs give the same results on every node? A consensus profile refuses a pack that does not say so.
    const DETERMINISTIC: bool;

    /// The table of functions.
    fn functions() -> &'static [HostFunction];
}
