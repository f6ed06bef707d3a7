//! What LevelDB's logs and manifests are made of, and the numbers in them.
//!
//! A file is a sequence of 32 KiB blocks of fragments, none of which crosses a block. A record is one fragment (`FULL`), or a
//! `FIRST`, any number of `MIDDLE` and a `LAST` one.
//!
//! ```text
//! fragment   checksum u32 LE | length u16 LE | kind u8 | bytes      the checksum covers kind and bytes
//! ```
//!
//! When the machine dies, a file that was being written ends early, and pages of it that did not reach the disk read as zeros from where
//! the disk has nothing. A record that cannot be read for such a reason is [`End::Torn`]; one whose bytes are all there, and are not what
//! was written, is [`End::Damaged`].

use crc32c::crc32c_append;
use std::borrow::Cow;
use std::ops::RangeInclusive;

const BLOCK_BYTES: usize = 32 << 10;
const HEADER_BYTES: usize = 7;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: usize = 512;

const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;

/// The records of a file.
pub(crate) struct Records<'a> {
    file: &'a [u8],
    at: usize,
    whole_bytes: usize,
    end: Option<End>,
}

/// How a file ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// With its last record.
    Whole,
    /// With a record that was never finished.
    Torn,
    /// With bytes that are not what was written: what is wrong, and where.
    Damaged(String),
}

struct Fragment<'a> {
    kind: u8,
    bytes: &'a [u8],
    /// Where the next one begins.
    after: usize,
}

enum Fault {
    /// The file ends before the fragment does.
    Cut,
    Wrong(&'static str),
}

impl<'a> Records<'a> {
    pub(crate) fn new(file: &'a [u8]) -> Self {
        Self { file, at: 0, whole_bytes: 0, end: None }
    }

    /// Bytes of the file up to the end of the last record that was read.
    pub(crate) fn whole_bytes(&self) -> usize {
        self.whole_bytes
    }

    /// How the file ends, when all records were read.
    pub(crate) fn end(&self) -> End {
        self.end.clone().unwrap_or(End::Whole)
    }

    /// The next record, in whole; `None` at the end.
    fn read(&mut self) -> Result<Option<Cow<'a, [u8]>>, End> {
        let mut parts: Option<Vec<u8>> = None;
        loop {
            let fragment = match self.fragment_at(self.at) {
                Ok(Some(fragment)) => fragment,
                Ok(None) => return if parts.is_some() { Err(End::Torn) } else { Ok(None) },
                Err(fault) => return Err(self.judge(&fault)),
            };
            let record = match (fragment.kind, &mut parts) {
                (FULL, None) => Some(Cow::Borrowed(fragment.bytes)),
                (FIRST, None) => {
                    parts = Some(fragment.bytes.to_vec());
                    None
                }
                (MIDDLE, Some(parts)) => {
                    parts.extend_from_slice(fragment.bytes);
                    None
                }
                (LAST, Some(whole)) => {
                    whole.extend_from_slice(fragment.bytes);
                    parts.take().map(Cow::Owned)
                }
                _ => return Err(self.damage("a fragment without the one before it")),
            };
            self.at = fragment.after;
            if record.is_some() {
                self.whole_bytes = self.at;
                return Ok(record);
            }
        }
    }

    /// The fragment that begins at `at` or, where a block has no room for one, in the next block; `None` at the end of the file.
    fn fragment_at(&self, at: usize) -> Result<Option<Fragment<'a>>, Fault> {
        let room = BLOCK_BYTES - at % BLOCK_BYTES;
        let at = if room < HEADER_BYTES { at + room } else { at };
        let Some(rest) = self.file.get(at..).filter(|rest| !rest.is_empty()) else {
            return Ok(None);
        };
        let Some((header, rest)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Err(Fault::Cut);
        };
        let [c0, c1, c2, c3, l0, l1, kind] = *header;
        let length = usize::from(u16::from_le_bytes([l0, l1]));
        if at % BLOCK_BYTES + HEADER_BYTES + length > BLOCK_BYTES {
            return Err(Fault::Wrong("a length that the block has no room for"));
        }
        if !(FULL..=LAST).contains(&kind) {
            return Err(Fault::Wrong("an unknown kind of fragment"));
        }
        let is_written = |bytes| is_sound(u32::from_le_bytes([c0, c1, c2, c3]), &[&[kind], bytes]);
        let bytes = match rest.get(..length) {
            Some(bytes) => bytes,
            // All of it is there: the length is what changed.
            None if is_written(rest) => return Err(Fault::Wrong("a wrong length")),
            None => return Err(Fault::Cut),
        };
        if !is_written(bytes) {
            return Err(Fault::Wrong("a wrong checksum"));
        }
        Ok(Some(Fragment { kind, bytes, after: at + HEADER_BYTES + length }))
    }

    /// Is a record behind the end, whose bytes cannot be read?
    pub(crate) fn is_followed_by_a_record(&self) -> bool {
        (self.at + 1..self.file.len()).any(|at| {
            let fragment = self.fragment_at(at).ok().flatten();
            fragment.is_some_and(|fragment| matches!(fragment.kind, FULL | FIRST))
        })
    }

    fn judge(&self, fault: &Fault) -> End {
        match fault {
            Fault::Cut if self.has_a_tail() => self.damage("a wrong length"),
            Fault::Cut => End::Torn,
            Fault::Wrong(_) if self.has_a_lost_sector() => End::Torn,
            Fault::Wrong(what) => self.damage(what),
        }
    }

    fn damage(&self, what: &str) -> End {
        End::Damaged(format!("{what} at byte {}", self.at))
    }

    /// Does the file end with whole fragments? Then it was not cut, and what seems to go on behind its end has a wrong length.
    fn has_a_tail(&self) -> bool {
        (self.at + 1..self.file.len()).any(|mut at| {
            while let Ok(Some(fragment)) = self.fragment_at(at) {
                at = fragment.after;
                if at == self.file.len() {
                    return true;
                }
            }
            false
        })
    }

    /// Is a sector of the fragment zero to its end?
    fn has_a_lost_sector(&self) -> bool {
        let block_end = (self.at / BLOCK_BYTES + 1) * BLOCK_BYTES;
        let length = self.file.get(self.at + 4..self.at + 6);
        let length =
            length.map_or(0, |length| usize::from(u16::from_le_bytes([length[0], length[1]])));
        let end = block_end.min(self.at + HEADER_BYTES + length).min(self.file.len());
        let mut from = self.at;
        while from < end {
            let sector_end = (from / SECTOR_BYTES + 1) * SECTOR_BYTES;
            let sector = &self.file[from..sector_end.min(self.file.len())];
            if sector.iter().all(|&byte| byte == 0) {
                return true;
            }
            from = sector_end;
        }
        false
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Cow<'a, [u8]>;

    fn next(&mut self) -> Option<Cow<'a, [u8]>> {
        if self.end.is_some() {
            return None;
        }
        match self.read() {
            Ok(Some(record)) => Some(record),
            Ok(None) => {
                self.end = Some(End::Whole);
                None
            }
            Err(end) => {
                self.end = Some(end);
                None
            }
        }
    }
}

/// Numbers and texts as LevelDB packs them; each call takes what it returns off the front.
#[derive(Clone, Copy)]
pub(crate) struct Packed<'a>(pub(crate) &'a [u8]);

impl<'a> Packed<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number in groups of seven bits, the lowest first.
    pub(crate) fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// A text with its length before it.
    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.varint()?;
        self.take(usize::try_from(length).ok()?)
    }
}

/// A batch as it stands in a log.
pub(crate) struct LoggedBatch<'a> {
    /// The number of its first operation; operations are numbered through the life of a database.
    pub(crate) sequence: u64,
    /// How many operations it has.
    pub(crate) count: u32,
    operations: Packed<'a>,
}

impl<'a> LoggedBatch<'a> {
    pub(crate) fn parse(record: &'a [u8]) -> Option<Self> {
        let (sequence, rest) = record.split_first_chunk::<8>()?;
        let (count, rest) = rest.split_first_chunk::<4>()?;
        let (sequence, count) = (u64::from_le_bytes(*sequence), u32::from_le_bytes(*count));
        Some(Self { sequence, count, operations: Packed(rest) })
    }

    /// Is it a mark, which says that every write before it is synced?
    pub(crate) fn is_mark(&self) -> bool {
        self.count == 0
    }

    /// The key of each operation, and the bytes that the operation takes.
    pub(crate) fn operations(mut self) -> impl Iterator<Item = (&'a [u8], u64)> {
        const PUT: u8 = 1;
        std::iter::from_fn(move || {
            let before = self.operations.0.len();
            let is_put = self.operations.take(1)?[0] == PUT;
            let key = self.operations.text()?;
            if is_put {
                self.operations.text()?;
            }
            Some((key, (before - self.operations.0.len()) as u64))
        })
    }
}

/// Does a mark with one of these numbers stand anywhere in `log`, which is a part of a log that cannot be read? The numbers tell it
/// from a value that looks like one.
pub(crate) fn has_mark(log: &[u8], sequences: RangeInclusive<u64>) -> bool {
    const MARK_BYTES: usize = 12;
    log.windows(HEADER_BYTES + MARK_BYTES).any(|window| {
        let Some(([c0, c1, c2, c3, l0, l1, kind], record)) = window.split_first_chunk() else {
            return false;
        };
        [*l0, *l1, *kind] == [MARK_BYTES as u8, 0, FULL]
            && LoggedBatch::parse(record)
                .is_some_and(|batch| batch.is_mark() && sequences.contains(&batch.sequence))
            && is_sound(u32::from_le_bytes([*c0, *c1, *c2, *c3]), &[&[FULL], record])
    })
}

/// Is `stored` LevelDB's checksum of `parts`? It is a CRC-32C, turned and moved so that a checksum of checksums works.
pub(crate) fn is_sound(stored: u32, parts: &[&[u8]]) -> bool {
    stored == checksum(parts)
}

fn checksum(parts: &[&[u8]]) -> u32 {
    const MOVED_BY: u32 = 0xa282_ead8;
    let crc = parts.iter().fold(0, |crc, part| crc32c_append(crc, part));
    crc.rotate_right(15).wrapping_add(MOVED_BY)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// As LevelDB's writer does it.
    pub(crate) fn append(file: &mut Vec<u8>, mut record: &[u8]) {
        let mut is_first = true;
        loop {
            let room = BLOCK_BYTES - file.len() % BLOCK_BYTES;
            if room < HEADER_BYTES {
                file.resize(file.len() + room, 0);
            }
            let room = BLOCK_BYTES - file.len() % BLOCK_BYTES - HEADER_BYTES;
            let (bytes, rest) = record.split_at(room.min(record.len()));
            let kind = match (is_first, rest.is_empty()) {
                (true, true) => FULL,
                (true, false) => FIRST,
                (false, false) => MIDDLE,
                (false, true) => LAST,
            };
            file.extend(checksum(&[&[kind], bytes]).to_le_bytes());
            file.extend((bytes.len() as u16).to_le_bytes());
            file.push(kind);
            file.extend(bytes);
            (record, is_first) = (rest, false);
            if record.is_empty() {
                return;
            }
        }
    }

    fn read(file: &[u8]) -> (Vec<Vec<u8>>, End, usize) {
        let mut records = Records::new(file);
        let read = records.by_ref().map(Cow::into_owned).collect();
        (read, records.end(), records.whole_bytes())
    }

    fn three() -> (Vec<u8>, [usize; 3]) {
        let mut file = Vec::new();
        let ends = [(0x71, 1000), (0x72, 100_000), (0x73, 20)].map(|(byte, length)| {
            append(&mut file, &vec![byte; length]);
            file.len()
        });
        (file, ends)
    }

    /// Places everywhere, and all of those around the beginnings of records and blocks.
    fn samples(file: &[u8], ends: &[usize; 3]) -> Vec<usize> {
        let blocks = (0..file.len()).step_by(BLOCK_BYTES);
        let around = ends.iter().copied().chain(blocks);
        let around = around.flat_map(|at| at.saturating_sub(9)..at + 9);
        let places = around.chain((0..file.len()).step_by(997));
        places.filter(|&at| at < file.len()).collect()
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_torn_and_keeps_the_records_before() {
        let (file, ends) = three();
        for cut in samples(&file, &ends) {
            let (records, end, whole) = read(&file[..cut]);
            let expected = ends.iter().filter(|&&end| end <= cut).count();
            assert_eq!(records.len(), expected, "cut at {cut}");
            let is_whole = cut == 0 || ends.contains(&cut);
            assert!(end == if is_whole { End::Whole } else { End::Torn }, "cut at {cut}: {end:?}");
            assert_eq!(whole, if expected == 0 { 0 } else { ends[expected - 1] });
        }
    }

    #[test]
    fn a_changed_byte_is_damage_wherever_it_is() {
        let (file, ends) = three();
        for at in samples(&file, &ends) {
            let mut file = file.clone();
            file[at] ^= 0x40;
            let (records, end, _) = read(&file);
            assert_eq!(records.len(), ends.iter().filter(|&&end| end <= at).count(), "byte {at}");
            assert!(matches!(end, End::Damaged(_)), "byte {at}: {end:?}");
        }
    }

    #[test]
    fn a_page_that_is_zero_tears_the_record_in_it_and_the_records_before_stay() {
        let (file, ends) = three();
        for page in (0..file.len()).step_by(4096) {
            let mut file = file.clone();
            let page_end = file.len().min(page + 4096);
            file[page..page_end].fill(0);
            let (records, end, _) = read(&file);
            assert_eq!((records.len(), end), (usize::from(page >= ends[0]), End::Torn), "{page}");
            let mut records = Records::new(&file);
            assert_eq!(records.by_ref().count(), usize::from(page >= ends[0]));
            assert_eq!(records.is_followed_by_a_record(), page_end <= ends[1], "{page}");
        }
    }

    #[test]
    fn zeros_from_the_end_of_a_record_to_the_end_of_its_page_are_torn_although_records_follow() {
        let (mut file, ends) = three();
        file[ends[0]..4096].fill(0);
        let (records, end, whole) = read(&file);
        assert_eq!((records.len(), end, whole), (1, End::Torn, ends[0]));
    }

    #[test]
    fn packed_numbers_and_texts_come_off_the_front_and_a_cut_one_is_none() {
        let mut packed = Packed(&[0x96, 0x01, 3, b'a', b'b', b'c', 0xff]);
        assert_eq!(packed.varint(), Some(150));
        assert_eq!(packed.text(), Some(&b"abc"[..]));
        assert_eq!(packed.varint(), None);
        assert_eq!(Packed(&[4, 1, 2]).text(), None);
        assert_eq!(Packed(&[0xff; 11]).varint(), None);
    }
}
