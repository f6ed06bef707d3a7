//! Readers over the pages of a cursor.

use std::fmt;
use supervm_plugin_sdk::{Cursor, Error, ErrorKind, PAGE_BYTES, Page, PageEnd, Result};

/// An owned key and value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Bytes of the page that a scan begins with: who wants but a few entries does not pay for hundreds.
const FIRST_PAGE_BYTES: usize = 4 << 10;
/// By how much each page is larger than the one before it, up to [`PAGE_BYTES`].
const PAGE_GROWTH: usize = 4;

/// Reads the entries of a cursor one by one, each lent until the next call.
///
/// A scan costs one call into the plugin per page and no allocation per row. The first page has about 4 KiB, and each is larger than the
/// one before it, up to 64 KiB.
///
/// # Behavior
/// - A failure is never taken for the end: it is returned, and so by every later call (clause 13).
/// - After the end, further calls return `None`.
///
/// # Examples
/// ```
/// # fn sum(rows: &mut supervm_engine::storage::Rows) -> supervm_plugin_sdk::Result<usize> {
/// let mut bytes = 0;
/// while let Some((key, value)) = rows.next()? {
///     bytes += key.len() + value.len();
/// }
/// # Ok(bytes)
/// # }
/// ```
pub struct Rows {
    cursor: Box<dyn Cursor>,
    /// Bytes that fill the first page, from the start or after a search.
    first_page_bytes: usize,
    page: Page,
    /// Where in `page` the next entry begins; at the page's end, another page is needed.
    offset: usize,
    state: State,
}

enum State {
    /// There may be pages after this one.
    Reading,
    /// This page is the last.
    LastPage,
    /// The first failure; every later call repeats it.
    Failed(Error),
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

impl Rows {
    /// Reads what is ahead of `cursor`.
    pub fn new(cursor: Box<dyn Cursor>) -> Self {
        Self::with_first_page(cursor, FIRST_PAGE_BYTES)
    }

    /// Reads what is ahead of `cursor`, the first entry alone: for who may not need another one.
    pub fn one_at_first(cursor: Box<dyn Cursor>) -> Self {
        Self::with_first_page(cursor, 0)
    }

    fn with_first_page(cursor: Box<dyn Cursor>, first_page_bytes: usize) -> Self {
        let mut page = Page::new();
        page.set_full_at(first_page_bytes);
        Self { cursor, first_page_bytes, page, offset: 0, state: State::Reading }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    /// As [`Cursor::next_page`]; `Internal` when the plugin breaks the contract.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend its items")]
    #[inline]
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.offset >= self.page.byte_len() && !self.fill()? {
            return Ok(None);
        }
        match self.page.entry_at(self.offset) {
            Some((key, value, after)) => {
                self.offset = after;
                Ok(Some((key, value)))
            }
            None => Err(fail(&mut self.state, broken("a page ends within an entry"))),
        }
    }

    /// The next entry, which stays the next until [`advance`](Self::advance); `None` at the end.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn peek(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if self.offset >= self.page.byte_len() && !self.fill()? {
            return Ok(None);
        }
        match self.page.entry_at(self.offset) {
            Some((key, value, _)) => Ok(Some((key, value))),
            None => Err(fail(&mut self.state, broken("a page ends within an entry"))),
        }
    }

    /// Passes the entry that [`peek`](Self::peek) lent; no effect without one.
    pub fn advance(&mut self) {
        if let Some((_, _, after)) = self.page.entry_at(self.offset) {
            self.offset = after;
        }
    }

    /// Moves so that the next entry is the first at or after `key` in the cursor's direction, within its range.
    ///
    /// # Behavior
    /// May go back, and past what is in memory; what follows is read anew.
    ///
    /// # Errors
    /// As [`Cursor::seek`]; an earlier failure again.
    pub fn seek(&mut self, key: &[u8]) -> Result<()> {
        if let State::Failed(error) = &self.state {
            return Err(error.repeated());
        }
        self.page.clear();
        self.page.set_full_at(self.first_page_bytes);
        self.offset = 0;
        self.state = State::Reading;
        self.cursor.seek(key).map_err(|error| fail(&mut self.state, error))
    }

    /// Fetches pages until there is an entry; `false` at the end.
    fn fill(&mut self) -> Result<bool> {
        match &self.state {
            State::Reading => {}
            State::LastPage => return Ok(false),
            State::Failed(error) => return Err(error.repeated()),
        }
        self.page.clear();
        self.offset = 0;
        let read = self.cursor.next_page(&mut self.page);
        let grown = (self.page.full_at() * PAGE_GROWTH).clamp(FIRST_PAGE_BYTES, PAGE_BYTES);
        self.page.set_full_at(grown);
        match read {
            Ok(PageEnd::End) => self.state = State::LastPage,
            Ok(PageEnd::More) if self.page.is_empty() => {
                return Err(fail(&mut self.state, broken("an empty page came before the end")));
            }
            Ok(PageEnd::More) => {}
            Err(error) => {
                self.page.clear();
                return Err(fail(&mut self.state, error));
            }
        }
        Ok(!self.page.is_empty())
    }
}

/// Owned entries, in the cursor's order.
///
/// # Behavior
/// As [`Rows`]. A failure is yielded again and again, so collect into a `Result` and stop at the first.
#[derive(Debug)]
pub struct Iter(Rows);

impl Iter {
    /// Owned copies of what `rows` lends.
    pub fn new(rows: Rows) -> Self {
        Self(rows)
    }
}

impl Iterator for Iter {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.0.next().transpose()?;
        Some(entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
    }
}

fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Internal, "next_page", format!("the plugin breaks the contract: {what}"))
}

#[cold]
fn fail(state: &mut State, error: Error) -> Error {
    let again = error.repeated();
    *state = State::Failed(error);
    again
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// What one call of `next_page` answers: the keys of the page and its end.
    type Answer = Result<(Vec<&'static [u8]>, PageEnd)>;

    /// Answers with the outcomes it was given, then breaks the contract by an end after the error.
    struct Scripted(VecDeque<Answer>);

    impl Cursor for Scripted {
        fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
            let (keys, end) = self.0.pop_front().unwrap_or(Ok((Vec::new(), PageEnd::End)))?;
            for key in keys {
                let _ = page.push(key, b"value");
            }
            Ok(end)
        }

        fn seek(&mut self, _: &[u8]) -> Result<()> {
            Ok(())
        }
    }

    fn rows<const N: usize>(script: [Answer; N]) -> Rows {
        Rows::new(Box::new(Scripted(script.into())))
    }

    #[test]
    fn entries_go_on_over_pages_and_the_end_stays_the_end() {
        let mut rows =
            rows([Ok((vec![b"a", b"b"], PageEnd::More)), Ok((vec![b"c"], PageEnd::End))]);
        for expected in [b"a", b"b", b"c"] {
            let (key, value) = rows.next().expect("no failure").expect("an entry");
            assert_eq!((key, value), (&expected[..], &b"value"[..]));
        }
        assert!(rows.next().expect("no failure").is_none());
        assert!(rows.next().expect("no failure").is_none());
    }

    #[test]
    fn a_failure_is_sticky_and_not_taken_for_the_end() {
        let failure = Error::new(ErrorKind::Corruption, "next_page", "a block is damaged")
            .with("block", 7)
            .with_source("checksum");
        let mut rows = rows([Ok((vec![b"a"], PageEnd::More)), Err(failure)]);
        assert!(rows.next().expect("the first page is sound").is_some());
        for _ in 0..3 {
            let error = rows.next().expect_err("never the end");
            assert_eq!(error.kind(), ErrorKind::Corruption);
            assert_eq!(error.to_string(), "next_page: a block is damaged (block: 7)");
            let source = std::error::Error::source(&error).expect("the source is kept");
            assert_eq!(source.to_string(), "checksum");
        }
    }

    #[test]
    fn a_search_drops_the_page_and_makes_ended_rows_usable_but_not_failed_ones() {
        let failure = Error::new(ErrorKind::Io, "next_page", "unplugged");
        let mut rows = rows([
            Ok((vec![b"a", b"b"], PageEnd::End)),
            Ok((vec![b"c"], PageEnd::End)),
            Err(failure),
        ]);
        assert!(rows.next().expect("no failure").is_some());
        rows.seek(b"c").expect("no failure");
        assert_eq!(rows.next().expect("no failure"), Some((&b"c"[..], &b"value"[..])));
        assert!(rows.next().expect("no failure").is_none());
        rows.seek(b"d").expect("no failure");
        assert_eq!(rows.next().expect_err("unplugged").kind(), ErrorKind::Io);
        assert_eq!(rows.seek(b"a").expect_err("sticky").kind(), ErrorKind::Io);
    }

    /// Never ends, and answers with the size of the page that was asked for as the value.
    struct Sizes;

    impl Cursor for Sizes {
        fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
            let _ = page.push(b"asked for", &page.full_at().to_le_bytes());
            Ok(PageEnd::More)
        }

        fn seek(&mut self, _: &[u8]) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn pages_grow_from_a_small_one_and_begin_small_again_after_a_search() {
        let sizes = |rows: &mut Rows| {
            [(); 5].map(|()| {
                let (_, size) = rows.next().expect("no failure").expect("an entry");
                usize::from_le_bytes(size.try_into().expect("a size"))
            })
        };
        let mut rows = Rows::new(Box::new(Sizes));
        let grown = [4 << 10, 16 << 10, PAGE_BYTES, PAGE_BYTES, PAGE_BYTES];
        assert_eq!(sizes(&mut rows), grown);
        rows.seek(b"").expect("no failure");
        assert_eq!(sizes(&mut rows), grown);
        let mut rows = Rows::one_at_first(Box::new(Sizes));
        assert_eq!(sizes(&mut rows), [0, 4 << 10, 16 << 10, PAGE_BYTES, PAGE_BYTES]);
    }

    #[test]
    fn an_empty_page_before_the_end_is_an_error() {
        let mut rows = rows([Ok((Vec::new(), PageEnd::More)), Ok((vec![b"a"], PageEnd::End))]);
        assert_eq!(rows.next().expect_err("broken").kind(), ErrorKind::Internal);
        assert_eq!(
            Iter::new(rows).next().expect("sticky").expect_err("broken").kind(),
            ErrorKind::Internal
        );
    }
}
