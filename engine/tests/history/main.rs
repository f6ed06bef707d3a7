//! The past of chain state, on every backend: each rule is a trial for each backend.
//!
//! Linked in here: `memory`, and `plain`, which has nothing that is optional. The others are shared libraries in the target directory,
//! where `cargo build --release --workspace` puts them; without its library a backend's trials are reported as ignored.
//!
//! `SUPERVM_HISTORY_SEED` replays the random traces of a run.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/plain.rs"]
mod plain;
#[path = "../common/plugin.rs"]
mod plugin;
mod backend;
mod random;
mod world;
mod cases;
mod reading;
mod pruning;
mod modes;
mod kill;
mod trace;
mod windows;
mod changed;

use backend::{BACKENDS, Backend};
use libtest_mimic::{Arguments, Completion, Trial};
use supervm_storage_memory as _;

supervm_plugin_sdk::export_plugin!(storage: plain::PlainStorage, name: "plain");

fn main() {
    kill::take_over_if_child();
    let arguments = Arguments::from_args();
    let seed = random::seed();
    if !arguments.list {
        println!("{}={seed}", random::SEED_VARIABLE);
    }
    let trials = BACKENDS.iter().flat_map(|backend| {
        let trial = move |case: &'static cases::Case| {
            Trial::ignorable_test(format!("{}::{}::{}", case.id, case.rule, backend), move || {
                let backend = match Backend::find(backend) {
                    Ok(found) => found,
                    Err(reason) => return Ok(Completion::ignored_with(reason)),
                };
                if let Some(reason) = case.needs.and_then(|needs| needs(&backend)) {
                    return Ok(Completion::ignored_with(reason));
                }
                (case.run)(&backend);
                Ok(Completion::Completed)
            })
        };
        cases::ALL.iter().map(trial)
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
