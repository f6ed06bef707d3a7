//! The options of the backend.

use crate::fault::Fault;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use std::sync::OnceLock;

/// The mistake of this process, known from the first storage on; for the mistakes that are made before anything is opened.
static OF_PROCESS: OnceLock<Fault> = OnceLock::new();

/// The options of the backend.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReferenceConfig {
    /// The mistake that it makes.
    pub(crate) fault: Fault,
    /// A number that plays no part, at most 1000.
    pub(crate) unused: u64,
}

/// The options as they should be read.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Strict {
    fault: Fault,
    unused: u64,
}

/// The options as a careless author reads them.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Careless {
    fault: Fault,
    unused: u64,
}

impl<'de> Deserialize<'de> for ReferenceConfig {
    fn deserialize<D: Deserializer<'de>>(options: D) -> Result<Self, D::Error> {
        if of_process() == Fault::UnknownOptionIgnored {
            let Careless { fault, unused } = Careless::deserialize(options)?;
            return Ok(Self { fault, unused });
        }
        let Strict { fault, unused } = Strict::deserialize(options)?;
        Ok(Self { fault, unused })
    }
}

pub(crate) fn of_process() -> Fault {
    OF_PROCESS.get().copied().unwrap_or_default()
}

pub(crate) fn set_of_process(fault: Fault) {
    OF_PROCESS.get_or_init(|| fault);
}
