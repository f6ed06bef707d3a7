//! A running call, as a host function sees it.

use super::{Address, CallOutcome, ContractCall, HostError};
use crate::abi::host::RawHostContext;
use crate::{ByteBuf, Direction};

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
