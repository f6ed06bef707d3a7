//! Running cases in child processes.

use crate::case::{Case, Profile};
use crate::job::{Answer, Description, Job, Outcome};
use crate::report::{CaseReport, Report};
use crate::target::Target;
use crate::worker::{Silence, Worker};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Time that a backend may take to load and to open an empty directory.
const DESCRIBE_DEADLINE: Duration = Duration::from_secs(30);

/// How cases are run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The backend.
    pub target: Target,
    /// Decides all test data; the same seed gives the same run.
    pub seed: u64,
    /// How thorough.
    pub profile: Profile,
    /// Child processes at once, at least 1.
    pub jobs: usize,
    /// Replaces every case's own deadline, seconds.
    pub deadline_seconds: Option<u64>,
    /// Lets a limit on the size of files stand for every full disk, as happens by itself where no small disk may be mounted.
    pub limits_files: bool,
}

impl Run {
    /// A run of the core profile with a new seed, with a child process for each processor.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            seed: new_seed(),
            profile: Profile::Core,
            jobs: thread::available_parallelism().map_or(1, usize::from),
            deadline_seconds: None,
            limits_files: false,
        }
    }

    /// Runs `cases` and calls `progress` after each, in the order in which they end.
    ///
    /// # Errors
    /// What the backend refused when it was loaded, configured and opened once; `Internal` when it crashed or hung doing so, or no
    /// child process could be started.
    pub fn execute(
        &self,
        cases: &[&'static Case],
        mut progress: impl FnMut(&CaseReport),
    ) -> Result<Report> {
        let description = self.describe()?;
        let started = Instant::now();
        let pool = Pool::new(self.clone());
        // The longest begin first, so that none is left alone at the end.
        let mut order: Vec<usize> = (0..cases.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(cases[*index].deadline_seconds));
        let (next, (sender, ended)) = (AtomicUsize::new(0), mpsc::channel());
        let mut reports: Vec<Option<CaseReport>> = cases.iter().map(|_| None).collect();
        thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, cases.len().max(1)) {
                let (sender, pool, order, next) = (sender.clone(), &pool, &order, &next);
                scope.spawn(move || {
                    while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let report = pool.run(cases[index]);
                        if sender.send((index, report)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (index, report) in ended {
                progress(&report);
                reports[index] = Some(report);
            }
        });
        let reports = reports.into_iter().flatten().collect();
        Report::new(self, &description, reports, started.elapsed())
    }

    /// Loads the backend and opens it once, in a child.
    fn describe(&self) -> Result<Description> {
        let job = Job::Describe { target: self.target.clone() };
        let mut worker = Worker::start(&job).map_err(|error| Error::io("start child", error))?;
        let failed = |what: String| Err(Error::new(ErrorKind::Internal, "load plugin", what));
        match worker.answer(Instant::now() + DESCRIBE_DEADLINE) {
            Ok(Answer::Described(description)) => Ok(*description),
            Ok(Answer::Refused { kind, message }) => {
                let kinds = ErrorKind::ALL.into_iter();
                let kind = kinds.into_iter().find(|known| format!("{known:?}") == kind);
                Err(Error::new(kind.unwrap_or(ErrorKind::Internal), "load plugin", message))
            }
            Ok(other) => failed(format!("the child answered {other:?}")),
            Err(Silence::Died(how)) => failed(format!("while the plugin was loaded, {how}")),
            Err(Silence::Late) => {
                failed(format!("the plugin was not open after {DESCRIBE_DEADLINE:?}"))
            }
        }
    }
}

/// A seed that no other run has.
pub(crate) fn new_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(48)
}

/// Child processes that wait for cases; a case takes one, and puts it back unless it killed it.
#[derive(Debug)]
pub(crate) struct Pool {
    run: Run,
    idle: Mutex<Vec<Worker>>,
}

impl Pool {
    pub(crate) fn new(run: Run) -> Self {
        Self { run, idle: Mutex::default() }
    }

    pub(crate) fn run(&self, case: &'static Case) -> CaseReport {
        let started = Instant::now();
        let allowed = self.run.deadline_seconds.unwrap_or(case.deadline_seconds);
        let taken = if case.faults { Worker::start(&self.job(true)) } else { self.take() };
        let outcome = match taken {
            Ok(mut worker) => {
                let outcome = worker.run(case.id, Duration::from_secs(allowed));
                if worker.is_usable() && !case.faults {
                    self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
                }
                outcome
            }
            Err(error) => Outcome::Failed(format!("no child process could be started: {error}")),
        };
        CaseReport::new(case, outcome, started.elapsed())
    }

    pub(crate) fn seed(&self) -> u64 {
        self.run.seed
    }

    fn take(&self) -> io::Result<Worker> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        idle.map_or_else(|| Worker::start(&self.job(false)), Ok)
    }

    fn job(&self, faults: bool) -> Job {
        let Run { target, seed, profile, limits_files, .. } = &self.run;
        Job::Cases {
            target: target.clone(),
            seed: *seed,
            profile: *profile,
            faults,
            limits_files: *limits_files,
        }
    }
}
