//! The configured wasmtime engine, one per process and configuration.

use super::gas;
use super::pool::Permits;
use super::validate;
use crate::config::{ExecutionConfig, PAGE_BYTES};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use supervm_plugin_sdk::{Error, ErrorKind, Result};
use wasmtime::{
    Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    RegallocAlgorithm, Strategy, WasmBacktraceDetails,
};

/// Address space that each memory reserves, bytes: every 32-bit address lies in it, so that no access needs a check.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;
/// Unmapped bytes behind each memory, for the constant offset of an access.
const MEMORY_GUARD_BYTES: u64 = 32 << 20;
/// The largest initial memory that is kept as an image, bytes; as large as a contract's binary can make it.
const IMAGE_BYTES_MAX: u64 = 16 << 20;
/// Bytes of wasmtime's own record of an instance; grows with functions and globals.
const INSTANCE_BYTES_MAX: usize = 1 << 20;

/// What of a configuration decides the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    instances: u32,
    slots: u32,
    memory_bytes_max: usize,
    table_elements_max: usize,
    wasm_stack_bytes: usize,
}

impl Key {
    fn new(config: &ExecutionConfig) -> Self {
        Self {
            instances: config.instances,
            slots: config.pool_slots() as u32,
            memory_bytes_max: config.memory_bytes_max.0 as usize,
            table_elements_max: config.table_elements_max as usize,
            wasm_stack_bytes: config.wasm_stack_bytes.0 as usize,
        }
    }
}

/// A wasmtime engine with the permits to its instance pool.
pub(super) struct Machine {
    pub(super) engine: wasmtime::Engine,
    pub(super) permits: Permits,
}

/// The machines in use. An engine reserves the address space of its whole pool, so runtimes of one configuration share it.
static MACHINES: Mutex<BTreeMap<Key, Weak<Machine>>> = Mutex::new(BTreeMap::new());

/// The machine for `config`, which has been checked.
pub(super) fn machine(config: &ExecutionConfig) -> Result<Arc<Machine>> {
    let key = Key::new(config);
    let mut machines = MACHINES.lock();
    if let Some(machine) = machines.get(&key).and_then(Weak::upgrade) {
        return Ok(machine);
    }
    let engine = wasmtime::Engine::new(&wasmtime_config(&key)).map_err(|error| {
        Error::new(ErrorKind::Internal, "start runtime", format!("{error:#}"))
            .with("pool_slots", key.slots)
    })?;
    let machine = Arc::new(Machine { engine, permits: Permits::new(key.instances) });
    machines.retain(|_, machine| machine.strong_count() > 0);
    machines.insert(key, Arc::downgrade(&machine));
    Ok(machine)
}

/// Everything that matters is said, so that a new default of wasmtime changes nothing.
fn wasmtime_config(key: &Key) -> Config {
    let mut config = Config::new();
    proposals(&mut config);
    config
        .strategy(Strategy::Cranelift)
        .cranelift_opt_level(OptLevel::Speed)
        .cranelift_regalloc_algorithm(RegallocAlgorithm::Backtracking)
        // The bits of a NaN are the one thing that WASM leaves open.
        .cranelift_nan_canonicalization(true)
        .cranelift_debug_verifier(false)
        .parallel_compilation(true)
        .consume_fuel(true)
        .operator_cost(gas::operator_costs())
        .epoch_interruption(false)
        .max_wasm_stack(key.wasm_stack_bytes)
        .debug_info(false)
        .generate_address_map(false)
        .wasm_backtrace_max_frames(None)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .native_unwind_info(false)
        .concurrency_support(false)
        .signals_based_traps(true)
        .memory_init_cow(true)
        .force_memory_init_memfd(true)
        .memory_guaranteed_dense_image_size(IMAGE_BYTES_MAX)
        .memory_reservation(MEMORY_RESERVATION_BYTES)
        .memory_reservation_for_growth(0)
        .memory_guard_size(MEMORY_GUARD_BYTES)
        .memory_may_move(false)
        .guard_before_linear_memory(true)
        .table_lazy_init(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(key)));
    config
}

fn proposals(config: &mut Config) {
    config
        .wasm_bulk_memory(true)
        .wasm_multi_value(true)
        // For the encoding of table indices that compilers write; references themselves need a heap, which is off.
        .wasm_reference_types(true)
        .gc_support(false)
        .wasm_simd(false)
        .wasm_relaxed_simd(false)
        .relaxed_simd_deterministic(true)
        .wasm_threads(false)
        .wasm_shared_everything_threads(false)
        .shared_memory(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .wasm_function_references(false)
        .wasm_gc(false)
        .wasm_exceptions(false)
        .wasm_custom_page_sizes(false)
        .wasm_wide_arithmetic(false)
        .wasm_branch_hinting(false)
        .wasm_stack_switching(false);
}

/// What a call wrote to its memory and tables is put back by hand as far as this, bytes, and the pages stay; what is further up goes back to
/// the system. Giving pages back interrupts every processor that runs the program: with two threads that cost half of their speed. To ask
/// the system which pages were written, and put back those alone, costs every call 0.4 us, and pays where contracts write further up.
const KEPT_BYTES: usize = PAGE_BYTES as usize;

fn pool(key: &Key) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(key.slots)
        .total_memories(key.slots)
        .total_tables(key.slots)
        .max_core_instance_size(INSTANCE_BYTES_MAX)
        .max_memories_per_module(validate::MEMORIES_MAX)
        .max_tables_per_module(validate::TABLES_MAX)
        .max_memory_size(key.memory_bytes_max)
        .table_elements(key.table_elements_max)
        .linear_memory_keep_resident(KEPT_BYTES)
        .table_keep_resident(KEPT_BYTES)
        .pagemap_scan(Enabled::No)
        .total_gc_heaps(0);
    pool
}
