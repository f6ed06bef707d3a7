//! Where the code of deployed contracts is kept.

use crate::mvcc::MvccStore;
use crate::state::code_key;
use crate::storage::Storage;
use parking_lot::RwLock;
use std::collections::HashMap;
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::{ByteBuf, Result};

/// The code of contracts by their address. It never changes, and none ever goes.
pub(super) enum Code {
    /// In the storage beneath the state.
    Stored(Storage),
    /// In memory, as the state is.
    Volatile(RwLock<HashMap<Address, Vec<u8>>>),
}

impl Code {
    /// The place for code beside the state of `store`.
    pub(super) fn beside(store: &MvccStore) -> Self {
        match store.storage() {
            Some(storage) => Self::Stored(storage.clone()),
            None => Self::Volatile(RwLock::default()),
        }
    }

    /// Copies the code at `address` into `wasm`; `false` when there is none.
    pub(super) fn get(&self, address: &Address, wasm: &mut ByteBuf) -> Result<bool> {
        match self {
            Self::Stored(storage) => storage.get_into(&code_key(address), wasm),
            Self::Volatile(codes) => {
                Ok(codes.read().get(address).map(|code| wasm.set(code)).is_some())
            }
        }
    }

    /// Keeps `wasm` at `address`; `true` when it was not there.
    pub(super) fn put(&self, address: &Address, wasm: &[u8]) -> Result<bool> {
        match self {
            Self::Stored(storage) => {
                let key = code_key(address);
                let is_new = !storage.get_into(&key, &mut ByteBuf::new())?;
                if is_new {
                    storage.set(&key, wasm)?;
                }
                Ok(is_new)
            }
            Self::Volatile(codes) => Ok(codes.write().insert(*address, wasm.to_vec()).is_none()),
        }
    }
}
