//! The keys in which two states differ.

use super::finished::check_finished;
use crate::layout::{Area, Meta, split_record};
use crate::storage::Storage;
use serde::Serialize;
use std::cmp::Ordering;
use supervm_plugin_sdk::{Direction, Result};

/// A key whose value is not the same in both states; lent for the time of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference<'a> {
    /// The key of chain state.
    pub key: &'a [u8],
    /// Its value in the first state; `None` = absent.
    pub first: Option<&'a [u8]>,
    /// Its value in the second state; `None` = absent.
    pub second: Option<&'a [u8]>,
}

/// How many keys differ, and how many do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct DiffReport {
    /// Keys with equal values.
    pub equal: u64,
    /// Keys with different values.
    pub changed: u64,
    /// Keys that only the first state has.
    pub only_first: u64,
    /// Keys that only the second state has.
    pub only_second: u64,
}

impl DiffReport {
    /// Are both states the same?
    pub fn is_equal(&self) -> bool {
        self.changed + self.only_first + self.only_second == 0
    }
}

/// Tells `on_difference` the keys in which the newest states of two storages differ, in key order.
///
/// Values are compared, and not the versions that wrote them. Both are read once, page by page.
///
/// # Errors
/// `Busy` in the middle of a commit of several batches; those of reading either storage, and what `on_difference` returns.
pub fn diff(
    first: &Storage,
    second: &Storage,
    on_difference: &mut dyn FnMut(Difference<'_>) -> Result<()>,
) -> Result<DiffReport> {
    for storage in [first, second] {
        let meta = Meta::read(storage)?;
        check_finished(&meta, "compare states", |range| storage.rows(range, Direction::Forward))?;
    }
    let range = Area::Latest.range();
    let mut left = first.rows(range, Direction::Forward)?;
    let mut right = second.rows(range, Direction::Forward)?;
    let mut report = DiffReport::default();
    loop {
        let (in_first, in_second) = (left.peek()?, right.peek()?);
        let order = match (in_first, in_second) {
            (None, None) => return Ok(report),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((first, _)), Some((second, _))) => first.cmp(second),
        };
        let first = in_first.filter(|_| order.is_le());
        let second = in_second.filter(|_| order.is_ge());
        let (old, new) = (value(first)?, value(second)?);
        if old == new {
            report.equal += 1;
        } else {
            let count = match order {
                Ordering::Less => &mut report.only_first,
                Ordering::Equal => &mut report.changed,
                Ordering::Greater => &mut report.only_second,
            };
            *count += 1;
            let (stored, _) = first.or(second).expect("the loop ends when neither has a row");
            let key = &stored[range.start.len()..];
            on_difference(Difference { key, first: old, second: new })?;
        }
        if order.is_le() {
            left.advance();
        }
        if order.is_ge() {
            right.advance();
        }
    }
}

fn value<'a>(row: Option<(&'a [u8], &'a [u8])>) -> Result<Option<&'a [u8]>> {
    let Some((_, record)) = row else { return Ok(None) };
    Ok(Some(split_record(record)?.1))
}
