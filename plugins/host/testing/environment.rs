//! A running call's environment in memory.

use std::collections::{BTreeMap, VecDeque};
use supervm_plugin_sdk::host::{
    Address, CallOutcome, ContractCall, HostEnvironment, HostError, SCRATCH_SLOTS,
};
use supervm_plugin_sdk::{ByteBuf, CONTRACT_KEY_BYTES_MAX, Direction};

/// Entries of a scan that are still to come.
type Entries = VecDeque<(Vec<u8>, Vec<u8>)>;

/// A call of a contract whose state, events and callee are plain values.
#[derive(Debug, Clone)]
pub(crate) struct Environment {
    pub(crate) memory: Vec<u8>,
    pub(crate) state: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) events: Vec<Vec<u8>>,
    pub(crate) input: Vec<u8>,
    pub(crate) output: Vec<u8>,
    /// How often the pack asked for the input.
    pub(crate) input_copies: u32,
    /// The calls to other contracts: address, function, input, gas.
    pub(crate) calls: Vec<(Address, String, Vec<u8>, u64)>,
    /// How a call to another contract ends, and what it leaves as output.
    pub(crate) callee: (CallOutcome, Vec<u8>),
    pub(crate) read_only: bool,
    pub(crate) gas_limit: u64,
    pub(crate) gas_used: u64,
    scans: Vec<Option<Entries>>,
    scratch: [ByteBuf; SCRATCH_SLOTS],
}

impl Environment {
    /// A call with `memory` and nothing else.
    pub(crate) fn with_memory(memory: impl Into<Vec<u8>>) -> Self {
        Self {
            memory: memory.into(),
            state: BTreeMap::new(),
            events: Vec::new(),
            input: Vec::new(),
            output: Vec::new(),
            input_copies: 0,
            calls: Vec::new(),
            callee: (CallOutcome::Ok, Vec::new()),
            read_only: false,
            gas_limit: u64::MAX,
            gas_used: 0,
            scans: Vec::new(),
            scratch: std::array::from_fn(|_| ByteBuf::new()),
        }
    }

    /// Uses `gas` up.
    pub(crate) fn spend(&mut self, gas: u64) -> Result<(), HostError> {
        if gas > self.gas_limit - self.gas_used {
            self.gas_used = self.gas_limit;
            return Err(HostError::OutOfGas);
        }
        self.gas_used += gas;
        Ok(())
    }

    /// Is everything that a contract or the chain could see, gas aside, the same?
    pub(crate) fn is_same_but_gas(&self, other: &Self) -> bool {
        self.memory == other.memory
            && self.state == other.state
            && self.events == other.events
            && self.output == other.output
            && self.calls == other.calls
            && self.scans == other.scans
    }

    fn writable(&self) -> Result<(), HostError> {
        if self.read_only { Err(HostError::ReadOnlyCall) } else { Ok(()) }
    }

    fn scan(&mut self, scan: u32) -> Result<&mut Option<Entries>, HostError> {
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
        Err(HostError::Abort { code: -1, message: "the contract has no alloc".into() })
    }

    fn call_guest(&mut self, function: &str, _: &[u64]) -> Result<u64, HostError> {
        Err(HostError::Abort { code: -1, message: format!("the contract has no {function}") })
    }

    fn state_get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool, HostError> {
        check_key(key)?;
        Ok(self.state.get(key).inspect(|found| value.set(found)).is_some())
    }

    fn state_set(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.writable()?;
        check_key(key)?;
        self.state.insert(key.into(), value.into());
        Ok(())
    }

    fn state_delete(&mut self, key: &[u8]) -> Result<(), HostError> {
        self.writable()?;
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
        12_345
    }

    fn timestamp(&mut self) -> u64 {
        1_704_067_200
    }

    fn caller(&mut self) -> Address {
        [0xca; 20]
    }

    fn self_address(&mut self) -> Address {
        [0x5e; 20]
    }

    fn emit_event(&mut self, event: &[u8]) -> Result<(), HostError> {
        self.writable()?;
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
        self.input_copies += 1;
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
        self.writable()?;
        self.calls.push((*call.address, call.function.into(), call.input.into(), call.gas));
        output.set(&self.callee.1);
        Ok(self.callee.0)
    }

    fn charge(&mut self, gas: u64) -> Result<(), HostError> {
        self.spend(gas)
    }

    fn gas_remaining(&mut self) -> u64 {
        self.gas_limit - self.gas_used
    }

    fn scratch(&mut self, slot: u32) -> &mut ByteBuf {
        &mut self.scratch[slot as usize]
    }
}
