//! `supervm db scan`: keys and values in order.

use super::super::bytes::{Bytes, shown};
use super::super::failure::Failure;
use super::super::output::Output;
use super::arguments::ScanArguments;
use super::entry::Row;
use serde_json::json;
use supervm_plugin_sdk::{Direction, KeyRange, prefix_successor};

pub(super) fn scan(arguments: &ScanArguments, output: &mut Output) -> Result<(), Failure> {
    let storage = arguments.profile.storage_to_read()?;
    let (start, end) = bounds(arguments);
    let range = KeyRange::new(&start, end.as_deref());
    let mut listing = Listing { left: arguments.limit.unwrap_or(usize::MAX), rows: Vec::new() };
    if arguments.raw {
        let mut rows = storage.rows(range, direction(arguments))?;
        while listing.left > 0
            && let Some((key, value)) = rows.next()?
        {
            listing.add(Row::new(key, value, None), key, value, output)?;
        }
    } else {
        let as_of = arguments.moment.of(&storage)?;
        let mut rows = as_of.rows(range, direction(arguments))?;
        while listing.left > 0
            && let Some((key, version, value)) = rows.next()?
        {
            listing.add(Row::new(key, value, Some(version)), key, value, output)?;
        }
    }
    if output.is_json() { output.object(&json!({ "rows": listing.rows })) } else { Ok(()) }
}

struct Listing {
    left: usize,
    /// Collected for the one JSON object; people read them as they come.
    rows: Vec<Row>,
}

impl Listing {
    fn add(
        &mut self,
        row: Row,
        key: &[u8],
        value: &[u8],
        output: &mut Output,
    ) -> Result<(), Failure> {
        self.left -= 1;
        if output.is_json() {
            self.rows.push(row);
            return Ok(());
        }
        output.line(format_args!("{}\t{}", shown(key), shown(value)))
    }
}

fn direction(arguments: &ScanArguments) -> Direction {
    if arguments.reverse { Direction::Reverse } else { Direction::Forward }
}

/// From the first key to the one past the last.
fn bounds(arguments: &ScanArguments) -> (Vec<u8>, Option<Vec<u8>>) {
    let prefix = arguments.prefix.as_ref().map_or(&[][..], |prefix| &prefix.0);
    let (mut start, mut end) = (prefix.to_vec(), prefix_successor(prefix));
    if let Some(Bytes(from)) = &arguments.from {
        match direction(arguments) {
            Direction::Forward => start = start.max(from.clone()),
            Direction::Reverse => {
                // The first key after `from`, so that `from` itself is among the rows.
                let after: Vec<u8> = from.iter().copied().chain([0]).collect();
                end = Some(end.map_or(after.clone(), |end| end.min(after)));
            }
        }
    }
    (start, end)
}
