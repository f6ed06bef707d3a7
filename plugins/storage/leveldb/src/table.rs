//! Reads table files again, past LevelDB's cache, and compares the checksum of each block.
//!
//! ```text
//! table   block* | footer
//! footer  handle of the block of filters, handle of the index, zeros up to 40 bytes | magic u64 LE
//! handle  offset varint | bytes varint
//! block   bytes | compression u8 | checksum u32 LE        the checksum covers bytes and compression
//! ```
//!
//! An index is a block of entries whose values are handles: of the blocks with entries, or of filters.

use crate::database::{Database, uncompressed};
use crate::files;
use crate::records::{Packed, is_sound};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use supervm_plugin_sdk::{Error, Result};

const MAGIC: u64 = 0xdb47_7524_8b80_fb57;
const FOOTER_BYTES: usize = 48;
const TRAILER_BYTES: usize = 5;
const UNCOMPRESSED: u8 = 0;
/// Lines of one `verify` about tables, at most.
const PROBLEMS_MAX: usize = 100;

/// Appends a line for each block of the present tables that is not as it was written.
pub(crate) fn check_all(database: &Database, dir: &Path, problems: &mut Vec<String>) -> Result<()> {
    for number in numbers(database) {
        let mut table = Table { name: format!("{number:06}.ldb"), problems };
        let path = files::table(dir, number);
        match path.ok_or_else(|| io::ErrorKind::NotFound.into()).and_then(File::open) {
            Ok(file) => table.check(&file).map_err(|error| Error::io("verify", error))?,
            // A compaction may have merged it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if numbers(database).any(|present| present == number) {
                    table.report("is missing");
                }
            }
            Err(error) => return Err(Error::io("verify", error)),
        }
        if problems.len() >= PROBLEMS_MAX {
            break;
        }
    }
    Ok(())
}

/// The tables of the present: LevelDB lists them as ` number:bytes[first key .. last key]`, one a line.
fn numbers(database: &Database) -> impl Iterator<Item = u64> {
    let lines = database.property(c"leveldb.sstables").unwrap_or_default();
    let number = |line: &str| line.trim_start().split_once(':')?.0.parse().ok();
    lines.lines().filter_map(number).collect::<Vec<_>>().into_iter()
}

struct Table<'a> {
    name: String,
    problems: &'a mut Vec<String>,
}

/// Where a block is.
#[derive(Clone, Copy)]
struct Handle {
    offset: u64,
    bytes: u64,
}

impl Table<'_> {
    fn report(&mut self, what: &str) {
        self.problems.push(format!("{}: {what}", self.name));
    }

    fn check(&mut self, file: &File) -> io::Result<()> {
        let length = file.metadata()?.len();
        let mut footer = [0; FOOTER_BYTES];
        let Some(footer_at) = length.checked_sub(FOOTER_BYTES as u64) else {
            self.report("it is shorter than a footer");
            return Ok(());
        };
        file.read_exact_at(&mut footer, footer_at)?;
        let (handles, magic) = footer.split_at(FOOTER_BYTES - 8);
        let mut handles = Packed(handles);
        let is_footer = magic == MAGIC.to_le_bytes();
        let (Some(filters), Some(index), true) =
            (Handle::take(&mut handles), Handle::take(&mut handles), is_footer)
        else {
            self.report("its footer is damaged");
            return Ok(());
        };
        let mut block = Vec::new();
        for directory in [filters, index] {
            if !self.read_block(file, directory, footer_at, &mut block)? {
                continue;
            }
            let Some(handles) = uncompressed_block(&block).and_then(|block| handles_in(&block))
            else {
                self.report(&format!("the index at byte {} is damaged", directory.offset));
                continue;
            };
            for handle in handles {
                self.read_block(file, handle, footer_at, &mut block)?;
            }
        }
        Ok(())
    }

    /// Reads a block and its trailer; `false` when it is not as it was written.
    fn read_block(
        &mut self,
        file: &File,
        handle: Handle,
        limit: u64,
        block: &mut Vec<u8>,
    ) -> io::Result<bool> {
        let bytes = handle.bytes.saturating_add(TRAILER_BYTES as u64);
        if handle.offset.saturating_add(bytes) > limit {
            self.report(&format!("a block at byte {} is out of bounds", handle.offset));
            return Ok(false);
        }
        block.resize(bytes as usize, 0);
        file.read_exact_at(block, handle.offset)?;
        let is_whole = block
            .split_last_chunk::<4>()
            .is_some_and(|(bytes, stored)| is_sound(u32::from_le_bytes(*stored), &[bytes]));
        if !is_whole {
            self.report(&format!("the block at byte {} has a wrong checksum", handle.offset));
        }
        Ok(is_whole)
    }
}

impl Handle {
    fn take(packed: &mut Packed<'_>) -> Option<Self> {
        Some(Self { offset: packed.varint()?, bytes: packed.varint()? })
    }
}

/// The content of a block that was read with its trailer.
fn uncompressed_block(block: &[u8]) -> Option<Vec<u8>> {
    let (bytes, trailer) = block.split_last_chunk::<TRAILER_BYTES>()?;
    if trailer[0] == UNCOMPRESSED { Some(bytes.to_vec()) } else { uncompressed(bytes) }
}

/// The handles that are the values of a block of entries. It ends with offsets of whole keys, and their number.
fn handles_in(block: &[u8]) -> Option<Vec<Handle>> {
    let (rest, offsets) = block.split_last_chunk::<4>()?;
    let offsets_bytes = u32::from_le_bytes(*offsets) as usize * 4;
    let mut entries = Packed(&rest[..rest.len().checked_sub(offsets_bytes)?]);
    let mut handles = Vec::new();
    while !entries.is_empty() {
        let (_shared, own, value) = (entries.varint()?, entries.varint()?, entries.varint()?);
        entries.take(usize::try_from(own).ok()?)?;
        handles.push(Handle::take(&mut Packed(entries.take(usize::try_from(value).ok()?)?))?);
    }
    Some(handles)
}
