//! What the engine provides to a running call.

use super::{Address, HostError};
use crate::{ByteBuf, Direction};

/// Scratch buffers of a call.
pub const SCRATCH_SLOTS: usize = 16;

/// What the engine provides to a running call; the host's side of [`HostContext`](super::HostContext).
///
/// State is always the journaled view of the running call, never the backend.
pub trait HostEnvironment {
    /// The contract's linear memory.
    fn memory(&mut self) -> &mut [u8];
    /// As [`HostContext::guest_alloc`](super::HostContext::guest_alloc).
    fn guest_alloc(&mut self, len: u32) -> Result<u32, HostError>;
    /// As [`HostContext::call_guest`](super::HostContext::call_guest).
    fn call_guest(&mut self, function: &str, arguments: &[u64]) -> Result<u64, HostError>;
    /// As [`HostContext::state_get`](super::HostContext::state_get).
    fn state_get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool, HostError>;
    /// As [`HostContext::state_set`](super::HostContext::state_set).
    fn state_set(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError>;
    /// As [`HostContext::state_delete`](super::HostContext::state_delete).
    fn state_delete(&mut self, key: &[u8]) -> Result<(), HostError>;
    /// As [`HostContext::scan_open`](super::HostContext::scan_open).
    fn scan_open(
        &mut self,
        prefix: &[u8],
        direction: Direction,
        limit: u32,
    ) -> Result<u32, HostError>;
    /// As [`HostContext::scan_next`](super::HostContext::scan_next).
    fn scan_next(
        &mut self,
        scan: u32,
        key: &mut ByteBuf,
        value: &mut ByteBuf,
    ) -> Result<bool, HostError>;
    /// As [`HostContext::scan_close`](super::HostContext::scan_close).
    fn scan_close(&mut self, scan: u32) -> Result<(), HostError>;
    /// As [`HostContext::block_number`](super::HostContext::block_number).
    fn block_number(&mut self) -> u64;
    /// As [`HostContext::timestamp`](super::HostContext::timestamp).
    fn timestamp(&mut self) -> u64;
    /// As [`HostContext::caller`](super::HostContext::caller).
    fn caller(&mut self) -> Address;
    /// As [`HostContext::self_address`](super::HostContext::self_address).
    fn self_address(&mut self) -> Address;
    /// As [`HostContext::emit_event`](super::HostContext::emit_event).
    fn emit_event(&mut self, event: &[u8]) -> Result<(), HostError>;
    /// As [`HostContext::event_count`](super::HostContext::event_count).
    fn event_count(&mut self) -> u32;
    /// As [`HostContext::event`](super::HostContext::event).
    fn event(&mut self, index: u32, event: &mut ByteBuf) -> bool;
    /// As [`HostContext::input`](super::HostContext::input).
    fn input(&mut self, input: &mut ByteBuf);
    /// As [`HostContext::set_output`](super::HostContext::set_output).
    fn set_output(&mut self, output: &[u8]) -> Result<(), HostError>;
    /// As [`HostContext::call_contract`](super::HostContext::call_contract).
    fn call_contract(
        &mut self,
        call: ContractCall<'_>,
        output: &mut ByteBuf,
    ) -> Result<CallOutcome, HostError>;
    /// As [`HostContext::charge`](super::HostContext::charge).
    fn charge(&mut self, gas: u64) -> Result<(), HostError>;
    /// As [`HostContext::gas_remaining`](super::HostContext::gas_remaining).
    fn gas_remaining(&mut self) -> u64;
    /// As [`HostContext::scratch`](super::HostContext::scratch).
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
