//! One way to a storage.

use crate::data::Put;
use supervm_plugin_sdk::{KeyRange, PAGE_BYTES};

/// A storage that is open and filled. To add one, implement this.
pub trait Leg {
    /// Hands the value of `key` to `read`, in place where that is possible; `None` when the key is absent.
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T>;

    /// Hands the value of each key to `read`, in their order; `None` for an absent one.
    fn multi_get(&mut self, keys: &[&[u8]], mut read: impl FnMut(Option<&[u8]>)) {
        for key in keys {
            if self.get(key, |value| read(Some(value))).is_none() {
                read(None);
            }
        }
    }

    /// Hands every entry in `range` to `read`, in the order of the keys, and in place where that is possible.
    fn scan(&mut self, range: KeyRange<'_>, read: impl FnMut(&[u8], &[u8]));

    /// Writes `batch`, all or none, so that it survives the death of the process.
    fn write(&mut self, batch: &[Put]);
}

/// A leg that copies what it reads into a buffer of its caller, as the storage contract asks of a backend: a value as it is, the
/// entries of a scan packed into pages.
#[derive(Debug)]
pub struct Copying<'a, L> {
    /// The leg that reads.
    pub leg: &'a mut L,
    /// Where it copies to.
    pub buffer: &'a mut Vec<u8>,
}

impl<L: Leg> Leg for Copying<'_, L> {
    #[inline]
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T> {
        let buffer = &mut *self.buffer;
        let copy = |value: &[u8]| {
            buffer.clear();
            buffer.extend_from_slice(value);
        };
        self.leg.get(key, copy)?;
        Some(read(self.buffer))
    }

    fn multi_get(&mut self, keys: &[&[u8]], mut read: impl FnMut(Option<&[u8]>)) {
        let buffer = &mut *self.buffer;
        buffer.clear();
        self.leg.multi_get(keys, |value| {
            buffer.extend_from_slice(&length(value.unwrap_or_default()));
            buffer.push(u8::from(value.is_some()));
            buffer.extend_from_slice(value.unwrap_or_default());
        });
        let mut rest = self.buffer.as_slice();
        while let Some((value, after)) = split(rest) {
            let (&is_present, after) = after.split_first().expect("written above");
            let (value, after) = after.split_at(value);
            read((is_present != 0).then_some(value));
            rest = after;
        }
    }

    fn scan(&mut self, range: KeyRange<'_>, mut read: impl FnMut(&[u8], &[u8])) {
        let buffer = &mut *self.buffer;
        buffer.clear();
        self.leg.scan(range, |key, value| {
            buffer.extend_from_slice(&length(key));
            buffer.extend_from_slice(&length(value));
            buffer.extend_from_slice(key);
            buffer.extend_from_slice(value);
            if buffer.len() >= PAGE_BYTES {
                read_page(buffer, &mut read);
                buffer.clear();
            }
        });
        read_page(self.buffer, &mut read);
    }

    fn write(&mut self, batch: &[Put]) {
        self.leg.write(batch);
    }
}

fn read_page(page: &[u8], read: &mut impl FnMut(&[u8], &[u8])) {
    let mut rest = page;
    while let Some((key, after)) = split(rest) {
        let (value, after) = split(after).expect("written together");
        let (key, after) = after.split_at(key);
        let (value, after) = after.split_at(value);
        read(key, value);
        rest = after;
    }
}

fn length(bytes: &[u8]) -> [u8; 4] {
    (bytes.len() as u32).to_le_bytes()
}

fn split(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*length) as usize, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Data, Shape, Total, checksum};
    use crate::legs::MapLeg;

    #[test]
    fn a_copying_leg_reads_what_the_leg_reads_in_place() {
        let shape = Shape { keys: 2_000, row_bytes: 124 };
        let data = Data::generate(shape);
        let (mut leg, mut buffer) = (MapLeg::filled(&data), Vec::new());
        let mut leg = Copying { leg: &mut leg, buffer: &mut buffer };
        let mut total = Total::default();
        leg.scan(KeyRange::ALL, |key, value| total.add_row(key, value));
        assert_eq!(total, data.total(0..shape.keys));

        let keys: Vec<&[u8]> = vec![&data.keys()[1], b"absent", &data.keys()[0]];
        let mut answers = Vec::new();
        leg.multi_get(&keys, |value| answers.push(value.map(checksum)));
        let one_by_one: Vec<_> = keys.iter().map(|key| leg.get(key, checksum)).collect();
        assert_eq!(answers, one_by_one);
        assert!(answers[0].is_some() && answers[1].is_none());
    }
}
