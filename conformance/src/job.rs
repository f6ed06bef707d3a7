//! What runs in a child process, so that a crash or a hang of a plugin is a result.
//!
//! A child is the running program itself with the job in an environment variable. It answers on its standard output, one
//! line for each [`Answer`], marked so that what a plugin prints cannot be taken for one.

use crate::agree::{self, NeighbourJob};
use crate::case::{CaseResult, Finding, Profile};
use crate::cases;
use crate::fault::{self, preload};
use crate::fixture::Fixture;
use crate::kill::{self, OpenJob, WriterJob};
use crate::target::{Loaded, Target};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, exit};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use supervm_plugin_sdk::{Capabilities, Error, OpenMode, PluginDescriptor, Result};

const VARIABLE: &str = "SUPERVM_CONFORMANCE_JOB";
const MARK: char = '\u{1e}';

/// What a child is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Say what the backend is.
    Describe { target: Target },
    /// Run the cases whose ids come on standard input, one a line.
    Cases {
        target: Target,
        seed: u64,
        profile: Profile,
        /// With the means to let the system fail.
        faults: bool,
        /// With a limit on the size of files in place of small disks.
        limits_files: bool,
    },
    /// Write batches until killed.
    Write(WriterJob),
    /// Open a directory and say what came of it.
    Open(OpenJob),
    /// Do the part of another backend.
    Neighbour(NeighbourJob),
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Answer {
    Described(Box<Description>),
    Refused {
        kind: String,
        message: String,
    },
    /// What the running case is doing.
    Stage(String),
    Ended(Outcome),
    Opened {
        digest: String,
    },
    /// What came of each step of a trace.
    Played(Vec<String>),
}

/// What a backend says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) descriptor: PluginDescriptor,
    /// With the options of the run.
    pub(crate) capabilities: Capabilities,
}

/// What became of a case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result", content = "message")]
pub enum Outcome {
    /// The backend keeps the rule.
    Passed,
    /// The backend breaks the rule; the text names what differed.
    Failed(String),
    /// The process that ran the case died; the text has the signal.
    Crashed(String),
    /// The case did not end in time; the text says what it was doing.
    TimedOut(String),
    /// The rule does not apply or cannot be tried; the text says why.
    Skipped(String),
}

impl Outcome {
    /// Is the backend at fault?
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Crashed(_) | Self::TimedOut(_))
    }

    /// The outcome as one word: `passed`, `failed`, `crashed`, `timed_out`, `skipped`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed(_) => "failed",
            Self::Crashed(_) => "crashed",
            Self::TimedOut(_) => "timed_out",
            Self::Skipped(_) => "skipped",
        }
    }

    /// What differed, or why it was skipped; empty when it passed.
    pub fn message(&self) -> &str {
        match self {
            Self::Passed => "",
            Self::Failed(text) | Self::Crashed(text) | Self::TimedOut(text) => text,
            Self::Skipped(reason) => reason,
        }
    }
}

/// Does the work of a child and ends the process, when this process was started as a child of the suite.
///
/// A program that runs the suite calls it first in its `main`: the suite starts the running program again.
pub fn take_over_if_child() {
    let Ok(job) = std::env::var(VARIABLE) else { return };
    match serde_json::from_str(&job) {
        Ok(job) => exit(work(job)),
        Err(error) => {
            eprintln!("the variable {VARIABLE} holds no job: {error}");
            exit(2);
        }
    }
}

impl Job {
    /// The command that starts this program again with the job.
    pub(crate) fn command(&self) -> io::Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.env(VARIABLE, serde_json::to_string(self)?);
        if let Self::Cases { faults: true, .. } = self
            && let Some(value) = preload::value()?
        {
            command.env(preload::VARIABLE, value);
        }
        Ok(command)
    }
}

impl Answer {
    /// The answer in this line; `None` when the line is something that a plugin printed.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.strip_prefix(MARK)?).ok()
    }

    pub(crate) fn say(&self) {
        let text = serde_json::to_string(self).expect("an answer has only text and numbers");
        let mut out = io::stdout().lock();
        // The parent may be gone; the child ends at the end of its input then.
        let _ = writeln!(out, "\n{MARK}{text}").and_then(|()| out.flush());
    }

    pub(crate) fn refusal(error: &Error) -> Self {
        Self::Refused { kind: format!("{:?}", error.kind()), message: error.to_string() }
    }
}

/// Tells the parent what the running case does next, for the message when it hangs or crashes.
pub(crate) fn stage(text: impl Into<String>) {
    Answer::Stage(text.into()).say();
}

fn work(job: Job) -> i32 {
    if let Job::Cases { faults: true, limits_files, .. } = job {
        fault::isolate(limits_files);
    }
    let lines = lines_while_the_parent_lives();
    let worked = match job {
        Job::Describe { target } => describe(&target),
        Job::Cases { target, seed, profile, .. } => run_cases(&target, seed, profile, &lines),
        Job::Write(job) => kill::write_until_killed(&job),
        Job::Open(job) => kill::open_and_report(&job),
        Job::Neighbour(job) => agree::work(&job),
    };
    match worked {
        Ok(()) => 0,
        Err(error) => {
            Answer::refusal(&error).say();
            1
        }
    }
}

fn describe(target: &Target) -> Result<()> {
    let loaded = target.load()?;
    let root = tempfile::tempdir().map_err(|error| Error::io("describe", error))?;
    let storage = loaded.open(&root.path().join("store"), OpenMode::Create)?;
    let capabilities = storage.capabilities();
    let descriptor = loaded.plugin.descriptor().clone();
    drop(storage);
    Answer::Described(Box::new(Description { descriptor, capabilities })).say();
    Ok(())
}

/// The lines that the parent writes. When it ends, in whatever way, the system ends this process's input, and that ends the
/// process, whatever it is doing.
fn lines_while_the_parent_lives() -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(io::Result::ok) {
            // Only some jobs take lines.
            let _ = sender.send(line);
        }
        fault::die();
    });
    lines
}

fn run_cases(target: &Target, seed: u64, profile: Profile, ids: &Receiver<String>) -> Result<()> {
    let loaded = target.load()?;
    for id in ids {
        let case = cases::all().find(|case| case.id == id);
        let outcome = match case {
            Some(case) => run_case(&loaded, case, seed, profile),
            None => Outcome::Failed(format!("there is no case \"{id}\"")),
        };
        Answer::Ended(outcome).say();
    }
    Ok(())
}

fn run_case(loaded: &Loaded, case: &crate::Case, seed: u64, profile: Profile) -> Outcome {
    let run = || -> CaseResult {
        let mut fixture = Fixture::new(loaded, case.id, seed, profile)?;
        let lacking = case.needs.iter().find(|capability| !fixture.has(**capability));
        if let Some(capability) = lacking {
            return Err(Finding::Skipped(format!("the backend does not declare {capability}")));
        }
        case.prove(&mut fixture)
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(())) => Outcome::Passed,
        Ok(Err(Finding::Failed(what))) => Outcome::Failed(what),
        Ok(Err(Finding::Skipped(reason))) => Outcome::Skipped(reason),
        Err(payload) => {
            let text = payload.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
            Outcome::Failed(format!("the case panicked: {}", text.unwrap_or("(no message)")))
        }
    }
}
