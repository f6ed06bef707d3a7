//! What a host function can do while it runs.

use super::arguments;
use super::call::{self, Entry, Stop};
use super::frame::Frame;
use super::gas;
use super::trap::Trap;
use crate::layout::STATE_VALUE_BYTES_MAX;
use crate::state::ScanStep;
use supervm_plugin_sdk::host::{
    Address, CallOutcome, ContractCall, HostEnvironment, HostError, SCRATCH_SLOTS,
};
use supervm_plugin_sdk::{ByteBuf, CONTRACT_KEY_BYTES_MAX, Direction, Error};
use wasmtime::{Caller, Extern};

/// The export that hands out memory to the host.
const ALLOC: &str = "alloc";
/// Codes of the aborts that the engine itself raises.
const ABORT_NO_EXPORT: i32 = -1;
const ABORT_UNKNOWN_SCAN: i32 = -2;

/// One call of a host function.
pub(super) struct HostCall<'a> {
    caller: Caller<'a, Frame>,
    pack: usize,
    /// What ends the call whatever the host function makes of it: the contract's own code ended when the host function
    /// called it, or the storage failed.
    ended: Option<wasmtime::Error>,
}

impl<'a> HostCall<'a> {
    #[inline]
    pub(super) fn new(caller: Caller<'a, Frame>, pack: usize) -> Self {
        Self { caller, pack, ended: None }
    }

    /// Pays `gas`; `None` is more than any limit.
    #[inline]
    pub(super) fn pay(&mut self, gas: Option<u64>) -> Result<(), HostError> {
        let fuel = call::fuel(&self.caller);
        match gas.and_then(|gas| fuel.checked_sub(gas)).filter(|left| *left > 0) {
            Some(left) => {
                call::set_fuel(&mut self.caller, left);
                Ok(())
            }
            None => {
                // What is left is spent: a host function that goes on after the refusal cannot spend it on something else.
                call::set_fuel(&mut self.caller, 0);
                Err(HostError::OutOfGas)
            }
        }
    }

    #[inline]
    pub(super) fn is_read_only(&self) -> bool {
        self.caller.data().read_only
    }

    /// What ends the call whatever the host function returned.
    pub(super) fn ended(self) -> Option<wasmtime::Error> {
        self.ended
    }

    /// Ends the call with a failure of the storage.
    fn fail(&mut self, error: Error) -> HostError {
        self.ended = Some(wasmtime::Error::new(HostError::Storage(error)));
        HostError::Internal("the storage failed".to_owned())
    }

    fn refuse_writes(&self) -> Result<(), HostError> {
        if self.is_read_only() { Err(HostError::ReadOnlyCall) } else { Ok(()) }
    }

    fn address(&self) -> Address {
        self.caller.data().module.address()
    }

    /// Refuses to go on when the journal has outgrown its bound.
    fn check_journal(&mut self) -> Result<(), HostError> {
        let transaction = self.caller.data_mut().transaction();
        let most = transaction.runtime.config.journal_bytes_max;
        if transaction.journal.byte_len() as u64 > most.0 {
            return Err(HostError::LimitExceeded(format!(
                "a call reads and writes at most {most} of state"
            )));
        }
        Ok(())
    }

    /// Runs `call` on an instance of its own. The savepoint is the caller's.
    fn run_contract(&mut self, entry: Entry) -> Result<(CallOutcome, Vec<u8>), HostError> {
        let mut transaction = self.caller.data_mut().take_transaction();
        transaction.journal.savepoint();
        let (mut transaction, ending) = call::run(transaction, entry);
        let outcome = match ending.outcome {
            Ok(returned) => {
                transaction.journal.release();
                let result = returned.result;
                let output = returned.output.unwrap_or_else(|| arguments::pack(result));
                Ok((CallOutcome::Ok, output))
            }
            Err(stop) => {
                transaction.journal.rollback();
                match stop {
                    Stop::Trap(Trap::MissingExport { .. }) => {
                        Ok((CallOutcome::NotFound, Vec::new()))
                    }
                    Stop::Trap(_) => Ok((CallOutcome::Failed, Vec::new())),
                    Stop::Error(error) => Err(error),
                }
            }
        };
        self.caller.data_mut().return_transaction(transaction);
        self.pay(Some(ending.gas_used))?;
        outcome.map_err(|error| self.fail(error))
    }
}

impl HostEnvironment for HostCall<'_> {
    #[inline]
    fn memory(&mut self) -> &mut [u8] {
        match self.caller.data().memory {
            Some(memory) => memory.data_mut(&mut self.caller),
            None => &mut [],
        }
    }

    fn guest_alloc(&mut self, len: u32) -> Result<u32, HostError> {
        self.call_guest(ALLOC, &[u64::from(len)]).map(|ptr| ptr as u32)
    }

    fn call_guest(&mut self, function: &str, arguments: &[u64]) -> Result<u64, HostError> {
        self.pay(Some(gas::GUEST_CALL))?;
        let refused = |what: &str| HostError::Abort {
            code: ABORT_NO_EXPORT,
            message: format!("a host function called the contract's \"{function}\", {what}"),
        };
        let module = self.caller.data().module.clone();
        let export =
            module.0.exports.get(function).ok_or_else(|| refused("which it does not export"))?;
        let values = arguments::from_bits(arguments, &export.signature).ok_or_else(|| {
            refused(&format!("which takes other arguments: {}", export.signature))
        })?;
        let target = self.caller.get_module_export(&export.index).and_then(Extern::into_func);
        let target = target.ok_or_else(|| HostError::Internal("an export vanished".to_owned()))?;
        match call::invoke(&mut self.caller, &target, &values, export.signature.result) {
            Ok(result) => Ok(result.map_or(0, |(_, value)| value as u64)),
            Err(error) => {
                self.ended = Some(error);
                Err(HostError::Internal("the contract's code ended the call".to_owned()))
            }
        }
    }

    fn state_get(&mut self, key: &[u8], value: &mut ByteBuf) -> Result<bool, HostError> {
        check_key(key)?;
        let address = self.address();
        let journal = &mut self.caller.data_mut().transaction().journal;
        let found = journal.get(&address, key, value).map_err(|error| self.fail(error))?;
        self.check_journal()?;
        Ok(found)
    }

    fn state_set(&mut self, key: &[u8], value: &[u8]) -> Result<(), HostError> {
        self.refuse_writes()?;
        check_key(key)?;
        if value.len() > STATE_VALUE_BYTES_MAX {
            let what =
                format!("a value has {} bytes; at most {STATE_VALUE_BYTES_MAX}", value.len());
            return Err(HostError::LimitExceeded(what));
        }
        let address = self.address();
        self.caller.data_mut().transaction().journal.set(&address, key, value);
        self.check_journal()
    }

    fn state_delete(&mut self, key: &[u8]) -> Result<(), HostError> {
        self.refuse_writes()?;
        check_key(key)?;
        let address = self.address();
        self.caller.data_mut().transaction().journal.delete(&address, key);
        self.check_journal()
    }

    fn scan_open(
        &mut self,
        prefix: &[u8],
        direction: Direction,
        limit: u32,
    ) -> Result<u32, HostError> {
        if prefix.len() > CONTRACT_KEY_BYTES_MAX {
            return Err(key_length(prefix.len()));
        }
        let address = self.address();
        let frame = self.caller.data_mut();
        let free = frame.scans.iter().position(Option::is_none);
        let most = frame.transaction().runtime.config.scans_max;
        let index = free.unwrap_or(frame.scans.len());
        if index >= most as usize {
            let what = format!("a contract has at most {most} scans open");
            return Err(HostError::LimitExceeded(what));
        }
        let affordable = call::fuel(&self.caller) / gas::SCAN_PENDING_ENTRY;
        let journal = &mut self.caller.data_mut().transaction().journal;
        let merged = journal.writes_within(&address, prefix, affordable as usize + 1) as u64;
        self.pay(merged.checked_mul(gas::SCAN_PENDING_ENTRY))?;
        let frame = self.caller.data_mut();
        let scan = match frame.transaction().journal.scan(&address, prefix, direction, limit) {
            Ok(scan) => scan,
            Err(error) => return Err(self.fail(error)),
        };
        if index == frame.scans.len() {
            frame.scans.push(None);
        }
        frame.scans[index] = Some(scan);
        Ok(index as u32)
    }

    fn scan_next(
        &mut self,
        scan: u32,
        key: &mut ByteBuf,
        value: &mut ByteBuf,
    ) -> Result<bool, HostError> {
        loop {
            let frame = self.caller.data_mut();
            let mut open = take_scan(frame, scan)?;
            let step = frame.transaction().journal.scan_step(&mut open, key, value);
            frame.scans[scan as usize] = Some(open);
            match step.map_err(|error| self.fail(error))? {
                ScanStep::Removed(keys) => self.pay(keys.checked_mul(gas::SCAN_REMOVED_KEY))?,
                end => {
                    self.check_journal()?;
                    return Ok(end == ScanStep::Entry);
                }
            }
        }
    }

    fn scan_close(&mut self, scan: u32) -> Result<(), HostError> {
        take_scan(self.caller.data_mut(), scan).map(drop)
    }

    fn block_number(&mut self) -> u64 {
        self.caller.data_mut().transaction().block_number
    }

    fn timestamp(&mut self) -> u64 {
        self.caller.data_mut().transaction().timestamp
    }

    fn caller(&mut self) -> Address {
        self.caller.data().caller
    }

    fn self_address(&mut self) -> Address {
        self.address()
    }

    fn emit_event(&mut self, event: &[u8]) -> Result<(), HostError> {
        self.refuse_writes()?;
        let address = self.address();
        let transaction = self.caller.data_mut().transaction();
        let (config, journal) = (&transaction.runtime.config, &mut transaction.journal);
        if journal.events().len() >= config.events_max as usize {
            let what = format!("a call emits at most {} events", config.events_max);
            return Err(HostError::LimitExceeded(what));
        }
        if (journal.event_bytes() + event.len()) as u64 > config.event_bytes_max.0 {
            let what = format!("a call emits at most {} of events", config.event_bytes_max);
            return Err(HostError::LimitExceeded(what));
        }
        journal.emit(&address, event);
        Ok(())
    }

    fn event_count(&mut self) -> u32 {
        self.caller.data_mut().transaction().journal.events().len() as u32
    }

    fn event(&mut self, index: u32, event: &mut ByteBuf) -> bool {
        let events = self.caller.data_mut().transaction().journal.events();
        events.get(index as usize).inspect(|found| event.set(&found.data)).is_some()
    }

    fn input(&mut self, input: &mut ByteBuf) {
        input.set(&self.caller.data().input);
    }

    fn set_output(&mut self, output: &[u8]) -> Result<(), HostError> {
        let frame = self.caller.data_mut();
        let most = frame.transaction().runtime.config.output_bytes_max;
        if output.len() as u64 > most.0 {
            let what = format!("a contract's output has at most {most}");
            return Err(HostError::LimitExceeded(what));
        }
        frame.output = Some(output.to_vec());
        Ok(())
    }

    fn call_contract(
        &mut self,
        call: ContractCall<'_>,
        output: &mut ByteBuf,
    ) -> Result<CallOutcome, HostError> {
        output.clear();
        let gas_left = self.gas_remaining();
        let caller = self.address();
        let frame = self.caller.data_mut();
        let read_only = frame.read_only;
        let transaction = frame.transaction();
        let config = &transaction.runtime.config;
        if call.input.len() as u64 > config.input_bytes_max.0 {
            let what = format!("a contract's input has at most {}", config.input_bytes_max);
            return Err(HostError::LimitExceeded(what));
        }
        if transaction.running.len() >= config.call_depth_max as usize {
            return Ok(CallOutcome::TooDeep);
        }
        if transaction.running.contains(call.address) {
            return Ok(CallOutcome::Failed);
        }
        let runtime = std::sync::Arc::clone(&transaction.runtime);
        let module = transaction.called.find(call.address, &runtime);
        let module = match module {
            Ok(Some(module)) => module,
            Ok(None) => return Ok(CallOutcome::NotFound),
            Err(error) => return Err(self.fail(error)),
        };
        let Some(export) = module.0.exports.get(call.function) else {
            return Ok(CallOutcome::NotFound);
        };
        let Ok(values) = arguments::unpack(call.input, &export.signature) else {
            return Ok(CallOutcome::Failed);
        };
        let (outcome, bytes) = self.run_contract(Entry {
            module: module.clone(),
            function: call.function.to_owned(),
            caller,
            values,
            input: call.input.to_vec(),
            gas_limit: call.gas.min(gas_left),
            read_only,
        })?;
        output.set(&bytes);
        Ok(outcome)
    }

    fn charge(&mut self, gas: u64) -> Result<(), HostError> {
        self.pay(Some(gas))
    }

    fn gas_remaining(&mut self) -> u64 {
        call::fuel(&self.caller).saturating_sub(1)
    }

    fn scratch(&mut self, slot: u32) -> &mut ByteBuf {
        let pack = self.pack;
        assert!((slot as usize) < SCRATCH_SLOTS, "a pack has {SCRATCH_SLOTS} scratch slots");
        self.caller.data_mut().scratch(pack, slot as usize)
    }
}

fn take_scan(frame: &mut Frame, scan: u32) -> Result<crate::state::Scan, HostError> {
    let open = frame.scans.get_mut(scan as usize).and_then(Option::take);
    open.ok_or_else(|| HostError::Abort {
        code: ABORT_UNKNOWN_SCAN,
        message: format!("scan {scan} is not open"),
    })
}

fn check_key(key: &[u8]) -> Result<(), HostError> {
    if (1..=CONTRACT_KEY_BYTES_MAX).contains(&key.len()) {
        Ok(())
    } else {
        Err(key_length(key.len()))
    }
}

fn key_length(found: usize) -> HostError {
    let what = format!("a key has {found} bytes; 1 to {CONTRACT_KEY_BYTES_MAX} are accepted");
    HostError::LimitExceeded(what)
}
