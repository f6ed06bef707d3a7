//! Host functions and the running call's context, as they cross the boundary.
//!
//! The direction is the other way round: the host exports the context's functions, the pack calls them.

use super::bytes::ByteBuf;
use super::error::{AbiHostError, HostResult};
use super::panic_message;
use crate::Direction;
#[cfg(feature = "host")]
use crate::host::HostEnvironment;
use crate::host::{
    Address, Arguments, CallOutcome, ContractCall, HostContext, HostError, HostFunction,
};
use abi_stable::StableAbi;
#[cfg(feature = "host")]
use abi_stable::prefix_type::WithMetadata;
#[cfg(feature = "host")]
use abi_stable::staticref;
use abi_stable::std_types::{RResult, RSlice, RStr, RString, RVec, Tuple2};
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One row of a pack's table.
#[repr(C)]
#[derive(StableAbi, Debug, Clone)]
pub struct FunctionRecord {
    pub name: RString,
    /// Name and [`ValueType`](crate::host::ValueType) code of each parameter.
    pub params: RVec<Tuple2<RString, u8>>,
    /// The result's type code; 0 = no result.
    pub result: u8,
    pub gas_base: u64,
    pub gas_per_byte: u64,
    /// Indices of the parameters whose sum is charged per unit.
    pub gas_length: RVec<u32>,
    /// The code of a [`StateAccess`](crate::host::StateAccess).
    pub state: u8,
    pub doc: RString,
    /// What `call` gets back to find the body.
    pub function: FunctionHandle,
    pub call: unsafe extern "C" fn(
        FunctionHandle,
        RawHostContext<'_>,
        RSlice<'_, u64>,
    ) -> HostResult<u64>,
}

/// A `&'static HostFunction` of the pack's side.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy)]
pub struct FunctionHandle(*const ());

// SAFETY: the pointer is to a `'static` table of plain data and function pointers, which is `Sync`.
unsafe impl Send for FunctionHandle {}
// SAFETY: as above.
unsafe impl Sync for FunctionHandle {}

impl fmt::Debug for FunctionHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FunctionHandle")
    }
}

/// The functions of a host-pack plugin.
#[repr(C)]
#[derive(StableAbi, Clone, Copy)]
pub struct HostPackEntry {
    pub functions: extern "C" fn() -> RVec<FunctionRecord>,
}

#[cfg(feature = "host")]
impl FunctionRecord {
    /// Runs the function's body over `environment`; no gas is charged and no access checked here.
    #[inline]
    pub(crate) fn call<E: HostEnvironment>(
        &self,
        environment: &mut E,
        arguments: &[u64],
    ) -> Result<u64, HostError> {
        let context = RawHostContext::new(environment);
        // SAFETY: body and handle come from one row of one library's table.
        let result = unsafe { (self.call)(self.function, context, arguments.into()) };
        result.into_result().map_err(HostError::from)
    }
}

/// The row of `function`, or why its table is wrong.
pub(crate) fn record(function: &'static HostFunction) -> FunctionRecord {
    let length = |name: &&str| function.params.iter().position(|(param, _)| param == name);
    FunctionRecord {
        name: function.name.into(),
        params: function
            .params
            .iter()
            .map(|(name, kind)| Tuple2((*name).into(), *kind as u8))
            .collect(),
        result: function.result.map_or(0, |kind| kind as u8),
        gas_base: function.gas_base,
        gas_per_byte: function.gas_per_byte,
        // A name that is no parameter gets an index that the importing side refuses.
        gas_length: function
            .gas_length
            .iter()
            .map(|name| length(name).map_or(u32::MAX, |at| at as u32))
            .collect(),
        state: function.state as u8,
        doc: function.doc.into(),
        function: FunctionHandle((function as *const HostFunction).cast()),
        call: call_function,
    }
}

unsafe extern "C" fn call_function(
    handle: FunctionHandle,
    context: RawHostContext<'_>,
    arguments: RSlice<'_, u64>,
) -> HostResult<u64> {
    // SAFETY: the handle came from `record` of this same side, from a `&'static HostFunction`.
    let function = unsafe { &*handle.0.cast::<HostFunction>() };
    let mut context = HostContext(context);
    let body = AssertUnwindSafe(|| (function.body)(&mut context, Arguments(arguments.as_slice())));
    let outcome = match catch_unwind(body) {
        Ok(Ok(value)) if value.value_type() == function.result => {
            return RResult::ROk(value.to_bits());
        }
        Ok(Ok(_)) => {
            HostError::Internal(format!("{} returned a value of another type", function.name))
        }
        Ok(Err(error)) => error,
        Err(payload) => {
            let message = panic_message(payload);
            HostError::Internal(format!("host function {} panicked: {message}", function.name))
        }
    };
    RResult::RErr(outcome.into())
}

/// The host's environment and the guest's memory, lent to a pack for one call.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawHostContext<'a> {
    data: *mut (),
    memory: *mut u8,
    memory_len: usize,
    functions: ContextFunctionsRef,
    lifetime: PhantomData<&'a mut ()>,
}

impl fmt::Debug for RawHostContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawHostContext({} bytes of memory)", self.memory_len)
    }
}

#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = ContextFunctionsRef)))]
#[sabi(missing_field(panic))]
pub struct ContextFunctions {
    pub memory: unsafe extern "C" fn(*mut ()) -> Tuple2<*mut u8, usize>,
    pub guest_alloc: unsafe extern "C" fn(*mut (), u32) -> HostResult<u32>,
    pub call_guest: unsafe extern "C" fn(*mut (), RStr<'_>, RSlice<'_, u64>) -> HostResult<u64>,
    pub state_get: unsafe extern "C" fn(*mut (), RSlice<'_, u8>, &mut ByteBuf) -> HostResult<bool>,
    pub state_set: unsafe extern "C" fn(*mut (), RSlice<'_, u8>, RSlice<'_, u8>) -> HostResult<()>,
    pub state_delete: unsafe extern "C" fn(*mut (), RSlice<'_, u8>) -> HostResult<()>,
    pub scan_open: unsafe extern "C" fn(*mut (), RSlice<'_, u8>, u8, u32) -> HostResult<u32>,
    pub scan_next:
        unsafe extern "C" fn(*mut (), u32, &mut ByteBuf, &mut ByteBuf) -> HostResult<bool>,
    pub scan_close: unsafe extern "C" fn(*mut (), u32) -> HostResult<()>,
    pub block_number: unsafe extern "C" fn(*mut ()) -> HostResult<u64>,
    pub timestamp: unsafe extern "C" fn(*mut ()) -> HostResult<u64>,
    pub caller: unsafe extern "C" fn(*mut ()) -> HostResult<Address>,
    pub self_address: unsafe extern "C" fn(*mut ()) -> HostResult<Address>,
    pub emit_event: unsafe extern "C" fn(*mut (), RSlice<'_, u8>) -> HostResult<()>,
    pub event_count: unsafe extern "C" fn(*mut ()) -> HostResult<u32>,
    pub event: unsafe extern "C" fn(*mut (), u32, &mut ByteBuf) -> HostResult<bool>,
    pub input: unsafe extern "C" fn(*mut (), &mut ByteBuf) -> HostResult<()>,
    pub set_output: unsafe extern "C" fn(*mut (), RSlice<'_, u8>) -> HostResult<()>,
    /// Address, function, input, gas, output; returns the code of a [`CallOutcome`].
    pub call_contract: unsafe extern "C" fn(
        *mut (),
        &Address,
        RStr<'_>,
        RSlice<'_, u8>,
        u64,
        &mut ByteBuf,
    ) -> HostResult<u8>,
    pub charge: unsafe extern "C" fn(*mut (), u64) -> HostResult<()>,
    pub gas_remaining: unsafe extern "C" fn(*mut ()) -> HostResult<u64>,
    #[sabi(last_prefix_field)]
    pub scratch: unsafe extern "C" fn(*mut (), u32) -> HostResult<*mut ByteBuf>,
}

/// The host's functions for one type of environment.
#[cfg(feature = "host")]
struct Context<E>(PhantomData<E>);

/// Runs a host function of the environment; a panic of the engine ends the call instead of unwinding into the pack.
///
/// # Safety
/// `data` is the environment that the [`RawHostContext`] was made of, and no other reference to it lives.
#[cfg(feature = "host")]
unsafe fn on<E, T>(
    data: *mut (),
    body: impl FnOnce(&mut E) -> Result<T, HostError>,
) -> HostResult<T> {
    // SAFETY: the caller's promise.
    let environment = unsafe { &mut *data.cast::<E>() };
    match catch_unwind(AssertUnwindSafe(|| body(environment))) {
        Ok(Ok(value)) => RResult::ROk(value),
        Ok(Err(error)) => RResult::RErr(error.into()),
        Err(payload) => {
            let message = panic_message(payload);
            RResult::RErr(HostError::Internal(format!("the host panicked: {message}")).into())
        }
    }
}

/// Defines the exported functions of a [`Context`] as one-line bodies over the environment.
#[cfg(feature = "host")]
macro_rules! exported {
    ($($name:ident($environment:ident $(, $argument:ident: $type:ty)*) -> $result:ty $body:block)*) => {
        $(
            /// # Safety
            /// As [`on`]; the context's functions are only called through the context that holds `data`.
            unsafe extern "C" fn $name(data: *mut () $(, $argument: $type)*) -> HostResult<$result> {
                // SAFETY: the caller's promise.
                unsafe { on(data, |$environment: &mut E| $body) }
            }
        )*
    };
}

#[cfg(feature = "host")]
impl<E: HostEnvironment> Context<E> {
    staticref! {
        const FUNCTIONS: WithMetadata<ContextFunctions> = WithMetadata::new(ContextFunctions {
            memory: Self::memory,
            guest_alloc: Self::guest_alloc,
            call_guest: Self::call_guest,
            state_get: Self::state_get,
            state_set: Self::state_set,
            state_delete: Self::state_delete,
            scan_open: Self::scan_open,
            scan_next: Self::scan_next,
            scan_close: Self::scan_close,
            block_number: Self::block_number,
            timestamp: Self::timestamp,
            caller: Self::caller,
            self_address: Self::self_address,
            emit_event: Self::emit_event,
            event_count: Self::event_count,
            event: Self::event,
            input: Self::input,
            set_output: Self::set_output,
            call_contract: Self::call_contract,
            charge: Self::charge,
            gas_remaining: Self::gas_remaining,
            scratch: Self::scratch,
        });
    }

    /// # Safety
    /// As [`on`].
    unsafe extern "C" fn memory(data: *mut ()) -> Tuple2<*mut u8, usize> {
        // SAFETY: the caller's promise.
        let outcome = unsafe {
            on(data, |environment: &mut E| {
                let memory = environment.memory();
                Ok(Tuple2(memory.as_mut_ptr(), memory.len()))
            })
        };
        // An environment that cannot tell its memory has none.
        outcome.unwrap_or_else(|_| Tuple2(std::ptr::NonNull::dangling().as_ptr(), 0))
    }

    exported! {
        guest_alloc(environment, len: u32) -> u32 { environment.guest_alloc(len) }
        call_guest(environment, name: RStr<'_>, arguments: RSlice<'_, u64>) -> u64 {
            environment.call_guest(name.as_str(), arguments.as_slice())
        }
        state_get(environment, key: RSlice<'_, u8>, value: &mut ByteBuf) -> bool {
            environment.state_get(key.as_slice(), value)
        }
        state_set(environment, key: RSlice<'_, u8>, value: RSlice<'_, u8>) -> () {
            environment.state_set(key.as_slice(), value.as_slice())
        }
        state_delete(environment, key: RSlice<'_, u8>) -> () { environment.state_delete(key.as_slice()) }
        scan_open(environment, prefix: RSlice<'_, u8>, direction: u8, limit: u32) -> u32 {
            let direction = if direction == 0 { Direction::Forward } else { Direction::Reverse };
            environment.scan_open(prefix.as_slice(), direction, limit)
        }
        scan_next(environment, scan: u32, key: &mut ByteBuf, value: &mut ByteBuf) -> bool {
            environment.scan_next(scan, key, value)
        }
        scan_close(environment, scan: u32) -> () { environment.scan_close(scan) }
        block_number(environment) -> u64 { Ok(environment.block_number()) }
        timestamp(environment) -> u64 { Ok(environment.timestamp()) }
        caller(environment) -> Address { Ok(environment.caller()) }
        self_address(environment) -> Address { Ok(environment.self_address()) }
        emit_event(environment, event: RSlice<'_, u8>) -> () { environment.emit_event(event.as_slice()) }
        event_count(environment) -> u32 { Ok(environment.event_count()) }
        event(environment, index: u32, event: &mut ByteBuf) -> bool { Ok(environment.event(index, event)) }
        input(environment, input: &mut ByteBuf) -> () {
            environment.input(input);
            Ok(())
        }
        set_output(environment, output: RSlice<'_, u8>) -> () { environment.set_output(output.as_slice()) }
        call_contract(
            environment,
            address: &Address,
            function: RStr<'_>,
            input: RSlice<'_, u8>,
            gas: u64,
            output: &mut ByteBuf
        ) -> u8 {
            let call = ContractCall { address, function: function.as_str(), input: input.as_slice(), gas };
            environment.call_contract(call, output).map(|outcome| outcome as u8)
        }
        charge(environment, gas: u64) -> () { environment.charge(gas) }
        gas_remaining(environment) -> u64 { Ok(environment.gas_remaining()) }
        scratch(environment, slot: u32) -> *mut ByteBuf { Ok(std::ptr::from_mut(environment.scratch(slot))) }
    }
}

/// Calls a function of the context's table with its environment and unpacks the result.
macro_rules! call {
    ($context:expr, $function:ident $(, $argument:expr)*) => {{
        // SAFETY: table and environment come from one `RawHostContext::new`, whose exclusive borrow of the environment
        // lasts as long as the context; the context is neither `Send` nor `Sync` and no reference into the environment
        // is alive except the guest memory and scratch slices that the context's own borrow rules guard.
        let result = unsafe { ($context.functions.$function())($context.data $(, $argument)*) };
        match result {
            RResult::ROk(value) => Ok(value),
            RResult::RErr(error) => Err(HostError::from(AbiHostError::from(error))),
        }
    }};
}

/// The answers that cannot fail but for a panic of the host, which `expect` hands on to the pack's own containment.
const INFALLIBLE: &str = "the host answers without a panic";

impl<'a> RawHostContext<'a> {
    #[inline]
    #[cfg(feature = "host")]
    pub(crate) fn new<E: HostEnvironment>(environment: &'a mut E) -> Self {
        let memory = environment.memory();
        let (memory, memory_len) = (memory.as_mut_ptr(), memory.len());
        Self {
            data: std::ptr::from_mut(environment).cast(),
            memory,
            memory_len,
            functions: ContextFunctionsRef(Context::<E>::FUNCTIONS.as_prefix()),
            lifetime: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn memory(&self) -> &[u8] {
        // SAFETY: pointer and length are those of the guest's memory, which moves or grows only while the guest runs:
        // then `refresh` reads them again, and it takes `&mut self`, so that no such slice is alive.
        unsafe { std::slice::from_raw_parts(self.memory, self.memory_len) }
    }

    #[inline]
    pub(crate) fn memory_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `memory`; the exclusive borrow keeps every other slice away.
        unsafe { std::slice::from_raw_parts_mut(self.memory, self.memory_len) }
    }

    fn refresh(&mut self) {
        // SAFETY: as in `call!`.
        let Tuple2(memory, memory_len) = unsafe { (self.functions.memory())(self.data) };
        (self.memory, self.memory_len) = (memory, memory_len);
    }

    pub(crate) fn guest_alloc(&mut self, len: u32) -> Result<u32, HostError> {
        let outcome = call!(self, guest_alloc, len);
        self.refresh();
        outcome
    }

    pub(crate) fn call_guest(
        &mut self,
        function: &str,
        arguments: &[u64],
    ) -> Result<u64, HostError> {
        let outcome = call!(self, call_guest, function.into(), arguments.into());
        self.refresh();
        outcome
    }

    #[inline]
    pub(crate) fn state_get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool, HostError> {
        call!(self, state_get, key.into(), value)
    }

    pub(crate) fn state_set(&self, key: &[u8], value: &[u8]) -> Result<(), HostError> {
        call!(self, state_set, key.into(), value.into())
    }

    pub(crate) fn state_delete(&self, key: &[u8]) -> Result<(), HostError> {
        call!(self, state_delete, key.into())
    }

    pub(crate) fn scan_open(
        &self,
        prefix: &[u8],
        direction: Direction,
        limit: u32,
    ) -> Result<u32, HostError> {
        call!(self, scan_open, prefix.into(), direction as u8, limit)
    }

    pub(crate) fn scan_next(
        &self,
        scan: u32,
        key: &mut ByteBuf,
        value: &mut ByteBuf,
    ) -> Result<bool, HostError> {
        call!(self, scan_next, scan, key, value)
    }

    pub(crate) fn scan_close(&self, scan: u32) -> Result<(), HostError> {
        call!(self, scan_close, scan)
    }

    pub(crate) fn block_number(&self) -> u64 {
        call!(self, block_number).expect(INFALLIBLE)
    }

    pub(crate) fn timestamp(&self) -> u64 {
        call!(self, timestamp).expect(INFALLIBLE)
    }

    pub(crate) fn caller(&self) -> Address {
        call!(self, caller).expect(INFALLIBLE)
    }

    pub(crate) fn self_address(&self) -> Address {
        call!(self, self_address).expect(INFALLIBLE)
    }

    pub(crate) fn emit_event(&self, event: &[u8]) -> Result<(), HostError> {
        call!(self, emit_event, event.into())
    }

    pub(crate) fn event_count(&self) -> u32 {
        call!(self, event_count).expect(INFALLIBLE)
    }

    pub(crate) fn event(&self, index: u32, event: &mut ByteBuf) -> bool {
        call!(self, event, index, event).expect(INFALLIBLE)
    }

    pub(crate) fn input(&self, input: &mut ByteBuf) {
        call!(self, input, input).expect(INFALLIBLE);
    }

    pub(crate) fn set_output(&self, output: &[u8]) -> Result<(), HostError> {
        call!(self, set_output, output.into())
    }

    pub(crate) fn call_contract(
        &mut self,
        call: ContractCall<'_>,
        output: &mut ByteBuf,
    ) -> Result<CallOutcome, HostError> {
        let (function, input) = (RStr::from(call.function), RSlice::from(call.input));
        let code = call!(self, call_contract, call.address, function, input, call.gas, output);
        self.refresh();
        match code? {
            0 => Ok(CallOutcome::Ok),
            1 => Ok(CallOutcome::Failed),
            2 => Ok(CallOutcome::NotFound),
            3 => Ok(CallOutcome::TooDeep),
            other => Err(HostError::Internal(format!("unknown call outcome {other}"))),
        }
    }

    pub(crate) fn charge(&self, gas: u64) -> Result<(), HostError> {
        call!(self, charge, gas)
    }

    pub(crate) fn gas_remaining(&self) -> u64 {
        call!(self, gas_remaining).expect(INFALLIBLE)
    }

    pub(crate) fn scratch(&mut self, slot: u32) -> &mut ByteBuf {
        let buffer = call!(self, scratch, slot).expect(INFALLIBLE);
        // SAFETY: the buffer lives in the environment, and the exclusive borrow of the context keeps every call that
        // could touch it away while the slice is alive.
        unsafe { &mut *buffer }
    }
}
