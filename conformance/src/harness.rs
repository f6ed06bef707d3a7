//! The suite as a test of a plugin's crate: each case is one test.

use crate::case::Case;
use crate::cases;
use crate::job::{Outcome, take_over_if_child};
use crate::run::{Pool, Run};
use crate::target::Target;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
use std::process::exit;
use std::sync::Arc;

/// Repeats the test data of an earlier run.
const SEED_VARIABLE: &str = "SUPERVM_CONFORMANCE_SEED";
/// How the ids begin of the cases that are run a second time, with a limit on the size of files in place of a small disk.
const FULL_DISK_CASES: &str = "faults.disk_full.";
/// What the names of those second tests end in.
const LIMITED: &str = ".limit_files";

/// Runs the suite on the linked-in backend `backend` and ends the process: the whole `main` of a test with `harness = false`.
///
/// Takes the arguments of a Rust test program and speaks its protocol, so that `cargo test` and `cargo nextest` can list and
/// select cases. Each case runs in a child process: this program, started again. Cases of full disks run twice, the second time, in a
/// test whose name ends in `.limit_files`, as where no small disk may be mounted. The environment variable
/// `SUPERVM_CONFORMANCE_SEED` repeats the test data of an earlier run; a failed case names the seed.
///
/// # Examples
/// The body of `main`, in a file that begins with `use supervm_storage_memory as _;`:
/// ```no_run
/// supervm_conformance::main("memory")
/// ```
pub fn main(backend: &str) -> ! {
    take_over_if_child();
    run_as_tests(Target::linked(backend))
}

/// As [`main`], on any target.
pub fn run_as_tests(target: Target) -> ! {
    take_over_if_child();
    let arguments = Arguments::from_args();
    let mut run = Run::new(target);
    if let Ok(seed) = std::env::var(SEED_VARIABLE) {
        run.seed = seed.parse().unwrap_or_else(|error| {
            eprintln!("{SEED_VARIABLE} is \"{seed}\", which is no number: {error}");
            exit(2)
        });
    }
    if !arguments.list {
        println!("{SEED_VARIABLE}={}", run.seed);
    }
    let limited = Arc::new(Pool::new(Run { limits_files: true, ..run.clone() }));
    let pool = Arc::new(Pool::new(run));
    let mut trials: Vec<_> = cases::all().map(|case| trial(case, case.id.into(), &pool)).collect();
    // Whoever may mount a small disk tries also what happens where nobody may.
    let of_full_disks = cases::all().filter(|case| case.id.starts_with(FULL_DISK_CASES));
    trials.extend(of_full_disks.map(|case| {
        let name = format!("{}{LIMITED}", case.id);
        trial(case, name, &limited)
    }));
    let conclusion = libtest_mimic::run(&arguments, trials);
    // `exit` runs no destructors; the children end here.
    drop((pool, limited));
    conclusion.exit()
}

fn trial(case: &'static Case, name: String, pool: &Arc<Pool>) -> Trial {
    let pool = Arc::clone(pool);
    Trial::ignorable_test(name, move || {
        let outcome = pool.run(case).outcome;
        match &outcome {
            Outcome::Passed => Ok(Completion::Completed),
            Outcome::Skipped(reason) => Ok(Completion::ignored_with(reason)),
            failure => Err(Failed::from(format!(
                "{}: {}\nrule: {}\nclauses: {:?}; replay: {SEED_VARIABLE}={}",
                failure.word(),
                failure.message(),
                case.rule,
                case.clauses,
                pool.seed()
            ))),
        }
    })
}
