//! Deleted ranges with many keys or large values.

use crate::case::{Case, CaseResult};
use crate::check::{equal, same_rows};
use crate::fixture::{Fixture, mirrored_rows, numbered};
use supervm_plugin_sdk::{Capability, KeyRange};

const RANGE: &[Capability] = &[Capability::DeleteRange];

pub(super) const CASES: &[Case] = &[
    Case::new(
        'J',
        "delete_range.many_keys",
        &[8],
        "A range of 30000 keys is deleted whole, its neighbours stay.",
        many_keys,
    )
    .needs(RANGE),
    Case::new(
        'J',
        "delete_range.large_values",
        &[8],
        "A range of large values is deleted whole.",
        large_values,
    )
    .needs(RANGE),
];

fn delete(f: &Fixture, start: &[u8], end: Option<&[u8]>) -> CaseResult {
    f.write(|batch| batch.delete_range(KeyRange::new(start, end)))
}

fn many_keys(f: &mut Fixture) -> CaseResult {
    let keys = numbered(32_000);
    f.put_all(keys.iter().map(Vec::as_slice))?;
    delete(f, &keys[1000], Some(&keys[31_000]))?;
    let left = keys[..1000].iter().chain(&keys[31_000..]).map(Vec::as_slice);
    same_rows("a scan", &f.all_rows()?, &mirrored_rows(left))
}

fn large_values(f: &mut Fixture) -> CaseResult {
    let keys = numbered(40);
    f.write(|batch| keys.iter().for_each(|key| batch.put(key, &[5; 100_000])))?;
    delete(f, &keys[1], Some(&keys[39]))?;
    let left: Vec<_> =
        f.all_rows()?.into_iter().map(|row| row.0.escape_ascii().to_string()).collect();
    equal("the keys left", &left, &vec!["00000000".to_owned(), "00000039".to_owned()])
}
