//! Host packs: their functions are listed and tried in a process of their own.

use super::this_program;
use crate::cli::failure::{Failure, Report};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use supervm_conformance::pack::{Pack, PackCase};
use supervm_plugin_sdk::host::{StateAccess, ValueType};
use supervm_plugin_sdk::load::PackFunction;

/// Time for all calls of all functions.
const DEADLINE: Duration = Duration::from_secs(120);
/// Most bytes that a child may answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Begins the lines of the child's own; a pack may print others.
const MARK: char = '\u{1e}';

/// A function as it is listed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FunctionRow {
    name: String,
    params: Vec<(String, String)>,
    result: Option<String>,
    gas: u64,
    gas_per_byte: u64,
    gas_lengths: Vec<String>,
    state: String,
    doc: String,
}

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Functions(Vec<FunctionRow>),
    /// The function that is tried next.
    Trying(String),
    Tried(Vec<PackCase>),
    Refused(String),
}

/// What came of trying a pack.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub(super) functions: Vec<FunctionRow>,
    pub(super) cases: Vec<PackCase>,
    /// How the process ended before it was done: in which function, and by what.
    pub(super) crash: Option<String>,
}

/// The functions of the pack at `path`, which the loader accepts.
pub(super) fn functions(path: &Path) -> Result<Vec<FunctionRow>, Failure> {
    let tried = ask(path, None, |_| ())?;
    match tried.crash {
        None => Ok(tried.functions),
        Some(crash) => Err(Failure::failed(Report::new(crash))),
    }
}

/// Calls every function of the pack at `path`; `progress` is told each function's name before.
pub(super) fn try_all(
    path: &Path,
    seed: u64,
    progress: impl FnMut(&str),
) -> Result<Tried, Failure> {
    ask(path, Some(seed), progress)
}

/// The child's half: what it does with the library at `path`.
pub(super) fn child(path: &Path, seed: Option<u64>) -> ExitCode {
    let pack = match Pack::file(path) {
        Ok(pack) => pack,
        Err(error) => {
            say(&Answer::Refused(error.to_string()));
            return ExitCode::FAILURE;
        }
    };
    say(&Answer::Functions(pack.functions().iter().map(FunctionRow::new).collect()));
    if let Some(seed) = seed {
        let cases = pack.check(seed, |function| say(&Answer::Trying(function.to_owned())));
        say(&Answer::Tried(cases));
    }
    ExitCode::SUCCESS
}

fn say(answer: &Answer) {
    let text = serde_json::to_string(answer).expect("an answer has only text and numbers");
    let mut stdout = std::io::stdout().lock();
    // A parent that is gone needs no answer.
    let _ = writeln!(stdout, "\n{MARK}{text}").and_then(|()| stdout.flush());
}

fn ask(path: &Path, seed: Option<u64>, progress: impl FnMut(&str)) -> Result<Tried, Failure> {
    let mut program = this_program(["plugin", "probe-pack"])?;
    program.args(seed.map(|seed| format!("--seed={seed}"))).arg(path);
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = program.spawn()?;
    let answers = read_answers(child.stdout.take().expect("stdout is a pipe"));
    let mut asked = Asked { tried: Tried::default(), at: "the list of functions".to_owned() };
    let in_time = asked.follow(&answers, progress);
    if !in_time {
        child.kill()?;
    }
    let status = child.wait()?;
    let mut tried = asked.tried;
    if tried.crash.is_none() && !status.success() {
        let how = match status.signal() {
            _ if !in_time => format!("did not end within {} s", DEADLINE.as_secs()),
            Some(signal) => format!("was ended by signal {signal}"),
            None => format!("ended with {status}"),
        };
        tried.crash = Some(format!("in {} the process {how}", asked.at));
    }
    Ok(tried)
}

/// What the child has said so far, and where it is.
struct Asked {
    tried: Tried,
    at: String,
}

impl Asked {
    /// Takes answers until the child has no more; `false` when its time is over before.
    fn follow(&mut self, answers: &mpsc::Receiver<Answer>, mut progress: impl FnMut(&str)) -> bool {
        let ends_at = Instant::now() + DEADLINE;
        loop {
            match answers.recv_timeout(ends_at.saturating_duration_since(Instant::now())) {
                Ok(Answer::Functions(functions)) => self.tried.functions = functions,
                Ok(Answer::Trying(function)) => {
                    progress(&function);
                    self.at = format!("the function {function}");
                }
                Ok(Answer::Tried(cases)) => self.tried.cases = cases,
                Ok(Answer::Refused(message)) => self.tried.crash = Some(message),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }
}

fn read_answers(stdout: impl Read + Send + 'static) -> mpsc::Receiver<Answer> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout.take(ANSWER_BYTES_MAX)).lines().map_while(Result::ok) {
            let answer = line.strip_prefix(MARK).and_then(|text| serde_json::from_str(text).ok());
            if answer.is_some_and(|answer| sender.send(answer).is_err()) {
                return;
            }
        }
    });
    receiver
}

impl FunctionRow {
    fn new(function: &PackFunction) -> Self {
        let named = |(name, kind): &(String, ValueType)| (name.clone(), kind.to_string());
        let length = |index: &usize| function.params[*index].0.clone();
        Self {
            name: function.name().to_owned(),
            params: function.params.iter().map(named).collect(),
            result: function.result.map(|kind| kind.to_string()),
            gas: function.gas_base,
            gas_per_byte: function.gas_per_byte,
            gas_lengths: function.gas_lengths.iter().map(length).collect(),
            state: match function.state {
                StateAccess::None => "none",
                StateAccess::Read => "read",
                StateAccess::Write => "write",
            }
            .to_owned(),
            doc: function.doc().to_owned(),
        }
    }
}

impl fmt::Display for FunctionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let params: Vec<_> =
            self.params.iter().map(|(name, kind)| format!("{name}: {kind}")).collect();
        write!(f, "{}({})", self.name, params.join(", "))?;
        if let Some(result) = &self.result {
            write!(f, " -> {result}")?;
        }
        write!(f, "  gas {}", self.gas)?;
        if self.gas_per_byte > 0 {
            write!(f, " + {} a byte of {}", self.gas_per_byte, self.gas_lengths.join(", "))?;
        }
        if self.state != "none" {
            write!(f, ", {}s state", self.state)?;
        }
        if self.doc.is_empty() { Ok(()) } else { write!(f, "  {}", self.doc) }
    }
}
