//! The other backends at hand, each in a process of its own, and what they say to the same operations.

pub(crate) mod trace;

use crate::case::CaseResult;
use crate::check::failed;
use crate::fixture::storage_digest;
use crate::job::{Answer, Job};
use crate::kill::{OpenJob, Opening, open_elsewhere};
use crate::target::Target;
use crate::worker::Worker;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use supervm_plugin_sdk::{Error, ErrorKind, OpenMode, Result, load};
use trace::Trace;

/// Time that another backend has for its part.
const NEIGHBOUR_DEADLINE: Duration = Duration::from_secs(20);

/// A backend beside the one that is tested.
#[derive(Debug)]
pub(crate) struct Neighbour {
    target: Target,
    name: String,
}

/// What a neighbour's process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum NeighbourJob {
    /// Make a storage with some content in `dir`, close it, and tell its digest.
    Fill { target: Target, dir: PathBuf },
    /// Play a trace in `dir` and tell what came of each step.
    Play { target: Target, dir: PathBuf, trace: Trace },
}

impl Neighbour {
    /// For a library the others in its directory, for a linked-in backend the others that are linked in.
    pub(crate) fn all(of: &Target) -> CaseResult<Vec<Self>> {
        let Some(path) = of.path() else {
            let names = load::linked()?.into_iter().map(|plugin| plugin.descriptor().name.clone());
            let others = names.map(|name| Self { target: Target::linked(&name), name });
            return Ok(others.filter(|other| other.target.is_other_than(of)).collect());
        };
        let own = fs::canonicalize(path)?;
        let mut others = Vec::new();
        for entry in fs::read_dir(own.parent().unwrap_or(Path::new("/")))? {
            let library = entry?.path();
            let file_name = library.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let name = file_name.strip_prefix("libsupervm_storage_");
            let name = name.and_then(|name| name.strip_suffix(".so"));
            if let Some(name) = name.filter(|_| library != own) {
                others.push(Self { name: name.to_owned(), target: Target::file(&library) });
            }
        }
        others.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(others)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Makes a storage with some content in `dir` and returns its digest; `None` when it cannot be loaded, or does not find
    /// its own content again.
    pub(crate) fn fill(&self, dir: &Path) -> CaseResult<Option<String>> {
        let job = NeighbourJob::Fill { target: self.target.clone(), dir: dir.to_owned() };
        match ask(job)? {
            Ok(Answer::Opened { digest }) => {
                Ok(self.digest(dir).ok().filter(|found| *found == digest))
            }
            Ok(_) | Err(()) => Ok(None),
        }
    }

    /// The digest of what it has in `dir`.
    pub(crate) fn digest(&self, dir: &Path) -> CaseResult<String> {
        let job = OpenJob { target: self.target.clone(), dir: dir.to_owned(), read_only: false };
        match open_elsewhere(job)? {
            Opening::Digest(digest) => Ok(digest),
            Opening::Refused(kind) => {
                failed(format!("{} no longer opens its own directory: {kind}", self.name))
            }
        }
    }

    /// What it says to each step of `trace`; `None` when it cannot be loaded or cannot play it.
    pub(crate) fn play(&self, dir: &Path, trace: Trace) -> CaseResult<Option<Vec<String>>> {
        let job = NeighbourJob::Play { target: self.target.clone(), dir: dir.to_owned(), trace };
        match ask(job)? {
            Ok(Answer::Played(lines)) => Ok(Some(lines)),
            Ok(_) | Err(()) => Ok(None),
        }
    }
}

/// The answer of a child; `Err` when it has none, which is its own run's matter.
fn ask(job: NeighbourJob) -> CaseResult<std::result::Result<Answer, ()>> {
    let mut worker = Worker::start(&Job::Neighbour(job))?;
    Ok(worker.answer(Instant::now() + NEIGHBOUR_DEADLINE).map_err(drop))
}

/// The child's half.
pub(crate) fn work(job: &NeighbourJob) -> Result<()> {
    let unread = |finding| Error::new(ErrorKind::Internal, "read", format!("{finding:?}"));
    match job {
        NeighbourJob::Fill { target, dir } => {
            let storage = target.load()?.open(dir, OpenMode::Create)?;
            trace::write_some(&*storage)?;
            let digest = storage_digest(&*storage).map_err(unread)?;
            storage.close()?;
            Answer::Opened { digest }.say();
        }
        NeighbourJob::Play { target, dir, trace } => {
            let storage = target.load()?.open(dir, OpenMode::Create)?;
            Answer::Played(trace.on_storage(&*storage).map_err(unread)?).say();
        }
    }
    Ok(())
}
