//! A cursor that is nothing but a search for the next page.

use crate::{Cursor, Direction, KeyRange, Page, PageEnd, RangeAhead, Result};

/// A cursor for a backend that looks each page up anew, from the key where the last one ended.
///
/// It asks a function for each page and keeps count of what is still to come: the function gets what is ahead of the cursor's
/// range and the cursor's direction, appends entries in that direction, and returns the key that filled the page; `None` when
/// what is ahead ended first. What the function owns is the cursor's view: entries of one moment, however long it lives
/// (clause 10).
///
/// # Examples
/// ```
/// use std::{collections::BTreeMap, sync::Arc};
/// use supervm_plugin_sdk::{Cursor, Direction, KeyRange, Page, PageEnd, PagedCursor};
///
/// let map = Arc::new(BTreeMap::from([(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"2".to_vec())]));
/// let mut cursor = PagedCursor::new(KeyRange::ALL, Direction::Forward, move |range, _, page| {
///     let mut ahead = map.iter().filter(|(key, _)| range.contains(key));
///     Ok(ahead.find(|(key, value)| !page.push(key, value)).map(|(key, _)| key.clone()))
/// });
/// cursor.seek(b"b")?;
/// let mut page = Page::new();
/// assert_eq!(cursor.next_page(&mut page)?, PageEnd::End);
/// assert_eq!(page.iter().collect::<Vec<_>>(), [(&b"b"[..], &b"2"[..])]);
/// # Ok::<(), supervm_plugin_sdk::Error>(())
/// ```
pub struct PagedCursor<F> {
    ahead: RangeAhead,
    fill: F,
}

impl<F> PagedCursor<F>
where
    F: FnMut(KeyRange<'_>, Direction, &mut Page) -> Result<Option<Vec<u8>>>,
{
    /// A cursor before the first entry of `range` in `direction`, whose pages come from `fill`.
    ///
    /// `fill` is not called when nothing is ahead.
    pub fn new(range: KeyRange<'_>, direction: Direction, fill: F) -> Self {
        Self { ahead: RangeAhead::new(range, direction), fill }
    }
}

impl<F> std::fmt::Debug for PagedCursor<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PagedCursor").field("ahead", &self.ahead).finish_non_exhaustive()
    }
}

impl<F> Cursor for PagedCursor<F>
where
    F: FnMut(KeyRange<'_>, Direction, &mut Page) -> Result<Option<Vec<u8>>> + Send,
{
    fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        let range = self.ahead.range();
        if range.is_empty() {
            return Ok(PageEnd::End);
        }
        let Some(last) = (self.fill)(range, self.ahead.direction(), page)? else {
            self.ahead.finish();
            return Ok(PageEnd::End);
        };
        self.ahead.pass(&last);
        Ok(PageEnd::More)
    }

    fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.ahead.seek(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_in_either_direction_and_nothing_is_asked_for_after_the_end() {
        let keys = [b"a", b"b", b"c", b"d"];
        for direction in [Direction::Forward, Direction::Reverse] {
            let (mut calls, mut found, mut page) = (0, Vec::new(), Page::new());
            let range = KeyRange::new(b"b", None);
            let mut cursor = PagedCursor::new(range, direction, |range, direction, page| {
                calls += 1;
                let mut ahead = keys.into_iter().filter(|key| range.contains(*key));
                let key =
                    if direction == Direction::Forward { ahead.next() } else { ahead.next_back() };
                Ok(key.map(|key| {
                    let _ = page.push(key, b"");
                    key.to_vec()
                }))
            });
            for _ in 0..6 {
                page.clear();
                cursor.next_page(&mut page).unwrap();
                found.extend(page.iter().map(|(key, _)| key[0]));
            }
            let expected = if direction == Direction::Forward { b"bcd" } else { b"dcb" };
            assert_eq!(found, expected);
            // In reverse the range is used up with its start.
            assert!(calls <= 4, "{calls} calls");
        }
    }
}
