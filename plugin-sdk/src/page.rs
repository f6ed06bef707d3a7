//! What the host lends to a backend to be filled: pages of entries and lists of values.
//!
//! Both are packed into one [`ByteBuf`], so a scan costs one call per page and no allocation per row.
//!
//! ```text
//! page    entry*          entry = key length u32 LE | value length u32 LE | key | value
//! values  value*          value = length u32 LE, or u32::MAX for an absent key | value
//! ```

use crate::ByteBuf;

/// Bytes of entries after which a page counts as full, where nothing less was asked for.
pub const PAGE_BYTES: usize = 64 << 10;
const HEADER_BYTES: usize = 8;
const ABSENT: u32 = u32::MAX;

/// A page of packed entries that a cursor appends to.
///
/// # Examples
/// ```
/// use supervm_plugin_sdk::Page;
/// let mut page = Page::new();
/// assert!(page.push(b"key", b"value"), "there is room for more");
/// assert_eq!(page.iter().collect::<Vec<_>>(), [(&b"key"[..], &b"value"[..])]);
/// ```
#[derive(Debug, Clone)]
pub struct Page {
    entries: ByteBuf,
    full_at: usize,
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

impl Page {
    /// An empty page that is full at [`PAGE_BYTES`]; allocates nothing.
    pub const fn new() -> Self {
        Self { entries: ByteBuf::new(), full_at: PAGE_BYTES }
    }

    /// How many bytes of entries, headers included, fill the page; with 0 or 1 the first entry does.
    ///
    /// Who reads on after a page reads it in fewer calls when it is large; who may not need more than the first entries pays for less
    /// when it is small.
    pub fn set_full_at(&mut self, bytes: usize) {
        self.full_at = bytes;
    }

    /// How many bytes of entries fill the page.
    pub fn full_at(&self) -> usize {
        self.full_at
    }

    /// Appends an entry and says whether there is room for another one.
    ///
    /// An entry is never refused: a page grows past [`full_at`](Self::full_at) by its last entry.
    #[inline]
    #[must_use = "a full page ends the call of next_page"]
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> bool {
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&(key.len() as u32).to_le_bytes());
        header[4..].copy_from_slice(&(value.len() as u32).to_le_bytes());
        self.entries.extend_parts([&header, key, value]);
        self.entries.len() < self.full_at
    }

    /// Empties the page and keeps its memory.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Is there no entry?
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes used, headers included.
    pub fn byte_len(&self) -> usize {
        self.entries.len()
    }

    /// The entries, in the cursor's order.
    pub fn iter(&self) -> PageIter<'_> {
        PageIter { rest: &self.entries }
    }

    /// The entry that begins `offset` bytes into the page, and the offset of the one after it.
    #[inline]
    pub fn entry_at(&self, offset: usize) -> Option<(&[u8], &[u8], usize)> {
        let rest = self.entries.get(offset..)?;
        let (key, value, after) = split_entry(rest)?;
        Some((key, value, self.entries.len() - after.len()))
    }

    #[cfg(feature = "host")]
    pub(crate) fn buffer(&mut self) -> &mut ByteBuf {
        &mut self.entries
    }

    pub(crate) fn from_buffer(entries: ByteBuf, full_at: usize) -> Self {
        Self { entries, full_at }
    }

    pub(crate) fn into_buffer(self) -> ByteBuf {
        self.entries
    }
}

#[inline]
fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (key_length, rest) = bytes.split_first_chunk::<4>()?;
    let (value_length, rest) = rest.split_first_chunk::<4>()?;
    let (key, rest) = rest.split_at_checked(u32::from_le_bytes(*key_length) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value_length) as usize)?;
    Some((key, value, rest))
}

/// The entries of a [`Page`].
#[derive(Debug, Clone)]
pub struct PageIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for PageIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let (key, value, rest) = split_entry(self.rest)?;
        self.rest = rest;
        Some((key, value))
    }
}

/// The answers of a `multi_get`, one per key and in the order of the keys.
#[derive(Debug, Clone, Default)]
#[repr(transparent)]
pub struct Values(ByteBuf);

impl Values {
    /// No values; allocates nothing.
    pub const fn new() -> Self {
        Self(ByteBuf::new())
    }

    /// Appends the answer for the next key; `None` = the key is absent.
    #[inline]
    pub fn push(&mut self, value: Option<&[u8]>) {
        let length = value.map_or(ABSENT, |value| value.len() as u32);
        self.0.extend_parts([&length.to_le_bytes(), value.unwrap_or_default()]);
    }

    /// Empties the list and keeps its memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The answers, in the order of the keys.
    pub fn iter(&self) -> ValuesIter<'_> {
        ValuesIter { rest: &self.0 }
    }

    #[cfg(feature = "host")]
    pub(crate) fn buffer(&mut self) -> &mut ByteBuf {
        &mut self.0
    }

    pub(crate) fn from_buffer(buffer: ByteBuf) -> Self {
        Self(buffer)
    }

    pub(crate) fn into_buffer(self) -> ByteBuf {
        self.0
    }
}

/// The answers in [`Values`].
#[derive(Debug, Clone)]
pub struct ValuesIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ValuesIter<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (length, rest) = self.rest.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        if length == ABSENT {
            self.rest = rest;
            return Some(None);
        }
        let (value, rest) = rest.split_at_checked(length as usize)?;
        self.rest = rest;
        Some(Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_full_after_64_kib_and_keeps_the_entry_that_filled_it() {
        let mut page = Page::new();
        assert!(page.push(b"a", &[]));
        assert!(!page.push(b"b", &vec![7; PAGE_BYTES]));
        let entries: Vec<_> = page.iter().map(|(key, value)| (key[0], value.len())).collect();
        assert_eq!(entries, [(b'a', 0), (b'b', PAGE_BYTES)]);
    }

    #[test]
    fn a_page_is_full_where_it_was_asked_to_be() {
        let mut page = Page::new();
        page.set_full_at(2 * (HEADER_BYTES + 1));
        assert!(page.push(b"a", &[]));
        assert!(!page.push(b"b", &[]));
        page.clear();
        page.set_full_at(0);
        assert!(!page.push(b"c", &[]), "the first entry fills it");
    }

    #[test]
    fn an_absent_value_is_not_an_empty_one() {
        let mut values = Values::new();
        values.push(None);
        values.push(Some(b""));
        values.push(Some(b"x"));
        assert_eq!(values.iter().collect::<Vec<_>>(), [None, Some(&b""[..]), Some(&b"x"[..])]);
    }

    #[test]
    fn a_cut_page_ends_instead_of_panicking() {
        let mut page = Page::new();
        let _ = page.push(b"key", b"value");
        page.entries.truncate(10);
        assert_eq!(page.iter().count(), 0);
    }
}
