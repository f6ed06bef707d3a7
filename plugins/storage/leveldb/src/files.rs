//! The names of LevelDB's files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Names the manifest in use; a directory without it holds no database.
pub(crate) const CURRENT: &str = "CURRENT";
pub(crate) const MANIFEST_PREFIX: &str = "MANIFEST-";

/// A file that LevelDB takes for its own by its name, and may delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseFile {
    Log(u64),
    Table(u64),
    Manifest(u64),
    Temporary(u64),
}

impl DatabaseFile {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if let Some(number) = name.strip_prefix(MANIFEST_PREFIX) {
            return Some(Self::Manifest(decimal(number)?));
        }
        let (number, kind) = name.split_once('.')?;
        let number = decimal(number)?;
        match kind {
            "log" => Some(Self::Log(number)),
            "ldb" | "sst" => Some(Self::Table(number)),
            "dbtmp" => Some(Self::Temporary(number)),
            _ => None,
        }
    }
}

fn decimal(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// LevelDB's files in `dir`, with their paths; those with other names are left out.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(DatabaseFile, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(file) = entry.file_name().to_str().and_then(DatabaseFile::parse) {
            files.push((file, entry.path()));
        }
    }
    Ok(files)
}

/// The logs in `dir`, by their numbers, the oldest first.
pub(crate) fn logs(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut logs: Vec<_> = list(dir)?
        .into_iter()
        .filter_map(|(file, path)| match file {
            DatabaseFile::Log(number) => Some((number, path)),
            _ => None,
        })
        .collect();
    logs.sort();
    Ok(logs)
}

/// Where the table with this number is: LevelDB has had two names for it.
pub(crate) fn table(dir: &Path, number: u64) -> Option<PathBuf> {
    let names = [format!("{number:06}.ldb"), format!("{number:06}.sst")];
    names.into_iter().map(|name| dir.join(name)).find(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_leveldb_would_claim_are_its_files() {
        let claimed = [
            ("000005.log", DatabaseFile::Log(5)),
            ("7.ldb", DatabaseFile::Table(7)),
            ("000007.sst", DatabaseFile::Table(7)),
            ("MANIFEST-000002", DatabaseFile::Manifest(2)),
            ("000002.dbtmp", DatabaseFile::Temporary(2)),
        ];
        for (name, file) in claimed {
            assert_eq!(DatabaseFile::parse(name), Some(file), "{name}");
        }
        for name in ["notes.log", "1.log.old", ".log", "+1.log", "MANIFEST-", "MANIFEST-x", "a"] {
            assert_eq!(DatabaseFile::parse(name), None, "{name}");
        }
    }
}
