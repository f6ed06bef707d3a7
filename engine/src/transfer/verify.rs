//! Whether a snapshot file is right, without taking it in.

use super::codec::Wanted;
use super::format::{Content, Counts, Hash, Header, damaged};
use super::pool::threads;
use super::progress::{Meter, OnProgress, Phase};
use super::reader::{Failure, Reader};
use super::survey::survey;
use crate::digest::StateAccumulator;
use crate::storage::{Digest, DigestBuilder};
use serde::Serialize;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use supervm_plugin_sdk::{Error, Result};

const READ_BUFFER_BYTES: usize = 1 << 20;

/// What was found in a file that is right.
#[derive(Debug, Clone, Serialize)]
pub struct VerifiedFile {
    /// What it says of itself.
    pub header: Header,
    /// How much there is.
    pub counts: Counts,
    /// The SHA-256 of the entries of chain state (clause 23); of changes, what the trailer says.
    #[serde(serialize_with = "super::as_text")]
    pub full_digest: Digest,
    /// The snapshot digest, computed from the content. The one to compare.
    #[serde(serialize_with = "super::as_text")]
    pub snapshot_digest: Digest,
    /// The file's id.
    #[serde(serialize_with = "hex::serde::serialize")]
    pub id: Hash,
}

/// What a snapshot file says of itself; nothing else of it is read or checked.
///
/// # Errors
/// `Corruption`, `FormatMismatch`, `Io`.
pub fn inspect(file: &Path) -> Result<Header> {
    let header = File::open(file)
        .map_err(|error| Error::io("open", error))
        .and_then(|mut opened| Ok(Header::read(&mut opened)?.0));
    header.map_err(|error| error.with("file", file.display()))
}

/// Reads a snapshot file to its end and checks every hash and digest in it.
///
/// # Errors
/// `Corruption` with the chunk's number; `FormatMismatch`, `Io`.
pub fn verify(file: &Path, on_progress: OnProgress<'_>) -> Result<VerifiedFile> {
    let mut meter = Meter::new(on_progress);
    let verified = File::open(file)
        .map_err(|error| Error::io("open", error))
        .and_then(|mut opened| Ok((survey(&mut opened)?, opened)))
        .and_then(|(counts, opened)| {
            let mut reader = BufReader::with_capacity(READ_BUFFER_BYTES, opened);
            verify_stream(&mut reader, counts, &mut meter)
        });
    meter.end();
    verified.map_err(|error| error.with("file", file.display()))
}

fn verify_stream(
    reader: &mut dyn Read,
    counts: Option<Counts>,
    meter: &mut Meter<'_>,
) -> Result<VerifiedFile> {
    let mut reader = Reader::new(reader)?;
    let header = reader.header.clone();
    let is_state = header.content == Content::State;
    let accumulator = is_state && header.state_digest.is_some();
    let wanted = Wanted { accumulator, ..Wanted::of(&header) };
    let entries = counts.map(|counts| counts.entries());
    meter.begin(Phase::Verifying, entries, counts.map(|counts| counts.raw_bytes));
    let mut digest = DigestBuilder::default();
    let mut accumulator = StateAccumulator::default();
    let (trailer, id) = reader
        .chunks(threads(0), wanted, |chunk, _| {
            meter.add(u64::from(chunk.header.entries), u64::from(chunk.header.raw_bytes));
            digest.add_hashed(&chunk.hashed);
            accumulator.merge(&chunk.accumulator);
            Ok(())
        })
        .map_err(Failure::into_error)?;
    if is_state {
        if digest.finish().0 != trailer.full_digest {
            return Err(damaged("the digest of the entries is not what the file says"));
        }
        if header.state_digest.is_some_and(|told| told != accumulator.digest()) {
            return Err(damaged("the state digest is not what the file says"));
        }
    }
    let full_digest = Digest(trailer.full_digest);
    let snapshot_digest = Digest(trailer.snapshot_digest);
    Ok(VerifiedFile { header, counts: trailer.counts, full_digest, snapshot_digest, id })
}
