//! The shape of a file on disk, before its content is read.

use super::format::{
    CHUNK_HEADER_BYTES, CHUNK_MAGIC, ChunkHeader, Counts, HASH_BYTES, Header, TRAILER_MAGIC,
    damaged, read_exact,
};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use supervm_plugin_sdk::{Error, Result};

/// Counts what `file` holds by the headers of its chunks, and goes back to its beginning; `None` when they make no sense, which reading
/// the content tells better.
///
/// A file that is cut is found here, before hours of work; and whoever waits is told how much there is to do. Not one hash of a chunk
/// is computed.
///
/// # Errors
/// `Corruption` with the chunk's number when the file is cut; for the header also `FormatMismatch`; `Io`.
pub(super) fn survey(file: &mut File) -> Result<Option<Counts>> {
    let io = |error| Error::io("read snapshot file", error);
    let length = file.metadata().map_err(io)?.len();
    Header::read(file)?;
    let mut counts = Counts::default();
    let is_sound = loop {
        let number = counts.chunks;
        let next = read_next(file, number).map_err(|error| error.with("chunk", number))?;
        let bytes = match next {
            Next::Chunk(chunk) => u64::from(chunk.packed_bytes),
            Next::Trailer(bytes) => u64::from(bytes) + HASH_BYTES as u64,
            Next::Nonsense => break false,
        };
        let after = file.stream_position().map_err(io)? + bytes;
        if after > length {
            let cut = damaged("the file is cut: it ends in the chunk or the trailer");
            return Err(cut.with("chunk", number));
        }
        let Next::Chunk(chunk) = next else { break after == length };
        file.seek(SeekFrom::Start(after)).map_err(io)?;
        counts.add(chunk.kind, u64::from(chunk.entries), u64::from(chunk.raw_bytes));
    };
    file.rewind().map_err(io)?;
    Ok(is_sound.then_some(counts))
}

enum Next {
    Chunk(ChunkHeader),
    /// With the length of its JSON.
    Trailer(u32),
    Nonsense,
}

fn read_next(file: &mut File, number: u64) -> Result<Next> {
    let mut bytes = [0; CHUNK_HEADER_BYTES];
    let (magic, rest) = bytes.split_at_mut(CHUNK_MAGIC.len());
    read_exact(file, magic, "the header of the chunk")?;
    if *magic == TRAILER_MAGIC {
        let mut length = [0; 4];
        read_exact(file, &mut length, "the trailer")?;
        return Ok(Next::Trailer(u32::from_le_bytes(length)));
    }
    if *magic != CHUNK_MAGIC {
        return Ok(Next::Nonsense);
    }
    read_exact(file, rest, "the header of the chunk")?;
    Ok(ChunkHeader::parse(&bytes, number).map_or(Next::Nonsense, |(header, _)| Next::Chunk(header)))
}
