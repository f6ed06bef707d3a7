//! The file of the backend: each batch as one record, appended.
//!
//! ```text
//! record   length u32 LE | FNV-1a of the log u64 LE | operation log
//! ```
//! A record that is cut ends the file: it was being written when the process died. A whole record that does not match its sum was
//! damaged later.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use supervm_plugin_sdk::WriteBatch;

const HEADER_BYTES: usize = 12;

/// A record of `batch`.
fn record(batch: &WriteBatch) -> Vec<u8> {
    let log = batch.as_bytes();
    let mut bytes = (log.len() as u32).to_le_bytes().to_vec();
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
/// A record that was damaged is an error when `check`, and taken as it is otherwise.
pub(crate) fn read(path: &Path, check: bool) -> io::Result<(Vec<WriteBatch>, u64)> {
    let bytes = fs::read(path)?;
    let (mut rest, mut batches) = (bytes.as_slice(), Vec::new());
    while let Some((expected, log, left)) = split(rest) {
        if check && sum(log) != expected {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a record was damaged"));
        }
        batches.push(WriteBatch::from_bytes(log).map_err(io::Error::other)?);
        rest = left;
    }
    Ok((batches, (bytes.len() - rest.len()) as u64))
}

/// The sum, the operation log and what follows of the first whole record.
fn split(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let (log, rest) = rest.split_at_checked(length)?;
    Some((u64::from_le_bytes(header[4..].try_into().ok()?), log, rest))
}
