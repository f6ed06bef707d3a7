//! Writing a snapshot file.

use super::codec::{PackedChunk, RawChunk, check_code, pack, raw_buffer};
use super::format::{
    CHUNK_RAW_BYTES, Counts, HASH_BYTES, Hash, Header, Kind, SnapshotDigest, Trailer, chained,
    put_entry,
};
use super::pool::{Ordered, with_pool};
use super::progress::Meter;
use crate::layout::split_record;
use crate::storage::DigestBuilder;
use std::io::Write;
use supervm_plugin_sdk::{Error, Result};

/// What is written so far; what a run that goes on begins with.
#[derive(Debug, Clone)]
pub(super) struct Written {
    pub(super) chain: Hash,
    pub(super) counts: Counts,
    pub(super) digest: DigestBuilder,
    pub(super) content: SnapshotDigest,
    /// Where the last entry was.
    pub(super) last: Option<(Kind, Vec<u8>)>,
    /// Bytes of the file.
    pub(super) file_bytes: u64,
}

impl Written {
    /// A file that has nothing but a header with this hash.
    pub(super) fn header(hash: Hash, bytes: usize) -> Self {
        Self {
            chain: hash,
            counts: Counts::default(),
            digest: DigestBuilder::default(),
            content: SnapshotDigest::default(),
            last: None,
            file_bytes: bytes as u64,
        }
    }
}

/// What a finished file came to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finished {
    pub(super) trailer: Trailer,
    pub(super) id: Hash,
    pub(super) file_bytes: u64,
}

/// How a file is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packing {
    pub(super) threads: usize,
    pub(super) level: i32,
}

/// Appends chunks to `out` while `body` puts entries, and then the trailer.
///
/// `full_digest` replaces the digest of the entries of chain state in the trailer.
pub(super) fn write_chunks(
    out: &mut dyn Write,
    header: &Header,
    written: Written,
    packing: Packing,
    meter: &mut Meter<'_>,
    full_digest: Option<Hash>,
    body: impl FnOnce(&mut Writer<'_, '_, '_>) -> Result<()>,
) -> Result<Finished> {
    let level = packing.level;
    with_pool(
        packing.threads,
        |chunk: RawChunk| pack(&chunk, level),
        |pool| {
            let next = written.counts.chunks;
            let mut writer = Writer {
                pool,
                out,
                meter,
                written,
                next,
                kind: Kind::State,
                raw: raw_buffer(),
                entries: 0,
            };
            body(&mut writer)?;
            writer.finish(header, full_digest)
        },
    )
}

/// Takes entries, kind by kind and in key order.
pub(super) struct Writer<'p, 'm, 'c> {
    pool: &'p mut Ordered<RawChunk, Result<PackedChunk>>,
    out: &'p mut dyn Write,
    meter: &'m mut Meter<'c>,
    written: Written,
    /// The number of the chunk that is being filled.
    next: u64,
    kind: Kind,
    raw: Vec<u8>,
    entries: u32,
}

impl Writer<'_, '_, '_> {
    /// Puts one entry.
    #[inline]
    pub(super) fn put(&mut self, kind: Kind, key: &[u8], value: &[u8]) -> Result<()> {
        if kind != self.kind || self.raw.len() >= CHUNK_RAW_BYTES {
            self.close_chunk()?;
            self.kind = kind;
        }
        match kind {
            Kind::State => self.written.digest.add(key, split_record(value)?.1),
            Kind::Code => check_code(key, value)?,
            _ => {}
        }
        put_entry(key, value, &mut self.raw);
        self.entries += 1;
        Ok(())
    }

    fn close_chunk(&mut self) -> Result<()> {
        if self.entries == 0 {
            return Ok(());
        }
        if self.pool.is_full() {
            self.write_oldest()?;
        }
        let raw = std::mem::replace(&mut self.raw, raw_buffer());
        self.meter.add(u64::from(self.entries), raw.len() as u64);
        let chunk = RawChunk { kind: self.kind, number: self.next, entries: self.entries, raw };
        self.next += 1;
        self.entries = 0;
        self.pool.submit(chunk)
    }

    /// Writes the oldest chunk that is being packed; `false` when there is none.
    fn write_oldest(&mut self) -> Result<bool> {
        let Some(packed) = self.pool.take()? else { return Ok(false) };
        let PackedChunk { header, hash, packed, content } = packed?;
        self.write_all(&header.to_bytes(&hash))?;
        self.write_all(&packed)?;
        self.written.chain = chained(&self.written.chain, &hash);
        self.written.content.add(&content);
        let (entries, raw) = (u64::from(header.entries), u64::from(header.raw_bytes));
        self.written.counts.add(header.kind, entries, raw);
        Ok(true)
    }

    fn finish(mut self, header: &Header, full_digest: Option<Hash>) -> Result<Finished> {
        self.close_chunk()?;
        while self.write_oldest()? {}
        let digest = std::mem::take(&mut self.written.digest).finish().0;
        let full_digest = full_digest.unwrap_or(digest);
        let content = std::mem::take(&mut self.written.content);
        let trailer = Trailer {
            counts: self.written.counts,
            full_digest,
            snapshot_digest: content.finish(header, &full_digest),
            chain: self.written.chain,
        };
        let bytes = trailer.to_bytes();
        self.write_all(&bytes)?;
        self.out.flush().map_err(|error| Error::io("write snapshot file", error))?;
        let id = *bytes.last_chunk::<HASH_BYTES>().expect("a trailer ends in its hash");
        Ok(Finished { trailer, id, file_bytes: self.written.file_bytes })
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.written.file_bytes += bytes.len() as u64;
        self.out.write_all(bytes).map_err(|error| Error::io("write snapshot file", error))
    }
}
