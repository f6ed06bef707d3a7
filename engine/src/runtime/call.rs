//! Running one function of one contract on a fresh instance.

use super::arguments;
use super::frame::{Frame, Transaction};
use super::gas;
use super::module::Module;
use super::trap::Trap;
use supervm_plugin_sdk::host::{Address, HostError, ValueType};
use supervm_plugin_sdk::{Error, ErrorKind};
use wasmtime::{AsContext, AsContextMut, Extern, Func, Store, Val};

/// Bytes of native stack that host functions and the engine itself need beyond what the contract's code may use.
const HOST_STACK_BYTES: usize = 256 << 10;

/// What to run.
pub(super) struct Entry {
    pub(super) module: Module,
    pub(super) function: String,
    pub(super) caller: Address,
    /// The function's arguments, one for each of its parameters.
    pub(super) values: Vec<Val>,
    pub(super) input: Vec<u8>,
    pub(super) gas_limit: u64,
    pub(super) read_only: bool,
}

/// What a run left.
pub(super) struct Ending {
    pub(super) outcome: Result<Returned, Stop>,
    pub(super) gas_used: u64,
}

impl Ending {
    /// A call that is refused before the contract runs.
    pub(super) fn refused(trap: Trap, gas_limit: u64) -> Self {
        Self { outcome: Err(trap.into()), gas_used: gas::INSTANCE.min(gas_limit) }
    }
}

/// What a function returned.
pub(super) struct Returned {
    pub(super) result: Option<(ValueType, i64)>,
    /// The output that the contract set; `None` when it set none.
    pub(super) output: Option<Vec<u8>>,
}

/// Why a run ended early.
pub(super) enum Stop {
    /// A fact of the contract.
    Trap(Trap),
    /// A fact of this node; the whole call fails.
    Error(Error),
}

impl From<Trap> for Stop {
    fn from(trap: Trap) -> Self {
        Self::Trap(trap)
    }
}

/// Runs `entry`. The transaction comes back whatever happens; its journal holds what was done until the end, and undoing that
/// is the caller's part.
pub(super) fn run(transaction: Box<Transaction>, entry: Entry) -> (Box<Transaction>, Ending) {
    let config = &transaction.runtime.config;
    let wasm_stack = config.wasm_stack_bytes.0 as usize;
    let needed = wasm_stack + HOST_STACK_BYTES;
    // A nested call gets the whole of its stack too; where the thread has too little left, a new one is made that is large
    // enough for all that may follow.
    stacker::maybe_grow(needed, needed * config.call_depth_max as usize, || {
        run_on_this_stack(transaction, entry)
    })
}

fn run_on_this_stack(
    mut transaction: Box<Transaction>,
    entry: Entry,
) -> (Box<Transaction>, Ending) {
    let Entry { module, function, caller, values, input, gas_limit, read_only } = entry;
    transaction.running.push(module.address());
    let machine = std::sync::Arc::clone(&transaction.runtime.machine);
    let frame = Frame::new(transaction, module.clone(), caller, input, read_only);
    let mut store = Store::new(&machine.engine, frame);
    store.limiter(|frame| frame);
    let price = module.0.instance_gas;
    let (outcome, gas_used) = metered(&mut store, gas_limit, price, |store| {
        let result = execute(store, &module, &function, &values)?;
        Ok(Returned { result, output: None })
    });
    let mut frame = store.into_data();
    let output = frame.output.take();
    let mut transaction = frame.take_transaction();
    transaction.running.pop();
    let outcome = outcome.map(|returned| Returned { output, ..returned });
    (transaction, Ending { outcome, gas_used })
}

/// Runs `body` with `limit` gas, of which `price` is spent already, and says how much was used.
fn metered(
    store: &mut Store<Frame>,
    limit: u64,
    price: u64,
    body: impl FnOnce(&mut Store<Frame>) -> Result<Returned, Stop>,
) -> (Result<Returned, Stop>, u64) {
    let Some(left) = limit.checked_sub(price) else {
        return (Err(Trap::OutOfGas.into()), limit);
    };
    // One more than the limit: fuel is only looked at now and then, and none left means that more was used than there was.
    set_fuel(&mut *store, left + 1);
    let outcome = body(store);
    let left = fuel(&*store).checked_sub(1);
    match (outcome, left) {
        (Err(Stop::Error(error)), _) => (Err(Stop::Error(error)), limit),
        (Err(Stop::Trap(trap)), Some(left)) if trap.refunds_gas() => {
            (Err(trap.into()), limit - left)
        }
        (Ok(returned), Some(left)) => (Ok(returned), limit - left),
        (Err(Stop::Trap(trap)), Some(_)) => (Err(trap.into()), limit),
        (_, None) => (Err(Trap::OutOfGas.into()), limit),
    }
}

fn execute(
    store: &mut Store<Frame>,
    module: &Module,
    function: &str,
    values: &[Val],
) -> Result<Option<(ValueType, i64)>, Stop> {
    let compiled = &*module.0;
    let Some(export) = compiled.exports.get(function) else {
        return Err(Trap::MissingExport { function: function.to_owned() }.into());
    };
    let instance = compiled.instance.instantiate(&mut *store).map_err(stop)?;
    let memory = compiled.memory.as_ref().and_then(|memory| {
        instance.get_module_export(&mut *store, memory).and_then(Extern::into_memory)
    });
    let frame = store.data_mut();
    (frame.instance, frame.memory) = (Some(instance), memory);
    let target = instance.get_module_export(&mut *store, &export.index);
    let target = target.and_then(Extern::into_func).expect("the index is of a function");
    invoke(store, &target, values, export.signature.result).map_err(stop)
}

/// Calls `target`, whose parameters are of the types of `values`.
pub(super) fn invoke(
    mut store: impl AsContextMut<Data = Frame>,
    target: &Func,
    values: &[Val],
    result: Option<ValueType>,
) -> wasmtime::Result<Option<(ValueType, i64)>> {
    let mut results = [Val::I32(0)];
    let room = usize::from(result.is_some());
    target.call(&mut store, values, &mut results[..room])?;
    Ok(result.map(|kind| (kind, arguments::integer(&results[0]))))
}

/// What an error of wasmtime says: a trap of the contract, what a host function ended the call with, or neither.
fn stop(error: wasmtime::Error) -> Stop {
    if let Some(trap) = error.downcast_ref::<wasmtime::Trap>() {
        return match Trap::from_instruction(*trap) {
            Some(trap) => trap.into(),
            None => Stop::Error(failure(format!("unexpected trap: {trap}"))),
        };
    }
    match error.downcast::<HostError>() {
        Ok(error) => host_stop(error),
        Err(error) => Stop::Error(failure(format!("{error:#}"))),
    }
}

fn host_stop(error: HostError) -> Stop {
    Stop::Trap(match error {
        HostError::OutOfBounds { ptr, len } => Trap::OutOfBounds { ptr, len },
        HostError::OutOfGas => Trap::OutOfGas,
        HostError::ReadOnlyCall => Trap::ReadOnlyCall,
        HostError::LimitExceeded(what) => Trap::LimitExceeded { what },
        HostError::Abort { code, message } => Trap::Abort { code, message },
        HostError::Storage(error) => return Stop::Error(error),
        HostError::Internal(what) => return Stop::Error(failure(what)),
        other => return Stop::Error(failure(other.to_string())),
    })
}

fn failure(message: String) -> Error {
    Error::new(ErrorKind::Internal, "run contract", message)
}

/// Gas that is left, and one more; 0 when it is overdrawn.
#[inline]
pub(super) fn fuel(store: impl AsContext) -> u64 {
    store.as_context().get_fuel().expect(METERED)
}

#[inline]
pub(super) fn set_fuel(mut store: impl AsContextMut, fuel: u64) {
    store.as_context_mut().set_fuel(fuel).expect(METERED);
}

const METERED: &str = "every store is metered";
