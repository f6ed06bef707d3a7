//! Running contracts: WASM in, a receipt out.
//!
//! A [`Runtime`] checks and compiles a contract once ([`Runtime::module`]) and runs each call on a fresh instance, on a
//! [`Journal`](crate::state::Journal) over what a transaction sees of chain state. A call changes nothing: what it would change is in its
//! [`Receipt`]. [`Runtime::transact`] commits that when nothing that the call read has changed meanwhile, [`Runtime::commit`] in any case.
//! [`Runtime::run_block`] runs many, in an order, as one commit.
//! A contract that fails leaves a [`Trap`] in the receipt; an `Err` is a failure of the node.
//!
//! The result of a call, its gas included, is the same on every node with the same configuration, host packs and code. This is
//! the only module that names wasmtime.

mod trap;
mod receipt;
mod arguments;
mod pool;
mod gas;
mod compile_cost;
mod validate;
mod machine;
mod module;
mod frame;
mod link;
mod host;
mod call;
mod artifact;
mod cache;
mod view;
mod code;
mod turns;
mod shared;
mod handle;
mod transact;
mod block;

pub use block::{BlockReceipts, BlockTransaction};
pub use handle::Runtime;
pub use module::{Module, Signature};
pub use receipt::{CallArguments, CallContext, GAS_LIMIT_DEFAULT, Receipt};
pub use shared::contract_address;
pub use trap::Trap;

pub use crate::state::Event;

/// The wasmtime engine that a runtime of this configuration uses, for tests of that configuration.
///
/// # Errors
/// As [`Runtime::with_config`].
#[doc(hidden)]
pub fn configured_engine(
    config: &crate::config::ExecutionConfig,
) -> supervm_plugin_sdk::Result<wasmtime::Engine> {
    config.check()?;
    Ok(machine::machine(config)?.engine.clone())
}

/// Units of work to compile `wasm`, which is checked against nothing but the specification and the bounds of that work, for tests of them.
///
/// # Errors
/// `InvalidArgument` with what is wrong and what would be accepted.
#[doc(hidden)]
pub fn compile_units(wasm: &[u8]) -> supervm_plugin_sdk::Result<u64> {
    let features = validate::FEATURES | wasmparser::WasmFeatures::FLOATS;
    validate::instructions(wasm, features)
}
