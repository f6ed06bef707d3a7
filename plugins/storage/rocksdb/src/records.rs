//! Damage in manifests and logs that RocksDB does not report, looked for before it reads them.
//!
//! Both are sequences of 32 KiB blocks of fragments, none of which crosses a block. A record is one fragment (`FULL`), or a `FIRST`, any
//! number of `MIDDLE` and a `LAST` one. A log that is written over has kinds of its own, with its number behind the header.
//!
//! ```text
//! fragment   checksum u32 LE | length u16 LE | kind u8 | bytes      the checksum covers kind and bytes
//! ```
//!
//! What one changed bit can do to RocksDB 10.4:
//!
//! 1. A length that goes past the end of the file is what a power cut leaves, so the record and all behind it are dropped. A
//!    manifest without its last records is the one of an older database, and the tables that it does not know are deleted.
//! 2. So it is where a kind and a length become zero: that is space which was reserved and not written.
//! 3. A kind of a log that is written over, in a file that is not, is read again and again: opening never ends.
//!
//! What RocksDB reports by itself, and how much of a damaged log is recovered, stays with it.

use crate::database::{FileKind, file_kind, manifest_in_use};
use crc32c::{crc32c, crc32c_append};
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::Path;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;

const FULL: u8 = 1;
const LAST: u8 = 4;

/// Looks at the manifest in use and at every log of `dir`.
///
/// # Errors
/// `Corruption`; nothing is changed. `Io`.
pub(crate) fn check(dir: &Path) -> Result<()> {
    if let Some(manifest) = manifest_in_use(dir) {
        check_file(&dir.join(manifest), check_manifest_block)?;
    }
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let FileKind::Log = file_kind(&entry.file_name().to_string_lossy()) {
            let mut log = Log::default();
            check_file(&entry.path(), |block, _| log.check_block(block))?;
        }
    }
    Ok(())
}

fn failed(error: io::Error) -> Error {
    Error::io("open", error)
}

/// What a block shows: nothing, that the rest of the file needs no look, or damage and where in the block.
type Verdict = ControlFlow<Option<(usize, &'static str)>>;

const SOUND: Verdict = Verdict::Continue(());

fn damage(at: usize, what: &'static str) -> Verdict {
    Verdict::Break(Some((at, what)))
}

/// Has `check` look at each block; its second argument says that the file ends with the block.
fn check_file(path: &Path, mut check: impl FnMut(&[u8], bool) -> Verdict) -> Result<()> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // RocksDB says so, or has just removed it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    let (mut block, mut start) = (Vec::with_capacity(BLOCK_BYTES), 0);
    loop {
        block.clear();
        file.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block).map_err(failed)?;
        let is_last = block.len() < BLOCK_BYTES;
        match check(&block, is_last) {
            Verdict::Break(Some((at, what))) => {
                let (name, at) = (path.file_name().unwrap_or_default().display(), start + at);
                let message =
                    format!("{name} has {what} at byte {at}; put back the directory from a copy");
                return Err(Error::new(ErrorKind::Corruption, "open", message));
            }
            Verdict::Break(None) => return Ok(()),
            Verdict::Continue(()) if is_last => return Ok(()),
            Verdict::Continue(()) => start += block.len(),
        }
    }
}

struct Fragment<'a> {
    header: &'a [u8; HEADER_BYTES],
    at: usize,
    /// From the end of the header to the end of the block.
    rest: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// The fragment that begins at `at`; `None` where a block has no room for one.
    fn at(block: &'a [u8], at: usize) -> Option<Self> {
        let (header, rest) = block.get(at..)?.split_first_chunk()?;
        Some(Self { header, at, rest })
    }

    fn kind(&self) -> u8 {
        self.header[6]
    }

    fn is_of_a_plain_file(&self) -> bool {
        (FULL..=LAST).contains(&self.kind())
    }

    /// Space that was reserved and not written.
    fn is_nothing(&self) -> bool {
        *self.header == [0; HEADER_BYTES]
    }

    /// The bytes; `None` when the block ends before they do.
    fn bytes(&self) -> Option<&'a [u8]> {
        self.rest.get(..usize::from(u16::from_le_bytes([self.header[4], self.header[5]])))
    }

    fn is_checksum(&self, crc: u32) -> bool {
        self.header.starts_with(&stored(crc))
    }

    fn is_sound(&self, bytes: &[u8]) -> bool {
        self.is_checksum(crc32c_append(crc32c(&[self.kind()]), bytes))
    }

    /// Is all of it in the block, with another length than the header says?
    fn is_sound_with_some_length(&self) -> bool {
        let mut crc = crc32c(&[self.kind()]);
        self.is_checksum(crc)
            || self.rest.iter().any(|byte| {
                crc = crc32c_append(crc, std::slice::from_ref(byte));
                self.is_checksum(crc)
            })
    }

    fn end(&self, bytes: &[u8]) -> usize {
        self.at + HEADER_BYTES + bytes.len()
    }
}

/// A checksum as it stands in a file: turned and moved, so that a checksum of checksums works.
fn stored(crc: u32) -> [u8; 4] {
    const MOVED_BY: u32 = 0xa282_ead8;
    crc.rotate_right(15).wrapping_add(MOVED_BY).to_le_bytes()
}

/// A manifest is never written over, and all of it counts.
fn check_manifest_block(block: &[u8], is_last: bool) -> Verdict {
    let mut at = 0;
    while let Some(fragment) = Fragment::at(block, at) {
        if fragment.is_nothing() {
            return SOUND;
        }
        if !fragment.is_of_a_plain_file() {
            return damage(at, "a fragment of a wrong kind");
        }
        at = match fragment.bytes() {
            Some(bytes) if fragment.is_sound(bytes) => fragment.end(bytes),
            Some(_) => return damage(at, "a wrong checksum"),
            None if is_last && !fragment.is_sound_with_some_length() => return SOUND,
            None => return damage(at, "a wrong length"),
        };
    }
    SOUND
}

/// What was read of a log.
#[derive(Default)]
struct Log {
    has_record: bool,
}

impl Log {
    fn check_block(&mut self, block: &[u8]) -> Verdict {
        let mut at = 0;
        while let Some(fragment) = Fragment::at(block, at) {
            if is_of_a_recycled_log(fragment.kind()) {
                return match self.has_record {
                    true => damage(at, "a fragment of a wrong kind"),
                    // A log that is written over, which begins so.
                    false => Verdict::Break(None),
                };
            }
            // What cannot be read: RocksDB goes on in the next block, if it goes on.
            let Some(bytes) = fragment.bytes().filter(|bytes| fragment.is_sound(bytes)) else {
                return SOUND;
            };
            self.has_record |= matches!(fragment.kind(), FULL | LAST);
            at = fragment.end(bytes);
        }
        SOUND
    }
}

fn is_of_a_recycled_log(kind: u8) -> bool {
    matches!(kind, 5..=8 | 11 | 131)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u8 = 2;

    fn fragment(kind: u8, bytes: &[u8]) -> Vec<u8> {
        let crc = crc32c_append(crc32c(&[kind]), bytes);
        let mut fragment = stored(crc).to_vec();
        fragment.extend((bytes.len() as u16).to_le_bytes());
        fragment.push(kind);
        fragment.extend(bytes);
        fragment
    }

    /// Two blocks: records in one fragment and in two, one without bytes.
    fn manifest() -> Vec<u8> {
        let mut file = [fragment(FULL, b"first"), fragment(FULL, b"")].concat();
        let room = BLOCK_BYTES - file.len() - HEADER_BYTES;
        file.extend(fragment(FIRST, &vec![0x71; room]));
        file.extend(fragment(LAST, &[0x72; 300]));
        file.extend(fragment(FULL, b"last"));
        file
    }

    fn judge(file: &[u8], check: impl FnMut(&[u8], bool) -> Verdict) -> Option<ErrorKind> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, file).unwrap();
        check_file(&path, check).err().map(|error| error.kind())
    }

    fn judge_log(file: &[u8]) -> Option<ErrorKind> {
        let mut log = Log::default();
        judge(file, |block, _| log.check_block(block))
    }

    #[test]
    fn every_changed_bit_of_a_manifest_is_damage() {
        let file = manifest();
        assert_eq!(judge(&file, check_manifest_block), None);
        let far = (40..BLOCK_BYTES - 20).step_by(1009);
        for at in (0..40).chain(far).chain(BLOCK_BYTES - 20..file.len()) {
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                let verdict = judge(&changed, check_manifest_block);
                assert_eq!(verdict, Some(ErrorKind::Corruption), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn a_manifest_may_end_within_a_record_or_in_reserved_space() {
        let file = manifest();
        for end in (0..40).chain(BLOCK_BYTES - 20..file.len()) {
            assert_eq!(judge(&file[..end], check_manifest_block), None, "cut at {end}");
        }
        let reserved = [file, vec![0; 3 * BLOCK_BYTES]].concat();
        assert_eq!(judge(&reserved, check_manifest_block), None);
    }

    #[test]
    fn a_log_has_fragments_of_one_sort() {
        let recycled = [fragment(5, b"0001first"), fragment(5, b"0001second")].concat();
        assert_eq!(judge_log(&recycled), None);
        let plain = manifest();
        assert_eq!(judge_log(&plain), None);
        let (second, last) = (18, plain.len() - 5);
        for at in [second, BLOCK_BYTES + 6, last] {
            let mut changed = plain.clone();
            changed[at] = 5;
            assert_eq!(judge_log(&changed), Some(ErrorKind::Corruption), "kind at {at}");
        }
    }
}
