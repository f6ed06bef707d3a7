//! What the tests of the host packs share; each mounts it by path, for a pack may not depend on another.
//!
//! Calls go through the real boundary: the linked-in plugin's table, called over an in-memory environment.

mod documentation;
mod environment;
mod pointers;

pub(crate) use documentation::check_documentation;
pub(crate) use environment::Environment;
pub(crate) use pointers::{Pointer, Pointers, Use};

use supervm_plugin_sdk::host::{HostError, StateAccess};
use supervm_plugin_sdk::load::{self, PackFunction};

/// A pack as the engine sees it.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) functions: Vec<PackFunction>,
}

impl Pack {
    /// The linked-in pack with this plugin name.
    pub(crate) fn linked(name: &str) -> Self {
        let plugins = load::linked().expect("the linked plugins are sound");
        let pack = plugins.iter().find(|plugin| plugin.descriptor().name == name);
        let pack = pack.expect("the pack registers itself under its name");
        Self { functions: pack.host_functions().expect("the table is sound") }
    }

    /// The function of this name.
    pub(crate) fn function(&self, name: &str) -> &PackFunction {
        let function = self.functions.iter().find(|function| function.name() == name);
        function.unwrap_or_else(|| panic!("the table has no {name}"))
    }

    /// Calls as the engine does: refuses a write in a read-only call, charges base and bytes, runs the body.
    pub(crate) fn call(
        &self,
        environment: &mut Environment,
        name: &str,
        arguments: &[u64],
    ) -> Result<u64, HostError> {
        let function = self.function(name);
        if environment.read_only && function.state == StateAccess::Write {
            return Err(HostError::ReadOnlyCall);
        }
        let units: u64 =
            function.gas_lengths.iter().map(|index| arguments[*index] & 0xffff_ffff).sum();
        environment.spend(function.gas_base + units * function.gas_per_byte)?;
        function.call(environment, arguments)
    }

    /// As [`call`](Self::call), for a function with an i32 result in a call that does not trap.
    pub(crate) fn status(
        &self,
        environment: &mut Environment,
        name: &str,
        arguments: &[u64],
    ) -> i32 {
        let outcome = self.call(environment, name, arguments);
        outcome.unwrap_or_else(|error| panic!("{name}{arguments:?} trapped: {error}")) as u32 as i32
    }
}
