//! A running call whose memory, state, events and callee are plain values.

use std::collections::{BTreeMap, VecDeque};
use supervm_plugin_sdk::host::{
    ADDRESS_BYTES, Address, CallOutcome, ContractCall, HostEnvironment, HostError, SCRATCH_SLOTS,
    StateAccess,
};
use supervm_plugin_sdk::{ByteBuf, CONTRACT_KEY_BYTES_MAX, Direction};

/// Entries of a scan that are still to come.
type Entries = VecDeque<(Vec<u8>, Vec<u8>)>;

/// A running call whose memory, state, events and callee are plain values.
///
/// The contract exports no functions: `guest_alloc` and `call_guest` end the call.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The contract's linear memory.
    pub memory: Vec<u8>,
    /// The contract's state.
    pub state: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The events of the transaction.
    pub events: Vec<Vec<u8>>,
    /// The call's input.
    pub input: Vec<u8>,
    /// The call's output.
    pub output: Vec<u8>,
    /// The calls to other contracts: address, function, input, gas.
    pub calls: Vec<(Address, String, Vec<u8>, u64)>,
    /// How a call to another contract ends, and its output. Default: it returns nothing.
    pub callee: (CallOutcome, Vec<u8>),
    /// The number of the block. Default: 1.
    pub block_number: u64,
    /// The block's time, seconds since 1970-01-01 UTC. Default: 1.
    pub timestamp: u64,
    /// Are writes refused? Default: no.
    pub read_only: bool,
    /// Gas that the call may use. Default: no bound.
    pub gas_limit: u64,
    /// Gas that the call has used.
    pub gas_used: u64,
    /// The most that was done to state.
    pub(super) touched: StateAccess,
    scans: Vec<Option<Entries>>,
    scratch: [ByteBuf; SCRATCH_SLOTS],
}

impl Environment {
    /// A call with `memory` and nothing else.
    pub fn with_memory(memory: impl Into<Vec<u8>>) -> Self {
        Self {
            memory: memory.into(),
            state: BTreeMap::new(),
            events: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
            calls: Vec::new(),
            callee: (CallOutcome::Ok, Vec::new()),
            block_number: 1,
            timestamp: 1,
            read_only: false,
            gas_limit: u64::MAX,
            gas_used: 0,
            touched: StateAccess::None,
            scans: Vec::new(),
            scratch: std::array::from_fn(|_| ByteBuf::new()),
        }
    }

    /// Uses `gas` up.
    pub(super) fn spend(&mut self, gas: u64) -> Result<(), HostError> {
        let left = self.gas_limit.saturating_sub(self.gas_used);
        self.gas_used += gas.min(left);
        if gas > left { Err(HostError::OutOfGas) } else { Ok(()) }
    }

    /// Is everything that a contract or the chain could see, gas aside, the same?
    pub(super) fn is_same_but_gas(&self, other: &Self) -> bool {
        self.memory == other.memory
            && self.state == other.state
            && self.events == other.events
            && self.output == other.output
            && self.calls == other.calls
            && self.scans == other.scans
    }

    fn touch(&mut self, access: StateAccess) {
        if access as u8 > self.touched as u8 {
            self.touched = access;
        }
    }

    fn write(&mut self) -> Result<(), HostError> {
        self.touch(StateAccess::Write);
        if self.read_only { Err(HostError::ReadOnlyCall) } else { Ok(()) }
    }

    fn scan(&mut self, scan: u32) -> Result<&mut Option<Entries>, HostError> {
        self.touch(StateAccess::Read);
        let open = self.scans.get_mut(scan as usize).filter(|entries| entries.is_some());
        open.ok_or(HostError::Abort { code: -1, message: format!("no scan {scan} is open") })
    }
}

fn check_key(key: &[u8]) -> Result<(), HostError> {
    if (1..=CONTRACT_KEY_BYTES_MAX).contains(&key.len()) {
        return Ok(());
    }
    Err(HostError::LimitExceeded(format!("a key of {} bytes", key.len())))
}

impl HostEnvironment for Environment {
    fn memory(&mut self) -> &mut [u8] {
        &mut self.memory
    }

    fn guest_alloc(&mut self, _: u32) -> Result<u32, HostError> {
        Err(HostError::Abort { code: -1, message: "the contract exports no alloc".into() })
    }

    fn call_guest(&mut self, function: &str, _: &[u64]) -> Result<u64, HostError> {
        Err(HostError::Abort { code: -1, message: format!("the contract exports no {function}") })
    }

    fn state_get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool, HostError> {
        self.touch(StateAccess::Read);
        check_key(key)?;
        Ok(self.state.get(key).inspect(|found| value.set(found)).is_some())
    }

    fn state_set(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.write()?;
        check_key(key)?;
        self.state.insert(key.into(), value.into());
        Ok(())
    }

    fn state_delete(&mut self, key: &[u8]) -> Result<(), HostError> {
        self.write()?;
        check_key(key)?;
        self.state.remove(key);
        Ok(())
    }

    fn scan_open(
        &mut self,
        prefix: &[u8],
        direction: Direction,
        limit: u32,
    ) -> Result<u32, HostError> {
        self.touch(StateAccess::Read);
        let limit = if limit == 0 { usize::MAX } else { limit as usize };
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        let within = self.state.iter().filter(|(key, _)| key.starts_with(prefix));
        let entries = match direction {
            Direction::Forward => within.take(limit).map(owned).collect(),
            Direction::Reverse => within.rev().take(limit).map(owned).collect(),
        };
        self.scans.push(Some(entries));
        Ok(self.scans.len() as u32 - 1)
    }

    fn scan_next(
        &mut self,
        scan: u32,
        key: &mut ByteBuf,
        value: &mut ByteBuf,
    ) -> Result<bool, HostError> {
        let entry = self.scan(scan)?.as_mut().and_then(VecDeque::pop_front);
        if let Some((found_key, found_value)) = &entry {
            key.set(found_key);
            value.set(found_value);
        }
        Ok(entry.is_some())
    }

    fn scan_close(&mut self, scan: u32) -> Result<(), HostError> {
        *self.scan(scan)? = None;
        Ok(())
    }

    fn block_number(&mut self) -> u64 {
        self.block_number
    }

    fn timestamp(&mut self) -> u64 {
        self.timestamp
    }

    fn caller(&mut self) -> Address {
        [0xca; ADDRESS_BYTES]
    }

    fn self_address(&mut self) -> Address {
        [0x5e; ADDRESS_BYTES]
    }

    fn emit_event(&mut self, event: &[u8]) -> Result<(), HostError> {
        self.write()?;
        self.events.push(event.into());
        Ok(())
    }

    fn event_count(&mut self) -> u32 {
        self.events.len() as u32
    }

    fn event(&mut self, index: u32, event: &mut ByteBuf) -> bool {
        self.events.get(index as usize).inspect(|found| event.set(found)).is_some()
    }

    fn input(&mut self, input: &mut ByteBuf) {
        input.set(&self.input);
    }

    fn set_output(&mut self, output: &[u8]) -> Result<(), HostError> {
        self.output = output.into();
        Ok(())
    }

    fn call_contract(
        &mut self,
        call: ContractCall<'_>,
        output: &mut ByteBuf,
    ) -> Result<CallOutcome, HostError> {
        self.touch(StateAccess::Read);
        self.calls.push((*call.address, call.function.into(), call.input.into(), call.gas));
        output.set(&self.callee.1);
        Ok(self.callee.0)
    }

    fn charge(&mut self, gas: u64) -> Result<(), HostError> {
        self.spend(gas)
    }

    fn gas_remaining(&mut self) -> u64 {
        self.gas_limit.saturating_sub(self.gas_used)
    }

    fn scratch(&mut self, slot: u32) -> &mut ByteBuf {
        &mut self.scratch[slot as usize]
    }
}
