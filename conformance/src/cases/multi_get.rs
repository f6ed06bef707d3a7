//! Multi-gets of many keys or large values, and after many writes.

use crate::case::{Case, CaseResult};
use crate::check::equal;
use crate::fixture::{Fixture, numbered};

pub(super) const CASES: &[Case] = &[
    Case::new(
        'D',
        "multi_get.like_single_gets",
        &[14, 30],
        "A thousand keys are answered as single reads answer them.",
        like_single,
    ),
    Case::new('D', "multi_get.large_values", &[3, 12], "Large values are answered whole.", large),
    Case::new(
        'D',
        "multi_get.sees_the_last_write",
        &[14],
        "A multi-get sees the write that returned before it.",
        last_write,
    ),
];

fn like_single(f: &mut Fixture) -> CaseResult {
    let mut keys = numbered(1000);
    f.write(|batch| keys.iter().step_by(3).for_each(|key| batch.put(key, &key[4..])))?;
    f.random().shuffle(&mut keys);
    let asked: Vec<_> = keys.iter().map(Vec::as_slice).collect();
    let found = f.multi_get(&asked)?;
    equal("number of answers", &found.len(), &asked.len())?;
    for (key, found) in asked.iter().zip(found) {
        equal(key.escape_ascii(), &found, &f.get(key)?)?;
    }
    Ok(())
}

fn large(f: &mut Fixture) -> CaseResult {
    let mut random = f.random();
    let keys = numbered(16);
    let values: Vec<_> = keys.iter().map(|_| random.bytes(200_000)).collect();
    for (key, value) in keys.iter().zip(&values) {
        f.put(key, value)?;
    }
    let found = f.multi_get(&keys.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
    equal("the answers", &found, &values.into_iter().map(Some).collect())
}

fn last_write(f: &mut Fixture) -> CaseResult {
    for round in 0..50u8 {
        f.write(|batch| [b"a", b"b"].into_iter().for_each(|key| batch.put(key, &[round])))?;
        let found = f.multi_get(&[b"b", b"a"])?;
        equal(format!("round {round}"), &found, &vec![Some(vec![round]); 2])?;
    }
    Ok(())
}
