//! The host-pack contract: functions that contracts import.
//!
//! A pack is a table of [`HostFunction`]s in one import module. The engine reads the table once: it links the functions,
//! charges their gas before each call, refuses a write in a read-only call, and hashes the whole into the gas schedule. The
//! functions themselves are safe Rust over a [`HostContext`].

use crate::abi::host::RawHostContext;
use crate::{ByteBuf, Direction, Error};
use std::fmt;

/// Bytes of an account's or contract's address.
pub const ADDRESS_BYTES: usize = 20;
/// An account's or contract's address.
pub type Address = [u8; ADDRESS_BYTES];

/// The type of a parameter or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// 32 bits; pointers and lengths are unsigned.
    I32 = 1,
    /// 64 bits.
    I64 = 2,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
        })
    }
}

/// What a function does to contract state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StateAccess {
    /// Neither reads nor writes it.
    None = 0,
    /// Reads it.
    Read = 1,
    /// Changes it, emits an event, or calls another contract; refused in a read-only call.
    Write = 2,
}

/// A named parameter. A name that ends in `_ptr` is a pointer into guest memory; a `_len` of the same stem is its length.
pub type Parameter = (&'static str, ValueType);

/// One function of a pack: its type, its price, what it does to state, and its body.
///
/// # Examples
/// ```
/// use supervm_plugin_sdk::prelude::*;
/// const BLOCK_NUMBER: HostFunction = HostFunction::new("block_number", &[], Some(ValueType::I64))
///     .gas(10)
///     .body(|context, _| Ok(HostValue::I64(context.block_number() as i64)));
/// assert_eq!(BLOCK_NUMBER.name, "block_number");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct HostFunction {
    /// The name that contracts import.
    pub name: &'static str,
    /// The parameters, in order.
    pub params: &'static [Parameter],
    /// The result's type.
    pub result: Option<ValueType>,
    /// Gas charged for each call.
    pub gas_base: u64,
    /// Gas charged for each unit of [`gas_length`](Self::gas_length).
    pub gas_per_byte: u64,
    /// The length parameters, by name, whose sum is charged with [`gas_per_byte`](Self::gas_per_byte).
    pub gas_length: &'static [&'static str],
    /// What it does to contract state.
    pub state: StateAccess,
    /// One sentence for the contract author.
    pub doc: &'static str,
    pub(crate) body: Body,
}

/// The body of a [`HostFunction`].
pub type Body = fn(&mut HostContext<'_>, Arguments<'_>) -> Result<HostValue, HostError>;

impl HostFunction {
    /// A function that costs nothing, touches no state, and aborts until [`body`](Self::body) gives it one.
    pub const fn new(
        name: &'static str,
        params: &'static [Parameter],
        result: Option<ValueType>,
    ) -> Self {
        Self {
            name,
            params,
            result,
            gas_base: 0,
            gas_per_byte: 0,
            gas_length: &[],
            state: StateAccess::None,
            doc: "",
            body: |_, _| Err(HostError::Internal("the function has no body".into())),
        }
    }

    /// Charges `base` gas for each call.
    #[must_use]
    pub const fn gas(mut self, base: u64) -> Self {
        self.gas_base = base;
        self
    }

    /// Charges `per_byte` gas for each unit of the named length parameters.
    #[must_use]
    pub const fn gas_per_byte(mut self, per_byte: u64, lengths: &'static [&'static str]) -> Self {
        self.gas_per_byte = per_byte;
        self.gas_length = lengths;
        self
    }

    /// States what it does to contract state.
    #[must_use]
    pub const fn state(mut self, state: StateAccess) -> Self {
        self.state = state;
        self
    }

    /// One sentence for the contract author.
    #[must_use]
    pub const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// What it does.
    #[must_use]
    pub const fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

/// A host pack: a named set of functions in one import module.
pub trait HostPack: 'static {
    /// The import module that contracts name, such as `storage_api`.
    const MODULE: &'static str;
    /// Do the same inputs give the same results on every node? A consensus profile refuses a pack that does not say so.
    const DETERMINISTIC: bool;

    /// The table of functions.
    fn functions() -> &'static [HostFunction];
}

/// The arguments of a call, in the order of the parameters.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a>(pub(crate) &'a [u64]);

impl Arguments<'_> {
    /// Argument `index` as 32 bits, signed.
    ///
    /// # Panics
    /// When there is no such parameter: a defect of the pack, contained at the boundary.
    #[inline]
    pub fn i32(&self, index: usize) -> i32 {
        self.0[index] as u32 as i32
    }

    /// Argument `index` as 32 bits, unsigned: a pointer or a length.
    ///
    /// # Panics
    /// As [`i32`](Self::i32).
    #[inline]
    pub fn u32(&self, index: usize) -> u32 {
        self.0[index] as u32
    }

    /// Argument `index` as 64 bits, signed.
    ///
    /// # Panics
    /// As [`i32`](Self::i32).
    #[inline]
    pub fn i64(&self, index: usize) -> i64 {
        self.0[index] as i64
    }
}

/// What a host function returns; its type is the one that the table states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostValue {
    /// No result.
    None,
    /// A 32-bit result.
    I32(i32),
    /// A 64-bit result.
    I64(i64),
}

impl HostValue {
    pub(crate) fn to_bits(self) -> u64 {
        match self {
            Self::None => 0,
            Self::I32(value) => u64::from(value as u32),
            Self::I64(value) => value as u64,
        }
    }

    pub(crate) fn value_type(self) -> Option<ValueType> {
        match self {
            Self::None => None,
            Self::I32(_) => Some(ValueType::I32),
            Self::I64(_) => Some(ValueType::I64),
        }
    }
}

/// Why a host function ends the call. Each becomes the trap of the same name.
#[derive(Debug)]
#[non_exhaustive]
pub enum HostError {
    /// `[ptr, ptr + len)` is not inside guest memory.
    OutOfBounds {
        /// Where the access begins.
        ptr: u32,
        /// How many bytes it has.
        len: u32,
    },
    /// The call's gas is used up.
    OutOfGas,
    /// A write in a read-only call.
    ReadOnlyCall,
    /// A bound of the call is exceeded: events, event bytes, key or value size, call depth, open scans.
    LimitExceeded(String),
    /// The contract or the pack gave up, with a code of its own.
    Abort {
        /// The code.
        code: i32,
        /// What the contract's author should read.
        message: String,
    },
    /// The storage beneath failed; the call ends and the node must not go on with the block.
    Storage(Error),
    /// A defect in the engine or the pack; a caught panic ends here.
    Internal(String),
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfBounds { ptr, len } => {
                write!(f, "access of {len} bytes at {ptr} is outside of the contract's memory")
            }
            Self::OutOfGas => f.write_str("out of gas"),
            Self::ReadOnlyCall => f.write_str("write in a read-only call"),
            Self::LimitExceeded(what) => write!(f, "limit exceeded: {what}"),
            Self::Abort { code, message } => write!(f, "aborted with code {code}: {message}"),
            Self::Storage(error) => write!(f, "storage failed: {error}"),
            Self::Internal(what) => write!(f, "internal error: {what}"),
        }
    }
}

impl std::error::Error for HostError {}

impl From<Error> for HostError {
    fn from(error: Error) -> Self {
        Self::Storage(error)
    }
}

/// How a call to another contract ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CallOutcome {
    /// It returned; its changes are part of the calling contract's.
    Ok = 0,
    /// It trapped or aborted; its changes and events are gone.
    Failed = 1,
    /// No contract has this address, or it has no such function.
    NotFound = 2,
    /// The call depth's limit is reached.
    TooDeep = 3,
}

/// What the engine provides to a running call; the host's side of [`HostContext`].
///
/// State is always the journaled view of the running call, never the backend.
pub trait HostEnvironment {
    /// The contract's linear memory.
    fn memory(&mut self) -> &mut [u8];
    /// As [`HostContext::guest_alloc`].
    fn guest_alloc(&mut self, len: u32) -> Result<u32, HostError>;
    /// As [`HostContext::call_guest`].
    fn call_guest(&mut self, function: &str, arguments: &[u64]) -> Result<u64, HostError>;
    /// As [`HostContext::state_get`].
    fn state_get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool, HostError>;
    /// As [`HostContext::state_set`].
    fn state_set(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError>;
    /// As [`HostContext::state_delete`].
    fn state_delete(&mut self, key: &[u8]) -> Result<(), HostError>;
    /// As [`HostContext::scan_open`].
    fn scan_open(
        &mut self,
        prefix: &[u8],
        direction: Direction,
        limit: u32,
    ) -> Result<u32, HostError>;
    /// As [`HostContext::scan_next`].
    fn scan_next(
        &mut self,
        scan: u32,
        key: &mut ByteBuf,
        value: &mut ByteBuf,
    ) -> Result<bool, HostError>;
    /// As [`HostContext::scan_close`].
    fn scan_close(&mut self, scan: u32) -> Result<(), HostError>;
    /// As [`HostContext::block_number`].
    fn block_number(&mut self) -> u64;
    /// As [`HostContext::timestamp`].
    fn timestamp(&mut self) -> u64;
    /// As [`HostContext::caller`].
    fn caller(&mut self) -> Address;
    /// As [`HostContext::self_address`].
    fn self_address(&mut self) -> Address;
    /// As [`HostContext::emit_event`].
    fn emit_event(&mut self, event: &[u8]) -> Result<(), HostError>;
    /// As [`HostContext::event_count`].
    fn event_count(&mut self) -> u32;
    /// As [`HostContext::event`].
    fn event(&mut self, index: u32, event: &mut ByteBuf) -> bool;
    /// As [`HostContext::input`].
    fn input(&mut self, input: &mut ByteBuf);
    /// As [`HostContext::set_output`].
    fn set_output(&mut self, output: &[u8]) -> Result<(), HostError>;
    /// As [`HostContext::call_contract`].
    fn call_contract(
        &mut self,
        call: ContractCall<'_>,
        output: &mut ByteBuf,
    ) -> Result<CallOutcome, HostError>;
    /// As [`HostContext::charge`].
    fn charge(&mut self, gas: u64) -> Result<(), HostError>;
    /// As [`HostContext::gas_remaining`].
    fn gas_remaining(&mut self) -> u64;
    /// As [`HostContext::scratch`].
    fn scratch(&mut self, slot: u32) -> &mut ByteBuf;
}

/// A call from one contract to another.
#[derive(Debug, Clone, Copy)]
pub struct ContractCall<'a> {
    /// The contract to call.
    pub address: &'a Address,
    /// The exported function.
    pub function: &'a str,
    /// Its input; for a typed export the arguments, little-endian, packed.
    pub input: &'a [u8],
    /// The most gas it may use; the calling contract's remaining gas bounds it.
    pub gas: u64,
}

/// A running call, as a host function sees it.
///
/// Guest memory is read through a shared borrow and written through an exclusive one, so a slice of guest memory can be used
/// as a key without a copy and can never be changed beneath its reader.
#[derive(Debug)]
#[repr(transparent)]
pub struct HostContext<'a>(pub(crate) RawHostContext<'a>);

impl HostContext<'_> {
    /// The bytes `[ptr, ptr + len)` of guest memory.
    ///
    /// # Errors
    /// `OutOfBounds`; overflow of `ptr + len` included.
    #[inline]
    pub fn read(&self, ptr: u32, len: u32) -> Result<&[u8], HostError> {
        let start = ptr as usize;
        self.0.memory().get(start..start + len as usize).ok_or(HostError::OutOfBounds { ptr, len })
    }

    /// Copies `bytes` to guest memory at `ptr`.
    ///
    /// # Errors
    /// `OutOfBounds`; nothing is written then.
    #[inline]
    pub fn write(&mut self, ptr: u32, bytes: &[u8]) -> Result<(), HostError> {
        let (start, len) = (ptr as usize, bytes.len());
        let refused = HostError::OutOfBounds { ptr, len: u32::try_from(len).unwrap_or(u32::MAX) };
        let target = self.0.memory_mut().get_mut(start..start + len).ok_or(refused)?;
        target.copy_from_slice(bytes);
        Ok(())
    }

    /// Asks the contract's exported `alloc(len: i32) -> i32` for `len` bytes of its memory.
    ///
    /// # Errors
    /// `Abort` when the contract exports no `alloc`; whatever the guest's code ends with.
    pub fn guest_alloc(&mut self, len: u32) -> Result<u32, HostError> {
        self.0.guest_alloc(len)
    }

    /// Calls an export of the running contract and returns its result's bits, 0 without one.
    ///
    /// # Errors
    /// `Abort` when there is no such export or the arguments do not fit; whatever the guest's code ends with.
    pub fn call_guest(&mut self, function: &str, arguments: &[u64]) -> Result<u64, HostError> {
        self.0.call_guest(function, arguments)
    }

    /// Copies the value of `key` into `value`; `false` when the key is absent.
    ///
    /// # Errors
    /// `LimitExceeded` for a key outside `1..=`[`CONTRACT_KEY_BYTES_MAX`](crate::CONTRACT_KEY_BYTES_MAX) bytes; `Storage`.
    pub fn state_get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool, HostError> {
        self.0.state_get(key, value)
    }

    /// Sets `key` to `value` in the call's journal.
    ///
    /// # Errors
    /// `LimitExceeded` for a key or value outside its bounds; `ReadOnlyCall`.
    pub fn state_set(&self, key: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.0.state_set(key, value)
    }

    /// Removes `key` in the call's journal; no effect when it is absent.
    ///
    /// # Errors
    /// As [`state_set`](Self::state_set).
    pub fn state_delete(&self, key: &[u8]) -> Result<(), HostError> {
        self.0.state_delete(key)
    }

    /// Opens a scan over the contract's keys with `prefix`, at most `limit` of them (0 = as many as there are).
    ///
    /// The scan sees the call's own writes up to this moment. It ends with the call.
    ///
    /// # Errors
    /// `LimitExceeded` when too many scans are open; `Storage`.
    pub fn scan_open(
        &self,
        prefix: &[u8],
        direction: Direction,
        limit: u32,
    ) -> Result<u32, HostError> {
        self.0.scan_open(prefix, direction, limit)
    }

    /// Copies the next entry of `scan`; `false` at its end.
    ///
    /// # Errors
    /// `Abort` for an unknown scan; `Storage`.
    pub fn scan_next(
        &self,
        scan: u32,
        key: &mut ByteBuf,
        value: &mut ByteBuf,
    ) -> Result<bool, HostError> {
        self.0.scan_next(scan, key, value)
    }

    /// Ends `scan`.
    ///
    /// # Errors
    /// `Abort` for an unknown scan.
    pub fn scan_close(&self, scan: u32) -> Result<(), HostError> {
        self.0.scan_close(scan)
    }

    /// The number of the block that the call is part of.
    pub fn block_number(&self) -> u64 {
        self.0.block_number()
    }

    /// The block's time, seconds since 1970-01-01 UTC.
    pub fn timestamp(&self) -> u64 {
        self.0.timestamp()
    }

    /// Who called: an account, or the calling contract.
    pub fn caller(&self) -> Address {
        self.0.caller()
    }

    /// The running contract's own address.
    pub fn self_address(&self) -> Address {
        self.0.self_address()
    }

    /// Appends an event to the call's journal.
    ///
    /// # Errors
    /// `LimitExceeded` past the number or the bytes of events a call may emit; `ReadOnlyCall`.
    pub fn emit_event(&self, event: &[u8]) -> Result<(), HostError> {
        self.0.emit_event(event)
    }

    /// The number of events that the transaction has emitted so far.
    pub fn event_count(&self) -> u32 {
        self.0.event_count()
    }

    /// Copies event `index` into `event`; `false` when there is none.
    pub fn event(&self, index: u32, event: &mut ByteBuf) -> bool {
        self.0.event(index, event)
    }

    /// Copies the call's input into `input`.
    pub fn input(&self, input: &mut ByteBuf) {
        self.0.input(input);
    }

    /// Sets the call's output; a later one replaces it.
    ///
    /// # Errors
    /// `LimitExceeded` past the bytes an output may have.
    pub fn set_output(&self, output: &[u8]) -> Result<(), HostError> {
        self.0.set_output(output)
    }

    /// Calls another contract within a savepoint of its own and copies its output into `output`.
    ///
    /// # Errors
    /// `OutOfGas` when the calling contract cannot pay; `Storage`. A callee's trap is [`CallOutcome::Failed`], not an error.
    pub fn call_contract(
        &mut self,
        call: ContractCall<'_>,
        output: &mut ByteBuf,
    ) -> Result<CallOutcome, HostError> {
        self.0.call_contract(call, output)
    }

    /// Charges gas for what depends on data; the base and per-byte price is charged before the function runs.
    ///
    /// # Errors
    /// `OutOfGas`.
    pub fn charge(&self, gas: u64) -> Result<(), HostError> {
        self.0.charge(gas)
    }

    /// Gas that the call has left.
    pub fn gas_remaining(&self) -> u64 {
        self.0.gas_remaining()
    }

    /// A buffer of the pack's own that lives as long as the call; `slot` is at most 15.
    ///
    /// # Panics
    /// For a slot above 15: a defect of the pack, contained at the boundary.
    pub fn scratch(&mut self, slot: u32) -> &mut ByteBuf {
        self.0.scratch(slot)
    }
}

/// Scratch buffers of a call.
pub const SCRATCH_SLOTS: usize = 16;
