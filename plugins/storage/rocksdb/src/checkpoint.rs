//! Checkpoints: hard links to the tables, copies of the small files, and a list of the copies.
//!
//! RocksDB cannot tell a manifest or a log that was cut short, by a copy that did not finish say, from what a power cut leaves, and opens
//! what is left as an older database. In a checkpoint nothing is unfinished. So its file `CHECKPOINT` has the length and the CRC-32C of
//! each manifest and log, and they have to agree until the checkpoint is first opened for writing: RocksDB then begins a new manifest.

use crate::database::{Database, DirName, FileKind, file_kind, manifest_in_use};
use crate::error::failed;
use crc32c::crc32c_append;
use rocksdb::checkpoint::Checkpoint;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write as _};
use std::path::Path;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Lines of `name bytes crc32c`, the last in hexadecimal.
const LIST_FILE: &str = "CHECKPOINT";
const READ_BYTES: usize = 64 << 10;

/// Makes `target` with what `database` holds.
pub(crate) fn create(database: &Database, target: &Path) -> Result<()> {
    let io = |error| Error::io("checkpoint", error);
    if database.is_read_only() {
        copy_files(database.dir(), target).map_err(io)?;
    } else {
        let refused = || {
            let message = "the target has no parent directory; name a directory to be made";
            Error::new(ErrorKind::InvalidArgument, "checkpoint", message)
        };
        let (parent, name) = target.parent().zip(target.file_name()).ok_or_else(refused)?;
        let parent = DirName::new(parent)?;
        Checkpoint::new(&database.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint(parent.path().join(name)))
            .map_err(|error| failed("checkpoint", error))?;
    }
    write_list(target).map_err(io)
}

/// As RocksDB's checkpoint, which it does not make of a database that is open read-only. Nobody changes a file meanwhile.
fn copy_files(source: &Path, target: &Path) -> io::Result<()> {
    fs::create_dir(target)?;
    for entry in fs::read_dir(source)? {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let copy = target.join(&name);
        match file_kind(&name.to_string_lossy()) {
            // On another file system there are no links.
            FileKind::Table if fs::hard_link(&path, &copy).is_ok() => {}
            FileKind::LevelDbTable | FileKind::Other => {}
            _ => drop(fs::copy(&path, &copy)?),
        }
    }
    Ok(())
}

fn write_list(dir: &Path) -> io::Result<()> {
    let mut list = String::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if let FileKind::List | FileKind::Log = file_kind(&name) {
            let Sum { bytes, crc } = Sum::of(&entry.path())?;
            let _ = writeln!(list, "{name} {bytes} {crc:08x}");
        }
    }
    let mut file = File::create_new(dir.join(LIST_FILE))?;
    file.write_all(list.as_bytes())?;
    file.sync_all()?;
    File::open(dir)?.sync_all()
}

/// Is `dir`, when it is a checkpoint that was not written to, as it was made?
///
/// # Errors
/// `Corruption`, `Io`.
pub(crate) fn check(dir: &Path) -> Result<()> {
    let io = |error| Error::io("open", error);
    let list = match fs::read(dir.join(LIST_FILE)) {
        Ok(list) => list,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
    };
    let list = String::from_utf8_lossy(&list);
    let listed: Option<Vec<_>> = list.lines().map(parse).collect();
    let listed = listed.filter(|listed| !listed.is_empty());
    let listed = listed.ok_or_else(|| damaged(LIST_FILE, "it is no list of files"))?;
    let manifest = manifest_in_use(dir);
    if !listed.iter().any(|(name, _)| Some(*name) == manifest.as_deref()) {
        // It was opened for writing, and something ended that before the list was removed.
        return Ok(());
    }
    for (name, expected) in listed {
        let found = match Sum::of(&dir.join(name)) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(name, "it is missing"));
            }
            Err(error) => return Err(io(error)),
        };
        if found.bytes != expected.bytes {
            let what = format!("it has {} bytes of {}", found.bytes, expected.bytes);
            return Err(damaged(name, &what));
        }
        if found.crc != expected.crc {
            return Err(damaged(name, "it has another content"));
        }
    }
    Ok(())
}

/// What a file holds, in short.
#[derive(Default)]
struct Sum {
    bytes: u64,
    crc: u32,
}

impl Sum {
    fn of(path: &Path) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(READ_BYTES, File::open(path)?);
        let mut sum = Self::default();
        loop {
            let part = file.fill_buf()?;
            if part.is_empty() {
                return Ok(sum);
            }
            let length = part.len();
            sum.bytes += length as u64;
            sum.crc = crc32c_append(sum.crc, part);
            file.consume(length);
        }
    }
}

fn parse(line: &str) -> Option<(&str, Sum)> {
    let mut fields = line.split(' ');
    let (name, bytes, crc) = (fields.next()?, fields.next()?, fields.next()?);
    let is_copied = matches!(file_kind(name), FileKind::List | FileKind::Log);
    let is_whole = is_copied && fields.next().is_none() && crc.len() == 8;
    let sum = Sum { bytes: bytes.parse().ok()?, crc: u32::from_str_radix(crc, 16).ok()? };
    is_whole.then_some((name, sum))
}

fn damaged(file: &str, what: &str) -> Error {
    let message = "a file of the checkpoint is not what it was when the checkpoint was made; copy the checkpoint again";
    Error::new(ErrorKind::Corruption, "open", message).with("file", file).with("damage", what)
}

/// Makes a checkpoint a database like any other, after its first open for writing.
pub(crate) fn forget(dir: &Path) -> Result<()> {
    match fs::remove_file(dir.join(LIST_FILE)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::io("open", error)),
        _ => Ok(()),
    }
}
