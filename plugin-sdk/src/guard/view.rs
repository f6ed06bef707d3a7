//! Cursors and snapshots behind the guard.

use super::shared::{Counted, Live, Shared, Sharing};
use crate::{
    ByteBuf, Capabilities, Capability, Cursor, Direction, Error, ErrorKind, KeyRange, Limits, Page,
    PageEnd, Result, StorageSnapshot, Values, check_key, check_range,
};
use std::sync::Arc;

pub(crate) struct GuardedSnapshot {
    // Dropped before `live`: invariant 3.
    snapshot: Box<dyn StorageSnapshot>,
    capabilities: Capabilities,
    live: Live,
}

impl Sharing for GuardedSnapshot {
    fn shared(&self) -> &Arc<Shared> {
        &self.live.shared
    }
}

impl GuardedSnapshot {
    pub(super) fn new(
        snapshot: Box<dyn StorageSnapshot>,
        capabilities: Capabilities,
        live: Live,
    ) -> Self {
        Self { snapshot, capabilities, live }
    }

    pub(crate) fn get(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.shared().check_readable("snapshot get")?;
        check_key(key, self.capabilities.limits())?;
        self.snapshot.get(key, value)
    }

    pub(crate) fn multi_get(&self, keys: &[&[u8]], values: &mut Values) -> Result<()> {
        self.shared().check_readable("snapshot multi_get")?;
        keys.iter().try_for_each(|key| check_key(key, self.capabilities.limits()))?;
        self.snapshot.multi_get(keys, values)
    }

    pub(crate) fn cursor(
        &self,
        range: KeyRange<'_>,
        direction: Direction,
    ) -> Result<GuardedCursor> {
        let live = count_cursor(self.shared(), &range, direction, &self.capabilities)?;
        Ok(GuardedCursor::new(
            self.snapshot.cursor(range, direction)?,
            *self.capabilities.limits(),
            live,
        ))
    }
}

pub(crate) struct GuardedCursor {
    // Dropped before `live`: invariant 3.
    cursor: Box<dyn Cursor>,
    limits: Limits,
    /// The first error; every later call repeats it (clause 13).
    failed: Option<Error>,
    live: Live,
}

impl Sharing for GuardedCursor {
    fn shared(&self) -> &Arc<Shared> {
        &self.live.shared
    }
}

impl GuardedCursor {
    pub(super) fn new(cursor: Box<dyn Cursor>, limits: Limits, live: Live) -> Self {
        Self { cursor, limits, failed: None, live }
    }

    pub(crate) fn next_page(&mut self, page: &mut Page) -> Result<PageEnd> {
        self.check("next_page")?;
        let end = match self.cursor.next_page(page) {
            Ok(PageEnd::More) if page.is_empty() => Err(Error::new(
                ErrorKind::Internal,
                "next_page",
                "the backend returned an empty page",
            )),
            outcome => outcome,
        };
        self.keep_failure(end)
    }

    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<()> {
        self.check("seek")?;
        // Refused before the backend is asked, so the cursor stays usable.
        check_range(&KeyRange::new(key, None), &self.limits)?;
        let sought = self.cursor.seek(key);
        self.keep_failure(sought)
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        self.shared().check_readable(operation)?;
        match &self.failed {
            Some(error) => Err(error.repeated()),
            None => Ok(()),
        }
    }

    fn keep_failure<T>(&mut self, outcome: Result<T>) -> Result<T> {
        outcome.inspect_err(|error| self.failed = Some(error.repeated()))
    }
}

/// Counts a cursor over `range` in `direction`, after it was checked.
pub(super) fn count_cursor(
    shared: &Arc<Shared>,
    range: &KeyRange<'_>,
    direction: Direction,
    capabilities: &Capabilities,
) -> Result<Live> {
    let live = Live::count(shared, Counted::Cursor, capabilities.limits().cursors_max)?;
    if direction == Direction::Reverse {
        capabilities.require(Capability::ReverseCursor, "cursor")?;
    }
    check_range(range, capabilities.limits())?;
    Ok(live)
}
