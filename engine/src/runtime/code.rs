//! Where the code of deployed contracts is kept.

use crate::layout::{Version, deployed_at, deployment_key};
use crate::mvcc::MvccStore;
use crate::state::code_key;
use crate::storage::Storage;
use parking_lot::RwLock;
use std::collections::HashMap;
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::{ByteBuf, Result, WriteBatch};

/// The code of contracts by their address, and when it came. It never changes, and none ever goes.
pub(super) enum Code {
    /// In the storage beneath the state.
    Stored(Storage),
    /// In memory, as the state is.
    Volatile(RwLock<HashMap<Address, (Vec<u8>, Version)>>),
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
                Ok(codes.read().get(address).map(|(code, _)| wasm.set(code)).is_some())
            }
        }
    }

    /// The version that was the newest when the code at `address` came; `None` when there is none.
    pub(super) fn deployed_at(&self, address: &Address) -> Result<Option<Version>> {
        match self {
            Self::Stored(storage) => {
                if !storage.get_into(&code_key(address), &mut ByteBuf::new())? {
                    return Ok(None);
                }
                deployed_at(address, |key| storage.get(key)).map(Some)
            }
            Self::Volatile(codes) => Ok(codes.read().get(address).map(|(_, version)| *version)),
        }
    }

    /// Keeps `wasm` at `address`, come at `version`; `true` when it was not there. The caller lets nobody else do so meanwhile.
    pub(super) fn put(&self, address: &Address, wasm: &[u8], version: Version) -> Result<bool> {
        match self {
            Self::Stored(storage) => {
                let key = code_key(address);
                if storage.get_into(&key, &mut ByteBuf::new())? {
                    return Ok(false);
                }
                let mut batch = WriteBatch::new();
                batch.put(&key, wasm);
                batch.put(&deployment_key(address), &version.0.to_be_bytes());
                storage.write(&batch, storage.durability()).map(|()| true)
            }
            Self::Volatile(codes) => {
                let mut codes = codes.write();
                let is_new = !codes.contains_key(address);
                codes.entry(*address).or_insert_with(|| (wasm.to_vec(), version));
                Ok(is_new)
            }
        }
    }
}
