//! Loading a library in a child process, so that one whose code aborts, exits or hangs is reported and not suffered.
//!
//! The child tells of each step before and after it, one JSON line each, so that the parent knows in which step it ended. The
//! lines go through a pipe that is the child's standard input: what a library prints goes elsewhere.
//!
//! This is no sandbox. The library's code runs with the user's rights, and could write lines of its own to the pipe.

use super::library::load;
use super::step::{Event, Inspection, Outcome, Step, StepReport};
use crate::{Error, ErrorKind, Result};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// Time that a library gets unless something else is said.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(10);
/// Most bytes that a child may report.
const REPORT_BYTES_MAX: u64 = 16 << 20;
/// What a child answers when its arguments or its standard input are not those of [`probe`].
const USAGE_EXIT_CODE: u8 = 64;

/// Inspects the library at `path` in a child process, for at most `deadline`.
///
/// `program` is a command that calls [`probe_child`] with the arguments that are appended here: usually this executable and a
/// subcommand of it. Its standard output is discarded; its standard error is as `program` says.
///
/// # Errors
/// `Io` when the child cannot be started; `Internal` when it is no program that calls [`probe_child`]. A library that cannot
/// be loaded, or that ends or stops the child, is no error but the result.
pub fn probe(
    mut program: Command,
    path: &Path,
    root: &Path,
    pin: Option<&str>,
    deadline: Duration,
) -> Result<Inspection> {
    let io = |error| Error::io("probe library", error);
    let ends_at = Instant::now() + deadline;
    let (reader, writer) = std::io::pipe().map_err(io)?;
    program.arg(path).arg(root).args(pin);
    program.stdin(writer).stdout(Stdio::null()).process_group(0);
    let child = program.spawn().map_err(io)?;
    // The command holds the pipe's other end; without this its end would never be seen.
    drop(program);
    let mut probing = Probing { inspection: Inspection::new(path), begun: false };
    let finished = probing.follow(&read_events(reader), ends_at);
    let status = end(child, finished, ends_at).map_err(io)?;
    probing.conclude(finished, status, deadline)
}

/// The child's half of [`probe`]: what a program calls with the arguments that were appended to its command.
///
/// Returns when the library was loaded or refused, with success in both cases: the report says which.
pub fn probe_child(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let pin = arguments.get(2).map(|pin| pin.to_string_lossy());
    let pipe = std::io::stdin().as_fd().try_clone_to_owned();
    let ([path, root] | [path, root, _], Ok(pipe)) = (&arguments[..], pipe) else {
        return ExitCode::from(USAGE_EXIT_CODE);
    };
    // SAFETY: the call takes integers. A parent that is killed cannot end a library that hangs; the system does it then.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let mut pipe = File::from(pipe);
    let outcome = load(path.as_ref(), root.as_ref(), pin.as_deref(), &mut |event| {
        let line = serde_json::to_string(&event).expect("events serialise");
        // A parent that is gone needs no report.
        let _ = writeln!(pipe, "{line}");
    });
    // What the error says is in the report.
    drop(outcome);
    ExitCode::SUCCESS
}

/// The child's events, read by a thread of its own, which ends with the pipe.
fn read_events(pipe: PipeReader) -> Receiver<Event> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(pipe.take(REPORT_BYTES_MAX)).lines() {
            let event = line.ok().and_then(|line| serde_json::from_str(&line).ok());
            let Some(event) = event else { return };
            if sender.send(event).is_err() {
                return;
            }
        }
    });
    receiver
}

/// How the child's report ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Finished {
    /// With the last event that there can be.
    Whole,
    /// In the middle: the child closed the pipe.
    Cut,
    /// Not in time.
    Late,
}

struct Probing {
    inspection: Inspection,
    begun: bool,
}

impl Probing {
    fn follow(&mut self, events: &Receiver<Event>, ends_at: Instant) -> Finished {
        loop {
            let left = ends_at.saturating_duration_since(Instant::now());
            let event = match events.recv_timeout(left) {
                Ok(event) => event,
                Err(RecvTimeoutError::Timeout) => return Finished::Late,
                Err(RecvTimeoutError::Disconnected) => return Finished::Cut,
            };
            self.begun = true;
            self.inspection.apply(event);
            if self.inspection.descriptor.is_some() || self.inspection.failure().is_some() {
                return Finished::Whole;
            }
        }
    }

    fn conclude(
        mut self,
        finished: Finished,
        status: ExitStatus,
        deadline: Duration,
    ) -> Result<Inspection> {
        if finished == Finished::Whole {
            return Ok(self.inspection);
        }
        let how = match finished {
            Finished::Late => format!("did not finish within {} s", deadline.as_secs_f64()),
            _ => ended(status),
        };
        if !self.begun {
            let message = format!(
                "the program that was started to load the library {how}; it has to call probe_child"
            );
            return Err(Error::new(ErrorKind::Internal, "probe library", message));
        }
        let unfinished = |report: &&StepReport| report.outcome == Outcome::NotReached;
        let step = self.inspection.steps.iter().find(unfinished);
        let step = step.map_or(Step::Descriptor, |report| report.step);
        let who = match step {
            Step::Link => "the library's constructor",
            Step::Descriptor => "the plugin, asked for its descriptor,",
            _ => "the check",
        };
        let kind =
            if finished == Finished::Late { ErrorKind::Timeout } else { ErrorKind::Internal };
        let message =
            format!("probe library: {who} {how} (path: {})", self.inspection.path.display());
        let outcome = Outcome::Failed { kind, message };
        self.inspection.apply(Event::End(StepReport { step, outcome }));
        Ok(self.inspection)
    }
}

/// Waits for the child, and ends it and what it started when its time is over.
fn end(mut child: Child, finished: Finished, ends_at: Instant) -> std::io::Result<ExitStatus> {
    // A child that closed the pipe is about to end by itself, and how it does is what is to be reported.
    while finished == Finished::Cut && Instant::now() < ends_at {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(1));
    }
    let group = i32::try_from(child.id()).expect("a process id is an i32");
    // SAFETY: the call takes integers. The child was not waited for, so its id is still that of its group.
    unsafe { libc::kill(-group, libc::SIGKILL) };
    child.wait()
}

fn ended(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(libc::SIGABRT), _) => "aborted (SIGABRT)".to_owned(),
        (Some(signal), _) => format!("was ended by {}", signal_name(signal)),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => format!("ended with {status}"),
    }
}

fn signal_name(signal: i32) -> String {
    let known = [
        (libc::SIGILL, "SIGILL"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGSYS, "SIGSYS"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGTRAP, "SIGTRAP"),
    ];
    let name = known.into_iter().find(|(number, _)| *number == signal);
    name.map_or_else(|| format!("signal {signal}"), |(_, name)| format!("{name} (signal {signal})"))
}
