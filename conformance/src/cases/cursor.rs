//! Cursors: pages, random seeks, many at once, dropped half-way.

use crate::case::{Case, CaseResult};
use crate::check::{Row, equal, failed, holds, refused, same_rows};
use crate::fixture::{Fixture, drain, first, mirrored_rows, numbered};
use crate::job::stage;
use std::thread;
use supervm_plugin_sdk::{
    Capability, Cursor, Direction, ErrorKind, KeyRange, PAGE_BYTES, Page, PageEnd,
};

const REVERSE: &[Capability] = &[Capability::ReverseCursor];

pub(super) const CASES: &[Case] = &[
    Case::new(
        'H',
        "cursor.page.is_never_empty_before_the_end",
        &[10],
        "A page that says more has at least one entry.",
        never_empty,
    ),
    Case::new(
        'H',
        "cursor.page.holds_about_64_kib",
        &[12],
        "A page ends with the entry that fills it.",
        page_size,
    ),
    Case::new(
        'H',
        "cursor.page.of_any_size",
        &[10, 12],
        "A page ends where it was asked to, and the next one of any size goes on from there.",
        any_size,
    ),
    Case::new(
        'H',
        "cursor.page.of_any_size_in_reverse",
        &[10, 12],
        "So it does in reverse.",
        any_size_in_reverse,
    )
    .needs(REVERSE),
    Case::new(
        'H',
        "cursor.page.end_repeats",
        &[10],
        "After the end, further pages are empty and say end again.",
        end_repeats,
    ),
    Case::new(
        'H',
        "cursor.page.bytes_outlive_the_cursor",
        &[12],
        "A page keeps its entries when the cursor goes on, the storage changes and the cursor ends.",
        bytes_outlive,
    ),
    Case::new(
        'H',
        "cursor.page.reused_buffer",
        &[12],
        "A page that is used again holds the new entries alone.",
        reused_page,
    ),
    Case::new(
        'H',
        "cursor.seek.back",
        &[10],
        "A seek may go back to what was read already.",
        seek_back,
    ),
    Case::new(
        'H',
        "cursor.seek.goes_on_to_the_end",
        &[10],
        "After a seek, every entry to the end of the range follows.",
        seek_goes_on,
    ),
    Case::new(
        'H',
        "cursor.seek.random",
        &[1],
        "Five hundred random seeks find what the order of the keys says.",
        seek_random,
    ),
    Case::new(
        'H',
        "cursor.seek.random_reverse",
        &[1],
        "Five hundred random seeks in reverse find what the order of the keys says.",
        seek_random_reverse,
    )
    .needs(REVERSE),
    Case::new(
        'H',
        "cursor.many.independent",
        &[11],
        "Cursors that are read in turns do not disturb each other.",
        independent,
    ),
    Case::new(
        'H',
        "cursor.many.as_many_as_declared",
        &[11],
        "As many cursors as the contract asks for can be open at once.",
        as_many,
    )
    .deadline(60),
    Case::new(
        'H',
        "cursor.many.one_more_is_busy",
        &[11, 29],
        "One cursor more than declared is Busy, and possible again when one is dropped.",
        one_more,
    )
    .deadline(60),
    Case::new(
        'H',
        "cursor.dropped_half_way",
        &[11],
        "A thousand cursors that are dropped after their first page leave nothing behind.",
        dropped_half_way,
    ),
    Case::new(
        'H',
        "cursor.moves_to_another_thread",
        &[11],
        "A cursor that was begun on one thread goes on on another.",
        moves,
    ),
];

/// Enough entries for several pages.
pub(super) fn fill(f: &Fixture) -> CaseResult<Vec<Row>> {
    let rows: Vec<Row> = numbered(3000).into_iter().map(|key| (key, vec![7; 100])).collect();
    f.write(|batch| rows.iter().for_each(|(key, value)| batch.put(key, value)))?;
    Ok(rows)
}

pub(super) fn forward(f: &Fixture) -> CaseResult<Box<dyn Cursor>> {
    f.cursor(KeyRange::ALL, Direction::Forward)
}

pub(super) fn page_rows(page: &Page) -> Vec<Row> {
    page.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

fn never_empty(f: &mut Fixture) -> CaseResult {
    fill(f)?;
    let (mut cursor, mut page) = (forward(f)?, Page::new());
    for number in 0..3000 {
        page.clear();
        if cursor.next_page(&mut page)? == PageEnd::End {
            return Ok(());
        }
        holds(format!("page {number} has an entry"), !page.is_empty())?;
    }
    failed("3000 entries came in more than 3000 pages")
}

fn page_size(f: &mut Fixture) -> CaseResult {
    fill(f)?;
    let (mut cursor, mut page, mut pages) = (forward(f)?, Page::new(), 0);
    while cursor.next_page(&mut page)? == PageEnd::More {
        let claim =
            format!("a page has {} bytes, at most {PAGE_BYTES} and an entry", page.byte_len());
        holds(claim, page.byte_len() < PAGE_BYTES + 200)?;
        page.clear();
        pages += 1;
    }
    holds(format!("348000 bytes came in {pages} full pages"), pages >= 3)
}

fn any_size(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    pages_of_any_size(f, &rows, Direction::Forward)
}

fn any_size_in_reverse(f: &mut Fixture) -> CaseResult {
    let mut rows = fill(f)?;
    rows.reverse();
    pages_of_any_size(f, &rows, Direction::Reverse)
}

fn pages_of_any_size(f: &Fixture, rows: &[Row], direction: Direction) -> CaseResult {
    let sizes: [&[usize]; 4] =
        [&[0], &[1000], &[0, 4 << 10, PAGE_BYTES], &[PAGE_BYTES, PAGE_BYTES, 0, 1000]];
    for sizes in sizes {
        let (mut cursor, mut page, mut found) =
            (f.cursor(KeyRange::ALL, direction)?, Page::new(), Vec::new());
        for size in sizes.iter().cycle() {
            page.clear();
            page.set_full_at(*size);
            let end = cursor.next_page(&mut page)?;
            let claim = format!(
                "a page that is full at {size} bytes has {}, at most an entry more",
                page.byte_len()
            );
            holds(claim, page.byte_len() < size + 200)?;
            found.extend(page_rows(&page));
            if end == PageEnd::End {
                break;
            }
            holds("a page before the end has an entry", !page.is_empty())?;
        }
        same_rows(format!("pages of {sizes:?} bytes"), &found, rows)?;
    }
    Ok(())
}

fn end_repeats(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b"])?;
    let mut cursor = forward(f)?;
    equal("entries", &drain(&mut *cursor)?.len(), &2)?;
    for _ in 0..3 {
        let mut page = Page::new();
        equal("a page after the end", &cursor.next_page(&mut page)?, &PageEnd::End)?;
        let claim =
            format!("a page after the end is empty; it has {} entries", page.iter().count());
        holds(claim, page.is_empty())?;
    }
    Ok(())
}

fn bytes_outlive(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    let (mut cursor, mut kept, mut other) = (forward(f)?, Page::new(), Page::new());
    cursor.next_page(&mut kept)?;
    cursor.next_page(&mut other)?;
    f.write(|batch| rows.iter().for_each(|(key, _)| batch.put(key, b"changed")))?;
    drop(cursor);
    let found = page_rows(&kept);
    same_rows("the first page", &found, &rows[..found.len()])
}

fn reused_page(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    f.put(b"z", b"last")?;
    let mut page = Page::new();
    forward(f)?.next_page(&mut page)?;
    page.clear();
    let mut last = f.cursor(KeyRange::new(b"z", None), Direction::Forward)?;
    last.next_page(&mut page)?;
    holds("the storage has more than one page", rows.len() > 1000)?;
    same_rows("the page", &page_rows(&page), &[(b"z".to_vec(), b"last".to_vec())])
}

pub(super) const SOME: [&[u8]; 4] = [b"b", b"d", b"dd", b"f"];

/// Seeks each target and compares the key that comes next.
fn expect_seeks(cursor: &mut dyn Cursor, seeks: &[(&[u8], Option<&[u8]>)]) -> CaseResult {
    for (target, expected) in seeks {
        cursor.seek(target)?;
        let found = first(cursor)?.map(|row| row.0);
        let what = format!("the key after a seek to \"{}\"", target.escape_ascii());
        equal(what, &found, &expected.map(<[u8]>::to_vec))?;
    }
    Ok(())
}

fn seek_back(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    let mut cursor = forward(f)?;
    first(&mut *cursor)?;
    first(&mut *cursor)?;
    cursor.seek(&rows[10].0)?;
    same_rows("what follows the seek", &drain(&mut *cursor)?, &rows[10..])
}

fn seek_goes_on(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    let mut cursor = f.cursor(KeyRange::new(b"", Some(b"00002900")), Direction::Forward)?;
    cursor.seek(b"000004995")?;
    same_rows("what follows the seek", &drain(&mut *cursor)?, &rows[500..2900])
}

fn seek_random(f: &mut Fixture) -> CaseResult {
    random_seeks(f, Direction::Forward)
}

fn seek_random_reverse(f: &mut Fixture) -> CaseResult {
    random_seeks(f, Direction::Reverse)
}

fn random_seeks(f: &mut Fixture, direction: Direction) -> CaseResult {
    let mut random = f.random();
    let mut keys: Vec<_> = (0..500).map(|_| random.bytes(2)).collect();
    keys.sort();
    keys.dedup();
    f.put_all(keys.iter().map(Vec::as_slice))?;
    let mut cursor = f.cursor(KeyRange::ALL, direction)?;
    for _ in 0..500 {
        let length = 1 + random.below(3);
        let target = random.bytes(length);
        let expected = match direction {
            Direction::Forward => keys.iter().find(|key| **key >= target),
            Direction::Reverse => keys.iter().rev().find(|key| **key <= target),
        };
        expect_seeks(&mut *cursor, &[(&target, expected.map(Vec::as_slice))])?;
    }
    Ok(())
}

fn independent(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    let mut cursors = Vec::new();
    for start in [0, 700, 1400, 2100] {
        cursors.push((
            start,
            Vec::new(),
            f.cursor(KeyRange::new(&rows[start].0, None), Direction::Forward)?,
        ));
    }
    let (mut page, mut ended) = (Page::new(), 0);
    while ended < cursors.len() {
        ended = 0;
        for (_, found, cursor) in &mut cursors {
            page.clear();
            ended += usize::from(cursor.next_page(&mut page)? == PageEnd::End);
            found.extend(page_rows(&page));
        }
    }
    for (start, found, _) in &cursors {
        same_rows(format!("the cursor from {start}"), found, &rows[*start..])?;
    }
    Ok(())
}

/// Cursors that the contract asks for at once.
fn contract_cursors(f: &Fixture) -> usize {
    f.limits().cursors_max.min(supervm_plugin_sdk::CURSORS_MAX as u64) as usize
}

fn as_many(f: &mut Fixture) -> CaseResult {
    f.put_all(SOME)?;
    let mut cursors = Vec::new();
    for number in 0..contract_cursors(f) {
        stage(format!("opening cursor {number}"));
        cursors.push(forward(f)?);
    }
    f.put(b"later", b"")?;
    for cursor in &mut cursors {
        same_rows("one of the cursors", &drain(&mut **cursor)?, &mirrored_rows(SOME))?;
    }
    Ok(())
}

fn one_more(f: &mut Fixture) -> CaseResult {
    let most = f.limits().cursors_max;
    if most > 1 << 16 {
        return crate::check::skipped(format!(
            "the backend declares {most} cursors, too many to open"
        ));
    }
    let mut cursors = Vec::new();
    for _ in 0..most {
        cursors.push(forward(f)?);
    }
    let refusal = f.storage().cursor(KeyRange::ALL, Direction::Forward);
    refused("one cursor more", refusal, ErrorKind::Busy)?;
    cursors.pop();
    forward(f).map(drop)
}

fn dropped_half_way(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    for _ in 0..1000 {
        first(&mut *forward(f)?)?;
    }
    equal("live cursors", &f.storage().stats()?.live_cursors, &0)?;
    same_rows("a full scan", &f.all_rows()?, &rows)
}

fn moves(f: &mut Fixture) -> CaseResult {
    let rows = fill(f)?;
    let (mut cursor, mut page) = (forward(f)?, Page::new());
    cursor.next_page(&mut page)?;
    let mut found = page_rows(&page);
    let moved = thread::spawn(move || drain(&mut *cursor)).join();
    found.extend(moved.unwrap_or_else(|_| failed("the other thread panicked"))?);
    same_rows("both halves", &found, &rows)
}
