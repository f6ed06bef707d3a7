//! `cargo xtask`: sets a machine up, builds every plugin's shared library, runs all tests and all benchmarks.
//!
//! It exists so that a new machine needs a Rust toolchain and a C compiler, and nothing that a page of instructions would
//! have to name.

mod bench;
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
    /// Set up, build everything, every plugin's shared library included, and run all tests.
    Test {
        /// Passed to the test binaries, such as a part of a test's name.
        filter: Vec<String>,
    },
    /// Run all benchmarks and write docs/benchmarks.md; criterion's HTML report stays in the target directory.
    Bench {
        /// Passed to the benchmarks, such as a part of a benchmark's name; docs/benchmarks.md is then left alone.
        filter: Option<String>,
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
            steps::cargo(&["build", "--release", "--workspace"])?;
            let mut test = vec!["test", "--release", "--workspace", "--all-features"];
            if !filter.is_empty() {
                test.push("--");
                test.extend(filter.iter().map(String::as_str));
            }
            steps::cargo(&test)
        }
        Task::Bench { filter } => {
            setup::system_packages()?;
            bench::run(filter.as_deref())
        }
    }
}
