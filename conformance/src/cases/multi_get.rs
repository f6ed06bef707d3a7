//! Multi-get: one answer a key, in the order of the keys.

use crate::case::{Case, CaseResult};
use crate::check::equal;
use crate::fixture::{Fixture, numbered, owned};
use supervm_plugin_sdk::{Capability, Values};

pub(super) const CASES: &[Case] = &[
    Case::new(
        'D',
        "multi_get.order_of_the_keys",
        &[30],
        "Answers come in the order in which the keys were asked.",
        order,
    ),
    Case::new(
        'D',
        "multi_get.missing_among_present",
        &[5],
        "A missing key is answered in its place, without an error.",
        missing,
    ),
    Case::new(
        'D',
        "multi_get.repeated_keys",
        &[30],
        "A key that is asked twice is answered twice.",
        repeated,
    ),
    Case::new('D', "multi_get.no_keys", &[30], "No keys give no answers.", no_keys),
    Case::new(
        'D',
        "multi_get.empty_values",
        &[3],
        "An empty value and a missing key have different answers.",
        empty_values,
    ),
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
    Case::new(
        'D',
        "multi_get.of_a_snapshot",
        &[10],
        "A snapshot's multi-get answers of the snapshot's moment.",
        of_a_snapshot,
    )
    .needs(&[Capability::Snapshot]),
];

fn order(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b", b"c"])?;
    let found = f.multi_get(&[b"c", b"a", b"b"])?;
    equal("the answers", &found, &[b"c", b"a", b"b"].map(|key| Some(key.to_vec())).to_vec())
}

fn missing(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"c"])?;
    let found = f.multi_get(&[b"0", b"a", b"b", b"c", b"d"])?;
    let expected = vec![None, Some(b"a".to_vec()), None, Some(b"c".to_vec()), None];
    equal("the answers", &found, &expected)
}

fn repeated(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"1")?;
    let found = f.multi_get(&[b"a", b"x", b"a", b"x", b"a"])?;
    let one = Some(b"1".to_vec());
    equal("the answers", &found, &vec![one.clone(), None, one.clone(), None, one])
}

fn no_keys(f: &mut Fixture) -> CaseResult {
    f.put(b"a", b"1")?;
    equal("the answers", &f.multi_get(&[])?, &Vec::new())
}

fn empty_values(f: &mut Fixture) -> CaseResult {
    f.put(b"empty", b"")?;
    let found = f.multi_get(&[b"empty", b"missing"])?;
    equal("the answers", &found, &vec![Some(Vec::new()), None])
}

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

fn of_a_snapshot(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b"])?;
    let snapshot = f.snapshot()?;
    f.put(b"a", b"later")?;
    f.delete(b"b")?;
    f.put(b"c", b"later")?;
    let mut values = Values::new();
    snapshot.multi_get(&[b"c", b"b", b"a"], &mut values)?;
    equal("the answers", &owned(&values), &vec![None, Some(b"b".to_vec()), Some(b"a".to_vec())])
}
