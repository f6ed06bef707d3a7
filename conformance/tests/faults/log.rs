//! The file of the backend: each batch as one record, appended.
//!
//! ```text
//! record   length u32 LE | FNV-1a of the length u64 LE | FNV-1a of the log u64 LE | operation log
//! ```
//! A record that is cut ends the file: it was being written when the process died. A length or a whole record that does not match its
//! sum was damaged later. Beside the file of a checkpoint lies a seal with its length, so that a cut is noticed there.

use crate::fault::Fault;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use supervm_plugin_sdk::WriteBatch;

const HEADER_BYTES: usize = 20;

/// A record of `batch`.
pub(crate) fn record(batch: &WriteBatch) -> Vec<u8> {
    let log = batch.as_bytes();
    let length = (log.len() as u32).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(sum(&length).to_le_bytes());
    bytes.extend(sum(log).to_le_bytes());
    bytes.extend(log);
    bytes
}

fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

pub(crate) fn append(mut file: &File, batch: &WriteBatch) -> io::Result<()> {
    file.write_all(&record(batch))
}

/// The whole batches of the file at `path`, and the length that they take.
///
/// A record that was damaged is an error.
pub(crate) fn read(path: &Path, fault: Fault) -> io::Result<(Vec<WriteBatch>, u64)> {
    let bytes = fs::read(path)?;
    let (mut rest, mut batches) = (bytes.as_slice(), Vec::new());
    while let Some(Record { expected, log, left }) = split(rest, fault)? {
        if fault == Fault::EmptyRecordEndsTheLog && log.is_empty() {
            break;
        }
        rest = left;
        match fault {
            _ if sum(log) == expected => {}
            Fault::ChecksumIgnored => {}
            Fault::DamagedRecordSkipped => continue,
            Fault::DamageEndsTheLog => break,
            _ => return Err(damaged("a record was damaged")),
        }
        batches.push(WriteBatch::from_bytes(log).map_err(io::Error::other)?);
    }
    if fault != Fault::CutGoesUnnoticed && sealed_length(path)? > bytes.len() as u64 {
        return Err(damaged("the file was cut"));
    }
    Ok((batches, (bytes.len() - rest.len()) as u64))
}

fn damaged(how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, how)
}

/// The file with the length that the file at `path` has at least.
fn seal_of(path: &Path) -> PathBuf {
    path.with_extension("seal")
}

/// Writes down that the file at `path` has its present length at least.
pub(crate) fn seal(path: &Path) -> io::Result<()> {
    fs::write(seal_of(path), fs::metadata(path)?.len().to_le_bytes())
}

/// Takes the seal off a file that may become shorter.
pub(crate) fn unseal(path: &Path) -> io::Result<()> {
    match fs::remove_file(seal_of(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sealed_length(path: &Path) -> io::Result<u64> {
    match fs::read(seal_of(path)) {
        Ok(bytes) => {
            let length = bytes.try_into().map(u64::from_le_bytes);
            length.map_err(|_| damaged("the seal was cut"))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

struct Record<'a> {
    /// The sum of the log.
    expected: u64,
    log: &'a [u8],
    /// What follows.
    left: &'a [u8],
}

/// The first record, when it is whole.
fn split(bytes: &[u8], fault: Fault) -> io::Result<Option<Record<'_>>> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let (length, sums) = header.split_at(4);
    let (length_sum, log_sum) = sums.split_at(8);
    let number = |sum: &[u8]| u64::from_le_bytes(sum.try_into().expect("eight bytes"));
    if sum(length) != number(length_sum) {
        return match fault {
            Fault::DamageEndsTheLog | Fault::DamagedRecordSkipped | Fault::ChecksumIgnored => {
                Ok(None)
            }
            _ => Err(damaged("a length was damaged")),
        };
    }
    let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
    let expected = number(log_sum);
    Ok(rest.split_at_checked(length).map(|(log, left)| Record { expected, log, left }))
}
