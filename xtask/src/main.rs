//! `cargo xtask`: sets a machine up, builds every plugin's shared library, runs all tests and all benchmarks.
//!
//! It exists so that a new machine needs a Rust toolchain and a C compiler, and nothing that a page of instructions would
//! have to name.

mod bench;
mod conformance;
mod setup;
mod steps;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Set-up and test automation for the SuperVM repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Install the system packages that native libraries need to build (cmake, libclang).
    Setup,
    /// Set up, build everything, run all tests, those of mistakes too, and the conformance suite on every storage plugin's shared library.
    Test {
        /// Passed to the test binaries, such as a part of a test's name; the suite is then left out.
        filter: Vec<String>,
    },
    /// Try the transactions' races under a scheduler, and show that each mistake that can be switched on in them is caught by a
    /// test; a table.
    Mutants,
    /// What takes too long for every change: 100,000 random blocks, and the conformance suite's profile crash on every storage plugin.
    Nightly,
    /// Run the conformance suite on every storage plugin's shared library; a table at the end.
    Conformance {
        /// How thorough, as `supervm-conformance run --help` explains it.
        #[arg(long, default_value = "core")]
        profile: String,
    },
    /// Run all benchmarks and write docs/benchmarks.md; criterion's HTML report stays in the target directory.
    #[command(args_conflicts_with_subcommands = true)]
    Bench {
        /// Passed to the benchmarks, such as a part of a benchmark's name; docs/benchmarks.md is then left alone.
        filter: Option<String>,
        #[command(subcommand)]
        comparison: Option<bench::Comparison>,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Setup => setup::system_packages(),
        Task::Test { filter } => {
            setup::system_packages()?;
            test(&filter)
        }
        Task::Mutants => {
            setup::system_packages()?;
            mutants()
        }
        Task::Nightly => {
            setup::system_packages()?;
            nightly()
        }
        Task::Conformance { profile } => {
            setup::system_packages()?;
            conformance::run(&profile)
        }
        Task::Bench { filter, comparison } => {
            setup::system_packages()?;
            match comparison {
                Some(comparison) => bench::compare(&comparison),
                None => bench::run(filter.as_deref()),
            }
        }
    }
}

/// The backends that a feature of `supervm-tiers` links in are libraries in the first run, and linked in in the second.
fn test(filter: &[String]) -> Result<()> {
    const LINKED: [&str; 8] = [
        "--features",
        "supervm-tiers/all-backends",
        "--test",
        "backends",
        "--test",
        "profiles",
        "--test",
        "crash",
    ];
    steps::cargo(&["build", "--release", "--workspace"])?;
    for selection in [&[][..], &LINKED] {
        let mut test = vec!["test", "--release", "--workspace"];
        test.extend(selection);
        if !filter.is_empty() {
            test.push("--");
            test.extend(filter.iter().map(String::as_str));
        }
        steps::cargo(&test)?;
    }
    if filter.is_empty() {
        mutants()?;
        conformance::run("core")?;
    }
    Ok(())
}

/// The packages are all selected, so that nothing is compiled anew but the engine.
fn mutants() -> Result<()> {
    let run = |feature, test, filter: &[&str]| {
        let selected = ["test", "--release", "--workspace", "--features", feature, "--test", test];
        steps::cargo(&[&selected, filter].concat())
    };
    run("supervm-engine/shuttle", "interleavings", &[])?;
    run("supervm-engine/mutants", "mvcc", &["--", "--nocapture", "mutants::"])
}

fn nightly() -> Result<()> {
    let tests = ["--test", "block", "--test", "block_random", "--", "--nocapture", "threads_leave"];
    let blocks = [&["test", "--release", "--workspace"][..], &tests].concat();
    steps::cargo_with(&blocks, &[("SUPERVM_BLOCKS", "100000")])?;
    conformance::run("crash")
}
