//! The suite that every SuperVM storage backend must pass.
//!
//! A [`Case`] proves one rule of the storage contract on a storage of its own. Cases run in child processes, so that a backend
//! that crashes or hangs is a result and not the end of the run.
//!
//! - A plugin's crate runs the suite as its test: [`main`].
//! - The program `supervm-conformance` runs it on a shared library and writes the report, which is the certificate.
//! - Any other program calls [`take_over_if_child`] first in its `main` and then uses [`Run`].

mod agree;
mod case;
mod cases;
mod check;
pub mod cli;
mod damage;
mod document;
mod fault;
mod fixture;
mod harness;
mod job;
mod kill;
mod model;
mod oracle;
pub mod pack;
mod progress;
mod random;
mod report;
mod run;
mod script;
mod target;
mod worker;

pub use case::{Case, Profile, category_title};
pub use cases::{all as cases, select};
pub use harness::{main, run_as_tests};
pub use job::{Outcome, take_over_if_child};
pub use progress::Progress;
pub use report::{CONTRACT_VERSION, CaseReport, Certificate, Counts, Report};
pub use run::Run;
pub use target::Target;
