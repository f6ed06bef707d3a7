//! Exporting, importing, converting, incremental checkpoints and differences, on every backend.
//!
//! Each rule is a trial for each backend, or for each pair. Linked in here: `memory`, and `plain`, which has nothing that
//! is optional, for a rule of its own. The others are shared libraries in the target
//! directory, where `cargo build --release --workspace` puts them; without its library a backend's trials are reported as ignored.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/plugin.rs"]
mod plugin;
#[path = "../common/plain.rs"]
mod plain;
mod support;
mod files;
mod hostile;
mod forger;
mod forged;
mod pairs;
mod killed;
mod incremental;
mod interrupted;
mod difference;

use libtest_mimic::{Arguments, Completion, Trial};
use supervm_plugin_sdk::load::Plugin;
use supervm_storage_memory as _;
use support::{BACKENDS, find};

supervm_plugin_sdk::export_plugin!(storage: plain::PlainStorage, name: "plain");

/// A rule that holds on a backend.
type Rule = (&'static str, fn(&Plugin));
/// A rule that holds between a backend and another.
type PairRule = (&'static str, fn(&Plugin, &Plugin));

fn main() {
    killed::take_over_if_child();
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for backend in BACKENDS {
        let rules = [
            files::RULES,
            hostile::RULES,
            forged::RULES,
            killed::RULES,
            incremental::RULES,
            difference::RULES,
            interrupted::RULES,
        ];
        for (rule, run) in rules.concat() {
            trials.push(Trial::ignorable_test(format!("{rule}::{backend}"), move || {
                Ok(match find(backend) {
                    Ok(plugin) => {
                        run(&plugin);
                        Completion::Completed
                    }
                    Err(reason) => Completion::ignored_with(reason),
                })
            }));
        }
        for to in BACKENDS.into_iter().filter(|to| *to != backend) {
            for (rule, run) in pairs::RULES {
                trials.push(Trial::ignorable_test(format!("{rule}::{backend}::{to}"), move || {
                    Ok(match (find(backend), find(to)) {
                        (Ok(from), Ok(to)) => {
                            run(&from, &to);
                            Completion::Completed
                        }
                        (Err(reason), _) | (_, Err(reason)) => Completion::ignored_with(reason),
                    })
                }));
            }
        }
    }
    trials.push(Trial::test("nothing_is_left_of_a_copy_whose_database_writes_to_its_end", || {
        pairs::lingering_copy();
        Ok(())
    }));
    libtest_mimic::run(&arguments, trials).exit();
}
