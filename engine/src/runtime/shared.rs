//! What the clones of a runtime share: the linked host packs, the compiled contracts, and which of them are deployed.

use super::artifact::{self, ArtifactKey, Artifacts};
use super::cache::{Cache, CodeHash};
use super::code::Code;
use super::frame::Frame;
use super::gas;
use super::link::Packs;
use super::machine::{self, Machine};
use super::module::{self, Compiled, Module};
use super::turns::Turns;
use super::validate::{self, refused};
use crate::config::ExecutionConfig;
use crate::layout::Version;
use crate::mvcc::MvccStore;
use parking_lot::RwLock;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use supervm_plugin_sdk::host::{ADDRESS_BYTES, Address};
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{ByteBuf, Error, ErrorKind, Result};
use wasmtime::Linker;

/// Contracts that are remembered as deployed; past it the memory starts anew.
const DEPLOYED_MAX: usize = 1 << 20;

/// What the clones of a runtime share.
pub(super) struct Shared {
    pub(super) id: u64,
    pub(super) store: MvccStore,
    code: Code,
    pub(super) turns: Turns,
    pub(super) config: ExecutionConfig,
    pub(super) machine: Arc<Machine>,
    pub(super) schedule: [u8; 32],
    packs: Packs,
    linker: Linker<Frame>,
    cache: Cache,
    artifacts: Option<Artifacts>,
    /// Contracts that are known to be deployed; that never ends.
    deployed: RwLock<HashMap<Address, CodeHash>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime")
            .field("store", &self.store)
            .field("schedule", &hex::encode(self.schedule))
            .finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        store: MvccStore,
        packs: &[Plugin],
        config: &ExecutionConfig,
    ) -> Result<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        config.check()?;
        let packs = Packs::new(packs)?;
        let machine = machine::machine(config)?;
        let linker = packs.linker(&machine.engine)?;
        let dir = config.module_cache_dir.as_deref();
        let disk_bytes = config.module_cache_disk_bytes.0;
        Ok(Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            code: Code::beside(&store),
            store,
            turns: Turns::new(),
            schedule: gas::schedule_hash(packs.rows()),
            linker,
            cache: Cache::new(config.module_cache_bytes.0),
            artifacts: dir.map(|dir| Artifacts::open(dir, disk_bytes)).transpose()?,
            config: config.clone(),
            machine,
            packs,
            deployed: RwLock::default(),
        })
    }

    /// The contract in `source`, WASM or its text form.
    pub(super) fn module(&self, source: &[u8]) -> Result<Module> {
        let most = self.config.module_bytes_max.0;
        // The text of a contract is several times as long as its binary.
        let text_most = most.saturating_mul(16);
        if source.len() as u64 > text_most {
            let bytes = source.len();
            return Err(refused(format!(
                "the contract has {bytes} bytes; at most {text_most} are accepted"
            )));
        }
        let wasm = binary(source)?;
        let hash: CodeHash = Sha256::digest(&wasm).into();
        self.cache.get_or_compile(&hash, || self.compile(&wasm, &hash))
    }

    /// The contract at `address`, when it is known to be deployed and compiled.
    pub(super) fn in_memory(&self, address: &Address) -> Option<Module> {
        let hash = self.deployed.read().get(address).copied()?;
        self.cache.get(&hash)
    }

    /// The contract at `address`, when it is deployed.
    pub(super) fn deployed(&self, address: &Address) -> Result<Option<Module>> {
        if let Some(module) = self.in_memory(address) {
            return Ok(Some(module));
        }
        let mut wasm = ByteBuf::new();
        if !self.code.get(address, &mut wasm)? {
            return Ok(None);
        }
        let hash: CodeHash = Sha256::digest(&*wasm).into();
        if hash[..ADDRESS_BYTES] != address[..] {
            return Err(Error::new(
                ErrorKind::Corruption,
                "load contract",
                "the stored code is not the contract of this address",
            )
            .with("address", hex::encode(address)));
        }
        let module = self.cache.get_or_compile(&hash, || self.compile(&wasm, &hash))?;
        self.remember(*address, hash);
        Ok(Some(module))
    }

    /// Is the contract known to be deployed, or found so?
    pub(super) fn is_deployed(&self, address: &Address) -> Result<bool> {
        let is_known = self.deployed.read().contains_key(address);
        Ok(is_known || self.deployed_at(address)?.is_some())
    }

    /// The version that was the newest when the contract at `address` was deployed.
    pub(super) fn deployed_at(&self, address: &Address) -> Result<Option<Version>> {
        self.code.deployed_at(address)
    }

    /// Keeps the contract's code; `true` when it was not there. The caller has a turn alone.
    pub(super) fn deploy_alone(&self, module: &Module) -> Result<bool> {
        let address = module.address();
        if self.deployed.read().contains_key(&address) {
            return Ok(false);
        }
        let is_new = self.code.put(&address, module.wasm(), self.store.last_version())?;
        self.remember(address, Sha256::digest(module.wasm()).into());
        Ok(is_new)
    }

    /// Notes that the contract is deployed.
    fn remember(&self, address: Address, hash: CodeHash) {
        let mut deployed = self.deployed.write();
        if deployed.len() >= DEPLOYED_MAX {
            deployed.clear();
        }
        deployed.insert(address, hash);
    }

    fn compile(&self, wasm: &[u8], hash: &CodeHash) -> Result<Module> {
        let units = validate::validate(wasm, &self.config, &self.packs)?;
        let engine = &self.machine.engine;
        let key = self.artifact_key(hash);
        let kept = self.artifacts.as_ref().and_then(|artifacts| artifacts.load(engine, &key));
        let compiled = match kept {
            Some(compiled) => compiled,
            None => {
                let compiled = wasmtime::Module::from_binary(engine, wasm).map_err(|error| {
                    refused(format!("the contract cannot be compiled: {error:#}"))
                })?;
                if let Some(artifacts) = &self.artifacts {
                    artifacts.store(&key, &compiled);
                }
                compiled
            }
        };
        let instance = self
            .linker
            .instantiate_pre(&compiled)
            .map_err(|error| refused(format!("the contract cannot be linked: {error:#}")))?;
        Ok(Module(Arc::new(Compiled {
            address: address(hash),
            wasm: wasm.to_vec(),
            exports: module::exports(&compiled),
            memory: module::memory(&compiled),
            instance,
            instance_gas: gas::instance(module::initial_pages(&compiled)),
            compile_gas: gas::compile(units),
            runtime: self.id,
        })))
    }

    fn artifact_key(&self, code: &CodeHash) -> ArtifactKey {
        let mut key = KeyHasher(Sha256::new());
        key.write(&artifact::FORMAT_VERSION.to_le_bytes());
        key.write(code);
        key.write(&self.schedule);
        self.machine.engine.precompile_compatibility_hash().hash(&mut key);
        key.0.finalize().into()
    }
}

/// The address that a contract is deployed at, WASM or its text form: the first bytes of the SHA-256 of its binary form.
///
/// # Errors
/// `InvalidArgument` for what is neither; nothing else of the contract is looked at.
pub fn contract_address(wasm_or_wat: &[u8]) -> Result<Address> {
    Ok(address(&Sha256::digest(binary(wasm_or_wat)?).into()))
}

fn address(hash: &CodeHash) -> Address {
    *hash.first_chunk().expect("a hash is longer than an address")
}

fn binary(source: &[u8]) -> Result<Cow<'_, [u8]>> {
    wat::parse_bytes(source)
        .map_err(|error| refused(format!("not WASM, and not its text form either: {error}")))
}

/// Feeds what only knows `Hash` into a sha256.
struct KeyHasher(Sha256);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        unreachable!("the whole hash is taken, not 64 bits of it")
    }
}
