//! `supervm db`: chain state as an operator sees it.

mod arguments;
mod time;
mod entry;
mod scan;
mod past;
mod inspect;
mod verify;
mod prune;
mod checkpoint;
mod portable;
mod convert;
mod diff;

pub(crate) use arguments::DbArguments;

use super::failure::{Failure, Report};
use super::output::Output;
use arguments::{DbAction, Moment};
use std::io::ErrorKind;
use std::path::Path;
use supervm_engine::history::{AsOf, History};
use supervm_engine::layout::Version;
use supervm_engine::storage::Storage;

/// Does what the action says.
pub(crate) fn db(arguments: DbArguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.action {
        DbAction::Get { profile, key, moment, raw: false } => {
            entry::get(&profile, &key, moment, output)
        }
        DbAction::Get { profile, key, .. } => entry::get_raw(&profile, &key, output),
        DbAction::Put { profile, key, value } => entry::put(&profile, &key, &value, output),
        DbAction::Delete { profile, key } => entry::delete(&profile, &key, output),
        DbAction::Scan(arguments) => scan::scan(&arguments, output),
        DbAction::History { profile, key, limit } => past::history(&profile, &key, limit, output),
        DbAction::Blocks { profile, from, limit } => past::blocks(&profile, from, limit, output),
        DbAction::Stats { profile } => inspect::stats(&profile, output),
        DbAction::Digest { profile, moment, raw: false } => {
            inspect::digest(&profile, moment, output)
        }
        DbAction::Digest { profile, .. } => inspect::digest_raw(&profile, output),
        DbAction::Verify { profile } => verify::verify(&profile, output),
        DbAction::Compact { profile, dry_run } => prune::compact(&profile, dry_run, output),
        DbAction::Prune(arguments) => prune::prune(&arguments, output),
        DbAction::Checkpoint(arguments) => checkpoint::checkpoint(&arguments, output),
        DbAction::Restore(arguments) => checkpoint::restore(&arguments, output),
        DbAction::Export(arguments) => portable::export(&arguments, output),
        DbAction::Import(arguments) => portable::import(&arguments, output),
        DbAction::Convert(arguments) => convert::convert(&arguments, output),
        DbAction::Diff(arguments) => diff::diff(&arguments, output),
    }
}

impl Moment {
    /// The state of `storage` that is meant.
    fn of(self, storage: &Storage) -> Result<AsOf, Failure> {
        let history = History::new(storage.clone())?;
        Ok(match (self.at_block, self.at_version) {
            (Some(number), _) => history.as_of_block(number)?,
            (None, Some(version)) => history.as_of(Version(version))?,
            (None, None) => history.latest()?,
        })
    }
}

/// People see that a command without a result is done by its silence.
fn done(output: &mut Output, value: &serde_json::Value) -> Result<(), Failure> {
    if output.is_json() { output.object(value) } else { Ok(()) }
}

/// A number of bytes, and what that is in a unit that people read.
fn bytes_told(bytes: u64) -> String {
    format!("{} ({})", indicatif::HumanBytes(bytes), indicatif::HumanCount(bytes))
}

/// The same, where the backend may not know it.
fn disk_told(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), bytes_told)
}

/// Something that is there already, where a command makes something new.
fn exists(path: &Path) -> Failure {
    let report = Report::new(format!("{} exists already", path.display()));
    Failure::failed(report.hint("remove it or name another path; nothing is overwritten"))
}

/// Bytes of all files in `dir`, at whatever depth: what is on disk, and not what a backend makes of it.
fn size_of(dir: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    let unreadable = |error: std::io::Error| {
        Failure::failed(Report::new(format!("cannot read {}", dir.display())).cause(error))
    };
    for entry in std::fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let metadata = match entry.metadata() {
            // The backend removed it since its name was read.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            metadata => metadata.map_err(unreadable)?,
        };
        bytes += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_size_does_not_mind_files_that_are_removed_meanwhile() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("kept"), [0; 100]).expect("it can be written to");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let names = (0..50).map(|number| dir.path().join(number.to_string()));
                    names.clone().for_each(|name| fs::write(name, []).expect("as above"));
                    names.for_each(|name| fs::remove_file(name).expect("it is there"));
                }
            });
            let sizes: Vec<_> = (0..2000).map(|_| size_of(dir.path()).ok()).collect();
            is_over.store(true, Ordering::Relaxed);
            assert!(sizes.iter().all(|size| *size == Some(100)));
        });
    }
}
