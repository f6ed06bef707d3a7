//! What a cursor shows: the moment it was made, whatever is written later.

use super::cursor::{fill, forward, page_rows};
use crate::case::{Case, CaseResult};
use crate::check::{equal, same_rows};
use crate::fixture::{Fixture, drain, first};
use crate::job::stage;
use supervm_plugin_sdk::{Page, PageEnd};

pub(super) const CASES: &[Case] = &[
    Case::new(
        'H',
        "cursor.view.later_overwrites_are_invisible",
        &[10],
        "A cursor shows the values of the moment it was made.",
        later_overwrites,
    ),
    Case::new(
        'H',
        "cursor.view.later_deletes_are_invisible",
        &[10],
        "A cursor shows keys that were deleted after it was made.",
        later_deletes,
    ),
    Case::new(
        'H',
        "cursor.view.delete_then_next_skips_nothing",
        &[10, 11],
        "Deleting each key as it is read skips none.",
        delete_then_next,
    ),
    Case::new(
        'H',
        "cursor.view.deletes_ahead_are_invisible",
        &[10],
        "Deleting what a half-read cursor has still to show does not change what it shows.",
        deletes_ahead,
    ),
    Case::new(
        'H',
        "cursor.view.made_after_a_write_sees_it",
        &[14],
        "A cursor that is made after a write shows it.",
        made_after,
    ),
];

fn later_overwrites(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    let mut cursor = forward(f)?;
    f.write(|batch| rows.iter().for_each(|(key, _)| batch.put(key, b"later")))?;
    same_rows("the cursor", &drain(&mut *cursor)?, &rows)
}

fn later_deletes(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    let mut cursor = forward(f)?;
    f.write(|batch| rows.iter().for_each(|(key, _)| batch.delete(key)))?;
    equal("entries of a new scan", &f.all_rows()?.len(), &0)?;
    same_rows("the cursor", &drain(&mut *cursor)?, &rows)
}

fn delete_then_next(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    let (mut cursor, mut page, mut found) = (forward(f)?, Page::new(), Vec::new());
    loop {
        page.clear();
        stage("reading the next page");
        let end = cursor.next_page(&mut page)?;
        stage("deleting under a live cursor");
        f.write(|batch| page.iter().for_each(|(key, _)| batch.delete(key)))?;
        found.extend(page_rows(&page));
        if end == PageEnd::End {
            break;
        }
    }
    same_rows("what was read", &found, &rows)?;
    equal("entries left", &f.all_rows()?.len(), &0)
}

fn deletes_ahead(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    let (mut cursor, mut page) = (forward(f)?, Page::new());
    cursor.next_page(&mut page)?;
    let mut found = page_rows(&page);
    f.write(|batch| rows[found.len()..].iter().for_each(|(key, _)| batch.delete(key)))?;
    found.extend(drain(&mut *cursor)?);
    same_rows("what was read", &found, &rows)
}

fn made_after(f: &mut Fixture) -> CaseResult {
    for round in 0..100u8 {
        f.put(b"k", &[round])?;
        let found = first(&mut *forward(f)?)?;
        equal("the value", &found.map(|row| row.1), &Some(vec![round]))?;
    }
    Ok(())
}
