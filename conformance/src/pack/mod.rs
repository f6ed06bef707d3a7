//! What every host pack owes, whatever its functions do: rules that are checked from the pack's table alone.
//!
//! A pack's own tests call its functions over an [`Environment`] and end with [`Pack::check`]:
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use supervm_conformance::pack::{Environment, Pack};
//! let pack = Pack::linked("my-pack")?;
//! let mut environment = Environment::with_memory(*b"bytes of the contract's memory");
//! assert_eq!(pack.call(&mut environment, "count", &[0, 5])?, 5);
//! pack.assert_rules();
//! # Ok(())
//! # }
//! ```
//! The checks know which parameters are pointers and lengths by their names (`_ptr`, `_len`), not what a function computes:
//! that is for the pack's own tests.

mod calls;
mod environment;
mod rules;

pub use environment::Environment;
pub use rules::{PackCase, Rule};

use crate::target::load_file;
use rules::Checker;
use std::path::Path;
use supervm_plugin_sdk::host::{HostError, StateAccess};
use supervm_plugin_sdk::load::{self, PackFunction, Plugin};
use supervm_plugin_sdk::{Error, ErrorKind, PluginDescriptor, Result};

/// A host pack, called as the engine calls it.
#[derive(Debug)]
pub struct Pack {
    descriptor: PluginDescriptor,
    functions: Vec<PackFunction>,
}

impl Pack {
    /// The pack of this name that is linked into the running program.
    ///
    /// # Errors
    /// `NotFound` when there is none; `AbiMismatch`, `InvalidArgument`, `Unsupported` when it is no sound host pack.
    pub fn linked(name: &str) -> Result<Self> {
        let plugins = load::linked()?;
        let plugin = plugins.iter().find(|plugin| plugin.descriptor().name == name);
        let missing = || {
            let refused = format!(
                "no host pack \"{name}\" is linked into this program; name its crate with `use`"
            );
            Error::new(ErrorKind::NotFound, "find host pack", refused)
        };
        Self::new(plugin.ok_or_else(missing)?)
    }

    /// The pack in a shared library.
    ///
    /// # Errors
    /// What the loader refuses; `AbiMismatch`, `Unsupported` when it is no sound host pack.
    pub fn file(path: &Path) -> Result<Self> {
        Self::new(&load_file(path)?)
    }

    fn new(plugin: &Plugin) -> Result<Self> {
        Ok(Self { descriptor: plugin.descriptor().clone(), functions: plugin.host_functions()? })
    }

    /// What the pack says of itself.
    pub fn descriptor(&self) -> &PluginDescriptor {
        &self.descriptor
    }

    /// The functions, in the order of the table.
    pub fn functions(&self) -> &[PackFunction] {
        &self.functions
    }

    /// Calls as the engine does: refuses a write in a read-only call, charges base and bytes, runs the body.
    ///
    /// # Errors
    /// What the function ends the call with; `Internal` when the pack has no such function or it panics.
    pub fn call(
        &self,
        environment: &mut Environment,
        function: &str,
        arguments: &[u64],
    ) -> Result<u64, HostError> {
        let found = self.functions.iter().find(|one| one.name() == function);
        let missing = || HostError::Internal(format!("the table has no {function}"));
        let function = found.ok_or_else(missing)?;
        if environment.read_only && function.state == StateAccess::Write {
            return Err(HostError::ReadOnlyCall);
        }
        let lengths = function.gas_lengths.iter().filter_map(|index| arguments.get(*index));
        let units: u64 = lengths.map(|length| length & u64::from(u32::MAX)).sum();
        environment.spend(function.gas_base + units * function.gas_per_byte)?;
        function.call(environment, arguments)
    }

    /// Checks every rule on every function and calls `progress` before each function; `seed` decides the random arguments.
    pub fn check(&self, seed: u64, mut progress: impl FnMut(&str)) -> Vec<PackCase> {
        let mut cases = rules::check_table(self);
        for function in &self.functions {
            progress(function.name());
            cases.extend(Checker::new(function, self.descriptor.deterministic).check(seed));
        }
        cases
    }

    /// As [`check`](Self::check) with a fixed seed, for a test.
    ///
    /// # Panics
    /// When a rule is broken, with every broken one.
    pub fn assert_rules(&self) {
        let cases = self.check(0, |_| ());
        let broken = cases.iter().filter(|case| case.failure.is_some());
        let broken: Vec<_> = broken.map(ToString::to_string).collect();
        assert!(broken.is_empty(), "broken rules:\n{}", broken.join("\n"));
    }
}
