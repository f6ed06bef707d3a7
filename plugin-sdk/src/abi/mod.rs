//! The application binary interface: what crosses between a host and a plugin, and how.
//!
//! The only place that names `abi_stable`, which describes every type here well enough to compare two builds of it when a
//! plugin is loaded. A plugin that is linked in goes through the same interface, so there is one code path behind both.
//!
//! # Why this is sound
//! The argument for the `unsafe` here, which is all that plugins and hosts need:
//!
//! 1. **Objects.** A storage, snapshot or cursor crosses as a data pointer and a table of functions, both made by the exporting
//!    side from one `Box` of one type. Only that side's functions turn the pointer back, always to that type; the importing side
//!    passes it on, and calls `drop` exactly once, from the `Drop` of the one owner.
//! 2. **Threads.** The boxed types are `Send + Sync` (storage, snapshot) or `Send` and used through `&mut` (cursor).
//! 3. **Memory.** Borrowed bytes cross as pointer and length and are used during the call only. A [`bytes::ByteBuf`] carries its maker's
//!    functions for growing and freeing, so it may be filled and even dropped by the other side. No other memory changes owner.
//! 4. **Panics.** Every function that is called across the boundary runs inside [`contain`], so none unwinds through it. A
//!    library that was built to abort on panic says so in its root and is refused by the loader.
//! 5. **Life.** A library is never unloaded, so function tables and descriptors are `'static`.

#![expect(unsafe_code, reason = "the boundary's data pointers; each block says why it is sound")]
#![expect(missing_docs, reason = "abi_stable's derive generates undocumented accessors")]
#![expect(
    missing_debug_implementations,
    reason = "tables of function pointers have nothing to show"
)]
#![expect(unreachable_pub, reason = "abi_stable's derive needs public fields and types")]

pub(crate) mod bytes;
pub(crate) mod error;
pub(crate) mod export;
pub mod host;
#[cfg(feature = "host")]
pub(crate) mod proxy;
pub mod root;
pub(crate) mod storage;

use crate::{Error, ErrorKind, Result};
use abi_stable::std_types::RResult;
use error::{AbiError, AbiResult};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs one exported function: catches its panic and packs its result.
///
/// `AssertUnwindSafe`: the caller poisons what the panic may have left half-done (clause 26).
pub(crate) fn contain<T>(
    operation: &'static str,
    poison: impl FnOnce(),
    body: impl FnOnce() -> Result<T>,
) -> AbiResult<T> {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => RResult::ROk(value),
        Ok(Err(error)) => RResult::RErr(AbiError::from(error)),
        Err(payload) => {
            poison();
            RResult::RErr(AbiError::from(panicked(operation, payload)))
        }
    }
}

pub(crate) fn panicked(operation: &'static str, payload: Box<dyn Any + Send>) -> Error {
    let message = panic_message(payload);
    Error::new(ErrorKind::PluginPanicked, operation, format!("the plugin panicked: {message}"))
        .with_effect(crate::Effect::Unknown)
}

pub(crate) fn panic_message(payload: Box<dyn Any + Send>) -> String {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "(no message)".to_owned(),
    };
    // A payload's own drop may panic; a leaked payload is the lesser evil.
    std::mem::forget(payload);
    text
}
