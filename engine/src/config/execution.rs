//! The section `[execution]`: what a contract may use while it runs.

use super::invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use supervm_plugin_sdk::{BATCH_BYTES_MAX, ByteSize, Result, VALUE_BYTES_MAX};

/// Bytes of a page of WASM memory.
pub const PAGE_BYTES: u64 = 64 << 10;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Most slots of the instance pool, which is [`ExecutionConfig::instances`] times [`ExecutionConfig::call_depth_max`]. Each
/// reserves 4 GiB of address space, of which a process has 128 TiB.
const POOL_SLOTS_MAX: u64 = 16 << 10;

/// What a contract may use while it runs, and what is kept of compiled contracts.
///
/// On a chain every node must have the same values, but for `instances`, `threads` and the three of the module cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExecutionConfig {
    /// Most gas that a call may be given, and what it is given when nothing is said. 1 to 4611686018427387904. Default: 10000000.
    #[schemars(range(min = 1, max = 4_611_686_018_427_387_904_u64))]
    pub gas_limit: u64,
    /// Calls that run at the same time; further ones wait. 1 to 4096, and at most 16384 times the inverse of `call_depth_max`.
    /// Default: 64.
    #[schemars(range(min = 1, max = 4096))]
    pub instances: u32,
    /// Threads that run the transactions of a block; 0 = as many as the system has processors. 0 to 1024. Default: 0.
    #[schemars(range(max = 1024))]
    pub threads: u32,
    /// Memory of one contract, bytes; a multiple of 64 KiB, 64 KiB to 4 GiB. Default: 64 MiB.
    pub memory_bytes_max: ByteSize,
    /// Elements of a contract's table. 0 to 1048576. Default: 4096.
    #[schemars(range(max = 1_048_576))]
    pub table_elements_max: u32,
    /// Native stack that the code of one contract may use, bytes. 64 KiB to 8 MiB. Default: 512 KiB.
    pub wasm_stack_bytes: ByteSize,
    /// Contracts that may be running within one call, the first one included. 1 to 32. Default: 8.
    #[schemars(range(min = 1, max = 32))]
    pub call_depth_max: u32,
    /// Events that a call may emit. 0 to 65536. Default: 1024.
    #[schemars(range(max = 65_536))]
    pub events_max: u32,
    /// Bytes of all events that a call may emit. At most 16 MiB. Default: 1 MiB.
    pub event_bytes_max: ByteSize,
    /// Bytes of a contract's input. At most 16 MiB. Default: 1 MiB.
    pub input_bytes_max: ByteSize,
    /// Bytes of a contract's output. At most 16 MiB. Default: 1 MiB.
    pub output_bytes_max: ByteSize,
    /// Scans that a contract may have open at once. 0 to 256. Default: 16.
    #[schemars(range(max = 256))]
    pub scans_max: u32,
    /// Bytes that a call may read and write: the keys it read, the keys and values it writes, and what it could roll back to, each
    /// entry with 64 bytes on top. 64 KiB to 32 MiB, so that what it writes always fits one batch. Default: 32 MiB.
    pub journal_bytes_max: ByteSize,
    /// Bytes that a block changes: each key that its transactions write counts 80 bytes, four times the key, its last value and the one that
    /// it had before the block. A transaction that would exceed it changes nothing. 64 MiB to 1 GiB. Default: 256 MiB.
    pub block_bytes_max: ByteSize,
    /// Bytes of a contract's binary. 8 bytes to 16 MiB. Default: 1 MiB.
    pub module_bytes_max: ByteSize,
    /// Accept contracts that use floating-point numbers. Their results are the same on every node: NaN is made canonical. Default: true.
    pub allow_floats: bool,
    /// Machine code of compiled contracts that is kept in memory, bytes; at least what is in use. Default: 256 MiB.
    pub module_cache_bytes: ByteSize,
    /// Where machine code of compiled contracts is kept on disk; only the running user may have access to it. Default: none, nothing is
    /// kept on disk.
    pub module_cache_dir: Option<PathBuf>,
    /// Bytes that `module_cache_dir` may have; the oldest files go first. Default: 1 GiB.
    pub module_cache_disk_bytes: ByteSize,
}

impl Default for ExecutionConfig {
    fn default() -> Self {
        Self {
            gas_limit: 10_000_000,
            instances: 64,
            threads: 0,
            memory_bytes_max: ByteSize(64 * MIB),
            table_elements_max: 4096,
            wasm_stack_bytes: ByteSize(512 * KIB),
            call_depth_max: 8,
            events_max: 1024,
            event_bytes_max: ByteSize(MIB),
            input_bytes_max: ByteSize(MIB),
            output_bytes_max: ByteSize(MIB),
            scans_max: 16,
            journal_bytes_max: ByteSize(32 * MIB),
            block_bytes_max: ByteSize(256 * MIB),
            module_bytes_max: ByteSize(MIB),
            allow_floats: true,
            module_cache_bytes: ByteSize(256 * MIB),
            module_cache_dir: None,
            module_cache_disk_bytes: ByteSize(GIB),
        }
    }
}

impl ExecutionConfig {
    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// `ConfigInvalid` with the key, its value and what would be accepted.
    pub fn check(&self) -> Result<()> {
        let value_bytes_max = VALUE_BYTES_MAX as u64;
        number("gas_limit", self.gas_limit, 1..=1 << 62)?;
        number("instances", self.instances.into(), 1..=4096)?;
        number("threads", self.threads.into(), 0..=1024)?;
        bytes("memory_bytes_max", self.memory_bytes_max, PAGE_BYTES..=4 * GIB)?;
        number("table_elements_max", self.table_elements_max.into(), 0..=1 << 20)?;
        bytes("wasm_stack_bytes", self.wasm_stack_bytes, 64 * KIB..=8 * MIB)?;
        number("call_depth_max", self.call_depth_max.into(), 1..=32)?;
        number("events_max", self.events_max.into(), 0..=65_536)?;
        bytes("event_bytes_max", self.event_bytes_max, 0..=value_bytes_max)?;
        bytes("input_bytes_max", self.input_bytes_max, 0..=value_bytes_max)?;
        bytes("output_bytes_max", self.output_bytes_max, 0..=value_bytes_max)?;
        number("scans_max", self.scans_max.into(), 0..=256)?;
        let batch_half = BATCH_BYTES_MAX as u64 / 2;
        bytes("journal_bytes_max", self.journal_bytes_max, 64 * KIB..=batch_half)?;
        bytes("block_bytes_max", self.block_bytes_max, 64 * MIB..=GIB)?;
        bytes("module_bytes_max", self.module_bytes_max, 8..=value_bytes_max)?;
        let memory = self.memory_bytes_max;
        if !memory.0.is_multiple_of(PAGE_BYTES) {
            let expected = "expected a multiple of 64KiB";
            return Err(invalid(format!("execution.memory_bytes_max = {memory}; {expected}")));
        }
        let slots = self.pool_slots();
        if slots > POOL_SLOTS_MAX {
            return Err(invalid(format!(
                "execution.instances = {} times call_depth_max = {} is {slots}; expected at most {POOL_SLOTS_MAX}",
                self.instances, self.call_depth_max
            )));
        }
        Ok(())
    }

    /// Instances that the pool has room for: every call that runs may reach the greatest depth, so that none ever waits for
    /// another while it holds a slot itself.
    pub(crate) fn pool_slots(&self) -> u64 {
        u64::from(self.instances) * u64::from(self.call_depth_max)
    }
}

fn number(key: &str, value: u64, accepted: RangeInclusive<u64>) -> Result<()> {
    within(key, value, accepted)
}

fn bytes(key: &str, value: ByteSize, accepted: RangeInclusive<u64>) -> Result<()> {
    within(key, value, ByteSize(*accepted.start())..=ByteSize(*accepted.end()))
}

fn within<T: PartialOrd + Display>(key: &str, value: T, accepted: RangeInclusive<T>) -> Result<()> {
    if accepted.contains(&value) {
        return Ok(());
    }
    let (least, most) = accepted.into_inner();
    Err(invalid(format!("execution.{key} = {value}; expected {least} to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: ExecutionConfig) -> String {
        config.check().expect_err("refused").message().to_owned()
    }

    #[test]
    fn the_defaults_are_accepted_and_read_back() {
        let config = ExecutionConfig::default();
        assert!(config.check().is_ok());
        let text = toml::to_string(&config).expect("serialises");
        assert_eq!(toml::from_str(&text), Ok(config));
        assert!(toml::from_str::<ExecutionConfig>("gas = 1").is_err(), "an unknown key");
    }

    #[test]
    fn a_value_outside_its_bounds_is_named_with_what_would_be_accepted() {
        let default = ExecutionConfig::default;
        let none = refused(ExecutionConfig { gas_limit: 0, ..default() });
        assert_eq!(none, "execution.gas_limit = 0; expected 1 to 4611686018427387904");
        let stack = refused(ExecutionConfig { wasm_stack_bytes: ByteSize(1), ..default() });
        assert_eq!(stack, "execution.wasm_stack_bytes = 1B; expected 64KiB to 8MiB");
        let block = refused(ExecutionConfig { block_bytes_max: ByteSize(2 * GIB), ..default() });
        assert_eq!(block, "execution.block_bytes_max = 2GiB; expected 64MiB to 1GiB");
        let odd = refused(ExecutionConfig { memory_bytes_max: ByteSize(65_537), ..default() });
        assert!(odd.ends_with("expected a multiple of 64KiB"), "{odd}");
        let pool = refused(ExecutionConfig { instances: 4096, call_depth_max: 8, ..default() });
        assert!(pool.ends_with("is 32768; expected at most 16384"), "{pool}");
    }
}
