//! Many prefixes at once.

use crate::case::{Case, CaseResult};
use crate::check::same_rows;
use crate::fixture::{Fixture, mirrored_rows};
use supervm_plugin_sdk::{KeyRange, prefix_successor};

pub(super) const CASES: &[Case] = &[Case::new(
    'G',
    "scan.prefix.many_side_by_side",
    &[9],
    "Two hundred prefixes side by side each hold their own keys.",
    side_by_side,
)];

fn expect(f: &Fixture, prefix: &[u8], expected: &[&[u8]]) -> CaseResult {
    let end = prefix_successor(prefix);
    let rows = f.rows(KeyRange::new(prefix, end.as_deref()))?;
    let what = format!("prefix \"{}\"", prefix.escape_ascii());
    same_rows(what, &rows, &mirrored_rows(expected.iter().copied()))
}

fn side_by_side(f: &mut Fixture) -> CaseResult {
    let keys: Vec<Vec<Vec<u8>>> = (0..200u8)
        .map(|group| (0..10u8).map(|slot| vec![b'p', group, slot * 28]).collect())
        .collect();
    f.put_all(keys.iter().flatten().map(Vec::as_slice))?;
    for (group, keys) in keys.iter().enumerate() {
        let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
        expect(f, &[b'p', group as u8], &keys)?;
    }
    Ok(())
}
