//! What the suite does with the machine: it may let the system fail beneath a backend, and it leaves no process behind.

use crate::fault::Fault;
use crate::{FULL_DISK_CASES, case, run_of, target};
use libtest_mimic::Failed;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use supervm_conformance::{Outcome, Profile, Run, cases};

/// Says to this program that it is to run a case that kills writers, for long.
const RUNNER: &str = "SUPERVM_TEST_RUNNER";
/// Much less than the runner's case takes, which would end its children as well.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a case about faults may be skipped on the sound backend, which reads its file when it is opened and never after.
const MAY_BE_SKIPPED: [&str; 4] = [
    "faults.open_error.while_working",
    "faults.read_error.cursor",
    "faults.read_error.get",
    "faults.read_error.reverse_cursor",
];

pub(crate) fn root_skips_no_fault() -> Result<(), Failed> {
    if fs::metadata("/proc/self")?.uid() != 0 || !cfg!(target_env = "gnu") {
        return Ok(());
    }
    let faults: Vec<_> = cases()
        .filter(|case| case.category == 'P' || case.id.starts_with("durability.power_cut."))
        .collect();
    let report = Run::new(target(Fault::None)).execute(&faults, |_| ());
    let skipped: HashMap<_, _> = report
        .map_err(|error| error.to_string())?
        .cases
        .into_iter()
        .filter(|case| matches!(case.outcome, Outcome::Skipped(_)))
        .map(|case| (case.id, case.outcome))
        .collect();
    let surplus: Vec<_> = skipped.iter().filter(|(id, _)| !MAY_BE_SKIPPED.contains(id)).collect();
    if faults.len() < 20 || !surplus.is_empty() {
        return Err(format!("of {} cases, skipped: {surplus:?}", faults.len()).into());
    }
    Ok(())
}

pub(crate) fn limit_stands_for_full_disk() -> Result<(), Failed> {
    let cases: Vec<_> = cases().filter(|case| case.id.starts_with(FULL_DISK_CASES)).collect();
    let run = Run { limits_files: true, ..Run::new(target(Fault::None)) };
    let report = run.execute(&cases, |_| ()).map_err(|error| error.to_string())?;
    let others: Vec<_> = report
        .cases
        .iter()
        .filter(|case| case.outcome != Outcome::Passed)
        .map(|case| (&case.id, &case.outcome))
        .collect();
    if cases.len() < 6 || !others.is_empty() {
        return Err(format!("of {} cases, not passed: {others:?}", cases.len()).into());
    }
    Ok(())
}

/// Runs a case whose process has a child of its own, when this process was started to do so.
pub(crate) fn run_if_runner() {
    if std::env::var_os(RUNNER).is_some() {
        let case = case("durability.kill.synced").expect("the case is listed");
        let mut run = run_of(Fault::None);
        run.profile = Profile::Crash;
        let _ = run.execute(&[case], |_| ());
        std::process::exit(0);
    }
}

pub(crate) fn an_ended_run_leaves_no_child() -> Result<(), Failed> {
    for signal in ["TERM", "INT", "KILL"] {
        // Children inherit the mark, whoever their parent is by then.
        let mark = format!("{RUNNER}={signal}-{}", std::process::id());
        let (name, value) = mark.split_once('=').unwrap_or_default();
        // Who is killed leaves files behind.
        let files = tempfile::tempdir()?;
        // A shell that starts this in the background has SIGINT ignored, which children inherit.
        let mut runner = Command::new("env")
            .arg("--default-signal=INT")
            .arg(std::env::current_exe()?)
            .env(name, value)
            .env("TMPDIR", files.path())
            .stdout(Stdio::null())
            .spawn()?;
        // The runner, the process of the case, and the one that writes and is killed.
        let has_grandchild = wait_for(|| marked(&mark) >= 3);
        let signalled =
            Command::new("kill").args(["-s", signal, &runner.id().to_string()]).status()?.success();
        let status = runner.wait()?;
        if !has_grandchild || !signalled || status.signal().is_none() {
            return Err(format!("{signal}: {has_grandchild}, {signalled}, {status}").into());
        }
        if !wait_for(|| marked(&mark) == 0) {
            return Err(format!("{} children outlive SIG{signal}", marked(&mark)).into());
        }
    }
    Ok(())
}

fn wait_for(condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while !condition() {
        if start.elapsed() > PATIENCE {
            return false;
        }
        sleep(Duration::from_millis(2));
    }
    true
}

/// Living processes that have `mark` in their environment.
fn marked(mark: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("/proc can be read");
    let has_mark = |environment: &Vec<u8>| {
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    processes
        .filter_map(Result::ok)
        .filter_map(|process| fs::read(process.path().join("environ")).ok())
        .filter(has_mark)
        .count()
}
