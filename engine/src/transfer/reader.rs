//! Reading a snapshot file, chunk by chunk, from anything that can be read once.

use super::codec::{Decoded, PackedChunk, Wanted, decode};
use super::format::{
    CHUNK_HEADER_BYTES, CHUNK_MAGIC, ChunkHeader, Counts, Hash, Header, Kind, SnapshotDigest,
    TRAILER_MAGIC, Trailer, chained, damaged, read_exact,
};
use super::pool::with_pool;
use super::space::check_bytes_max;
use std::io::Read;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Why a transfer out of a file did not come to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The file is not what it should be: no later run will do better.
    File(Error),
    /// Everything else.
    Other(Error),
}

impl Failure {
    /// A failure of reading or checking the file.
    pub(super) fn of_file(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Corruption | ErrorKind::FormatMismatch | ErrorKind::QuotaFull => {
                Self::File(error)
            }
            _ => Self::Other(error),
        }
    }

    pub(super) fn into_error(self) -> Error {
        match self {
            Self::File(error) | Self::Other(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// A file whose header was read.
pub(super) struct Reader<'r> {
    reader: &'r mut dyn Read,
    pub(super) header: Header,
    pub(super) header_hash: Hash,
    chain: Hash,
    counts: Counts,
    content: SnapshotDigest,
    /// The last chunk: its header, and its last key.
    last: Option<(ChunkHeader, Vec<u8>)>,
    /// Maximum raw bytes of all chunks.
    bytes_max: u64,
    /// Raw bytes of the chunks whose headers were read.
    announced_bytes: u64,
}

/// What comes after the header: chunks, then the end.
enum Next {
    Chunk(PackedChunk),
    End(Trailer, Hash),
}

impl<'r> Reader<'r> {
    /// Reads the header.
    pub(super) fn new(reader: &'r mut dyn Read) -> Result<Self> {
        let (header, header_hash) = Header::read(reader)?;
        Ok(Self {
            reader,
            header,
            header_hash,
            chain: header_hash,
            counts: Counts::default(),
            content: SnapshotDigest::default(),
            last: None,
            bytes_max: u64::MAX,
            announced_bytes: 0,
        })
    }

    /// Refuses a file that unpacks to more than `bytes_max`, before the chunk that passes it is read.
    pub(super) fn limit_bytes(&mut self, bytes_max: u64) {
        self.bytes_max = bytes_max;
    }

    /// Reads and checks the rest of the file: `each` gets every chunk, in order, with the chain of hashes after it.
    ///
    /// Returns the trailer and the file's id.
    pub(super) fn chunks(
        &mut self,
        threads: usize,
        wanted: Wanted,
        mut each: impl FnMut(Decoded, &Hash) -> Result<(), Failure>,
    ) -> Result<(Trailer, Hash), Failure> {
        with_pool(
            threads,
            |chunk: PackedChunk| decode(chunk, wanted),
            |pool| {
                let mut number = 0;
                // A failure to read comes after the chunks that were read before it.
                let end = loop {
                    if pool.is_full()
                        && let Some(decoded) = pool.take()?
                    {
                        self.pass(decoded, &mut each)?;
                    }
                    match self.read_next(number) {
                        Ok(Next::Chunk(chunk)) => pool.submit(chunk)?,
                        Ok(Next::End(trailer, id)) => break Ok((trailer, id)),
                        Err(error) => break Err(error),
                    }
                    number += 1;
                };
                while let Some(decoded) = pool.take()? {
                    self.pass(decoded, &mut each)?;
                }
                let (trailer, id) = end.map_err(Failure::of_file)?;
                self.check_end(&trailer).map_err(Failure::of_file)?;
                Ok((trailer, id))
            },
        )
    }

    /// Checks what a chunk cannot tell alone, and hands it on.
    fn pass(
        &mut self,
        decoded: Result<Decoded>,
        each: &mut impl FnMut(Decoded, &Hash) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut decoded = decoded.map_err(Failure::of_file)?;
        let header = decoded.header;
        let is_later = match &self.last {
            None => true,
            Some((last, key)) if last.kind == header.kind => last.is_full() && *key < decoded.first,
            Some((last, _)) => last.kind < header.kind,
        };
        if !is_later {
            let error = damaged(
                "the chunk does not come after the one before it, or that one was closed too early",
            );
            return Err(Failure::File(error.with("chunk", header.number)));
        }
        self.chain = chained(&self.chain, &decoded.hash);
        self.content.add(&decoded.content);
        let (entries, raw) = (u64::from(header.entries), u64::from(header.raw_bytes));
        self.counts.add(header.kind, entries, raw);
        self.last = Some((header, std::mem::take(&mut decoded.last)));
        each(decoded, &self.chain)
    }

    /// Kind and key of the last entry that was passed on.
    pub(super) fn last(&self) -> Option<(Kind, Vec<u8>)> {
        self.last.as_ref().map(|(header, key)| (header.kind, key.clone()))
    }

    /// The digest of the chunks that were passed on.
    pub(super) fn content(&self) -> &SnapshotDigest {
        &self.content
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    fn read_next(&mut self, number: u64) -> Result<Next> {
        self.read_block(number).map_err(|error| error.with("chunk", number))
    }

    fn read_block(&mut self, number: u64) -> Result<Next> {
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        let (magic, rest) = bytes.split_at_mut(CHUNK_MAGIC.len());
        read_exact(self.reader, magic, "the header of the chunk")?;
        if *magic == TRAILER_MAGIC {
            let (trailer, id) = Trailer::read(self.reader)?;
            return Ok(Next::End(trailer, id));
        }
        if *magic != CHUNK_MAGIC {
            return Err(damaged("there is neither a chunk nor the trailer where one should begin"));
        }
        read_exact(self.reader, rest, "the header of the chunk")?;
        let (header, hash) = ChunkHeader::parse(&bytes, number)?;
        self.announced_bytes += u64::from(header.raw_bytes);
        check_bytes_max(self.announced_bytes, self.bytes_max)?;
        let mut packed = vec![0; header.packed_bytes as usize];
        read_exact(self.reader, &mut packed, "the chunk")?;
        Ok(Next::Chunk(PackedChunk { header, hash, packed, content: Hash::default() }))
    }

    fn check_end(&mut self, trailer: &Trailer) -> Result<()> {
        if trailer.chain != self.chain || trailer.counts != self.counts {
            return Err(damaged("the trailer does not match the chunks before it")
                .with("chunks", self.counts.chunks));
        }
        let content = self.content.clone();
        let computed = content.finish(&self.header, &trailer.full_digest);
        if computed != trailer.snapshot_digest {
            return Err(damaged("the snapshot digest is not what the file says")
                .with("computed", hex::encode(computed))
                .with("expected", hex::encode(trailer.snapshot_digest)));
        }
        let mut more = [0];
        match self.reader.read(&mut more) {
            Ok(0) => Ok(()),
            Ok(_) => Err(damaged("there are bytes after the trailer")),
            Err(error) => Err(Error::io("read snapshot file", error)),
        }
    }
}
