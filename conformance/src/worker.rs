//! The parent's half of a child process.

use crate::job::{Answer, Job, Outcome};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Bytes of a dead child's standard error that a message shows.
const ERROR_TAIL_BYTES: usize = 2000;

/// A running child; killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    answers: Receiver<Answer>,
    errors: Arc<Mutex<Vec<u8>>>,
    drained: Option<JoinHandle<()>>,
    usable: bool,
}

/// How a child stopped answering.
#[derive(Debug)]
pub(crate) enum Silence {
    /// It died; the text says how.
    Died(String),
    /// The deadline passed, and the child was killed.
    Late,
}

impl Worker {
    pub(crate) fn start(job: &Job) -> io::Result<Self> {
        let mut command = job.command()?;
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn()?;
        let (sender, answers) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().expect("stdout is piped"));
        thread::spawn(move || {
            // A plugin may print what is no UTF-8; such a line is no answer.
            for line in out.split(b'\n').map_while(Result::ok) {
                let answer = str::from_utf8(&line).ok().and_then(Answer::parse);
                if answer.is_some_and(|answer| sender.send(answer).is_err()) {
                    return;
                }
            }
        });
        let errors = Arc::default();
        let err = child.stderr.take().expect("stderr is piped");
        let drained = Some(thread::spawn({
            let errors = Arc::clone(&errors);
            move || keep_tail(err, &errors)
        }));
        Ok(Self { child, answers, errors, drained, usable: true })
    }

    /// The next answer, for which the child has until `deadline`.
    pub(crate) fn answer(&mut self, deadline: Instant) -> Result<Answer, Silence> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.answers.recv_timeout(left) {
            Ok(answer) => Ok(answer),
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                Err(Silence::Late)
            }
            Err(RecvTimeoutError::Disconnected) => Err(Silence::Died(self.post_mortem())),
        }
    }

    /// Can it run another case?
    pub(crate) fn is_usable(&self) -> bool {
        self.usable
    }

    /// Runs one case.
    pub(crate) fn run(&mut self, id: &str, allowed: Duration) -> Outcome {
        let deadline = Instant::now() + allowed;
        let input = self.child.stdin.as_mut().expect("stdin is piped");
        // When the child is gone, its last answer or its death says why.
        let _ = writeln!(input, "{id}").and_then(|()| input.flush());
        let mut stage = String::new();
        loop {
            match self.answer(deadline) {
                Ok(Answer::Ended(outcome)) => return outcome,
                Ok(Answer::Stage(text)) => stage = format!(" while {text}"),
                Ok(Answer::Refused { kind, message }) => {
                    self.usable = false;
                    return Outcome::Failed(format!(
                        "the plugin could not be loaded: {kind}: {message}"
                    ));
                }
                Ok(_) => {}
                Err(Silence::Late) => {
                    self.usable = false;
                    return Outcome::TimedOut(format!(
                        "no end after {} s{stage}",
                        allowed.as_secs()
                    ));
                }
                Err(Silence::Died(how)) => {
                    self.usable = false;
                    return Outcome::Crashed(format!("{how}{stage}"));
                }
            }
        }
    }

    pub(crate) fn kill(&mut self) {
        // A child that has ended already is as dead as it should be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn post_mortem(&mut self) -> String {
        let how = self.child.wait().map_or_else(|error| error.to_string(), describe);
        if let Some(drained) = self.drained.take() {
            let _ = drained.join();
        }
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&errors);
        if text.trim().is_empty() { how } else { format!("{how}, saying {:?}", text.trim()) }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn keep_tail(mut from: impl Read, tail: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut chunk) {
        let mut tail = tail.lock().unwrap_or_else(PoisonError::into_inner);
        tail.extend_from_slice(&chunk[..count]);
        let surplus = tail.len().saturating_sub(ERROR_TAIL_BYTES);
        tail.drain(..surplus);
    }
}

fn describe(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else { return format!("the process ended: {status}") };
    let name = match signal {
        4 => "SIGILL",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        _ => return format!("the process was killed by signal {signal}"),
    };
    format!("the process was killed by {name}")
}
