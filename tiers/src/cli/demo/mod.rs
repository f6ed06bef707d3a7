//! `supervm demo`: what SuperVM does, on built-in contracts and temporary data.
//!
//! Each demo checks its own outcome and fails when it is another than the one that is known.

mod contracts;
mod scheduling;
mod snapshots;
mod transactions;
mod token;

use super::arguments::{DemoArguments, ProfileArguments};
use super::failure::{Failure, Report};
use super::output::{GOOD, HEAD, Output, paint};
use serde::Serialize;
use std::path::Path;
use supervm_engine::runtime::Receipt;
use supervm_tiers::{Node, TierProfile};

/// Which demos to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    All,
    One(&'static str),
}

/// What a demo showed.
#[derive(Debug, Serialize)]
struct Shown {
    demo: &'static str,
    title: &'static str,
    /// What people read.
    #[serde(skip)]
    lines: Vec<String>,
    /// What programs read.
    #[serde(flatten)]
    values: serde_json::Value,
}

/// What people read and what programs read.
type Outcome = Result<(Vec<String>, serde_json::Value), Failure>;

struct Demo {
    name: &'static str,
    title: &'static str,
    show: fn(&Workplace<'_>) -> Outcome,
}

const DEMOS: [Demo; 11] = [
    Demo { name: "1", title: "two numbers added", show: contracts::add },
    Demo { name: "2", title: "storage, events and the chain context", show: contracts::context },
    Demo { name: "3", title: "SHA-256 and Keccak-256", show: contracts::hashes },
    Demo { name: "4", title: "the Ethereum address of a public key", show: contracts::eth_address },
    Demo {
        name: "5",
        title: "parallel execution and conflict detection",
        show: scheduling::parallel,
    },
    Demo { name: "6", title: "state snapshots and rollback", show: snapshots::rollback },
    Demo { name: "7", title: "work stealing by priority", show: scheduling::work_stealing },
    Demo { name: "8", title: "batch operations", show: scheduling::batches },
    Demo { name: "9", title: "transactions over many versions", show: transactions::mvcc },
    Demo { name: "10", title: "automatic garbage collection", show: transactions::auto_gc },
    Demo { name: "token", title: "1,000 transfers on every available backend", show: token::token },
];

/// Where a demo finds its node.
struct Workplace<'a> {
    dir: &'a Path,
    profile: TierProfile,
}

impl Workplace<'_> {
    /// A node over `backend`, with a directory of its own that is removed at the end.
    fn node(&self, backend: &str) -> Result<Node, Failure> {
        let dir = tempfile::tempdir_in(self.dir)?.keep();
        Ok(self.profile.clone().with_backend(backend).with_dir(dir).open()?)
    }
}

/// A demo's name, or `all`.
pub(crate) fn parse_choice(text: &str) -> Result<Choice, String> {
    if text == "all" {
        return Ok(Choice::All);
    }
    let known = DEMOS.iter().find(|demo| demo.name == text);
    let names = DEMOS.map(|demo| demo.name).join(", ");
    known
        .map(|demo| Choice::One(demo.name))
        .ok_or_else(|| format!("there is no demo \"{text}\"; available: {names}, all"))
}

/// Runs the chosen demos, in order.
pub(crate) fn demo(arguments: &DemoArguments, output: &mut Output) -> Result<(), Failure> {
    let temporary = tempfile::tempdir()?;
    let plugins = ProfileArguments::default().profile()?.plugins;
    let profile = TierProfile { plugins, ..TierProfile::default() };
    let workplace = Workplace { dir: temporary.path(), profile };
    let chosen = DEMOS.iter().filter(|demo| match arguments.demo {
        Choice::All => true,
        Choice::One(name) => demo.name == name,
    });
    let mut all_shown = Vec::new();
    for demo in chosen {
        let (lines, values) = (demo.show)(&workplace)?;
        let shown = Shown { demo: demo.name, title: demo.title, lines, values };
        if !output.is_json() {
            shown.print(output)?;
        }
        all_shown.push(shown);
    }
    if output.is_json() {
        return output.object(&serde_json::json!({ "demos": all_shown }));
    }
    Ok(())
}

impl Shown {
    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        output.line(paint(HEAD, format_args!("demo {}: {}", self.demo, self.title)))?;
        self.lines.iter().try_for_each(|line| output.line(format_args!("  {line}")))?;
        output.line(format_args!("  {}\n", paint(GOOD, "ok")))?;
        // Who watches sees a demo when it is done, not when all are.
        output.finish()
    }
}

/// Fails unless the outcome is the known one.
fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, known: &T) -> Result<(), Failure> {
    if found == known {
        return Ok(());
    }
    Err(Failure::failed(Report::new(format!("{what} is {found:?}, but should be {known:?}"))))
}

/// Fails when the call ended in a trap.
fn check_trap(function: &str, receipt: &Receipt) -> Result<(), Failure> {
    receipt.trap.as_ref().map_or(Ok(()), |trap| {
        let message = format!("\"{function}\" ended in the trap {}: {trap}", trap.name());
        Err(Failure::failed(Report::new(message)))
    })
}
