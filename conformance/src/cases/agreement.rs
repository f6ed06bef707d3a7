//! Agreement: the same operations give the same results, digest and error kinds on every backend.
//!
//! Each backend is compared with the suite's own ordered map and own table of error kinds; backends that agree with it agree with
//! each other.

use crate::agree::Neighbour;
use crate::agree::trace::Trace;
use crate::case::{Case, CaseResult};
use crate::check::{equal, failed, same_rows, skipped};
use crate::fixture::{Fixture, batch, drain};
use crate::job::stage;
use crate::oracle::Oracle;
use crate::random::Random;
use supervm_plugin_sdk::{
    ByteBuf, Capability, Direction, Durability, ErrorKind, KeyRange, OpenMode, Result, WriteBatch,
};

const RANGE: &[Capability] = &[Capability::DeleteRange];

pub(super) const CASES: &[Case] = &[
    Case::new(
        'Y',
        "agreement.digest.of_a_fixed_trace",
        &[23, 30],
        "A fixed trace of 500 batches leaves the digest that is written down.",
        fixed_trace,
    )
    .needs(RANGE),
    Case::new(
        'Y',
        "agreement.digest.of_a_random_trace",
        &[23, 30],
        "After each step of a random trace the digest is the ordered map's.",
        random_trace,
    )
    .needs(RANGE),
    Case::new(
        'Y',
        "agreement.digest.whatever_the_history",
        &[23, 30],
        "The digest depends on the content and not on how it came about.",
        history,
    ),
    Case::new(
        'Y',
        "agreement.results.of_a_random_trace",
        &[30],
        "Every read of a random trace gives what the ordered map gives.",
        results,
    )
    .needs(RANGE),
    Case::new(
        'Y',
        "agreement.results.in_reverse",
        &[30],
        "Every reverse scan of a random trace gives what the ordered map gives.",
        reverse,
    )
    .needs(&[Capability::DeleteRange, Capability::ReverseCursor]),
    Case::new(
        'Y',
        "agreement.trace.like_the_model",
        &[23, 30],
        "Six hundred random writes, reads and scans give line for line what the ordered map gives.",
        like_the_model,
    ),
    Case::new(
        'Y',
        "agreement.trace.like_every_backend_at_hand",
        &[23, 30],
        "Every other backend beside this one gives the same results, digests and kinds and effects of errors.",
        like_the_others,
    )
    .deadline(120),
    Case::new(
        'Y',
        "agreement.errors.table",
        &[30],
        "Twelve wrong calls are refused with the kinds that the table has.",
        error_table,
    ),
];

/// A batch of up to 20 operations on 200 keys of different lengths.
fn trace_batch(random: &mut Random) -> WriteBatch {
    let key = |random: &mut Random| {
        let mut key = vec![random.below(200) as u8];
        key.resize(1 + random.below(3) * 7, 0xff);
        key
    };
    batch(|batch| {
        for _ in 0..1 + random.below(20) {
            let (first, second) = (key(random), key(random));
            match random.below(20) {
                0..13 => {
                    let length = random.below(100);
                    batch.put(&first, &random.bytes(length));
                }
                13..19 => batch.delete(&first),
                _ => batch.delete_range(KeyRange::new(&first, Some(&second))),
            }
        }
    })
}

fn fixed_trace(f: &mut Fixture) -> CaseResult {
    let mut random = Random::new(1, "the fixed trace");
    for _ in 0..500 {
        f.storage().write(&trace_batch(&mut random), Durability::Buffered)?;
    }
    let known = "f66a65f7904904a8801a69fe22c2502b203ec40423af08ca898277aab18e1cec";
    equal("the digest", &f.digest()?, &known.to_owned())
}

fn random_trace(f: &mut Fixture) -> CaseResult {
    let (mut random, mut oracle) = (f.random(), Oracle::default());
    for step in 0..200 {
        let batch = trace_batch(&mut random);
        f.storage().write(&batch, Durability::Buffered)?;
        oracle.apply(&batch);
        equal(format!("the digest after step {step}"), &f.digest()?, &oracle.digest())?;
    }
    Ok(())
}

fn history(f: &mut Fixture) -> CaseResult {
    let dir = f.other_dir();
    let other = f.open_at(&dir, OpenMode::Create)?;
    let rows: Vec<_> = (0..100u8).map(|number| ([number], [number; 30])).collect();
    for (key, value) in &rows {
        f.put(key, value)?;
    }
    let detour = batch(|batch| {
        rows.iter().rev().for_each(|(key, _)| batch.put(key, b"first another value"));
        batch.put(b"gone", b"x");
        rows.iter().for_each(|(key, _)| batch.delete(key));
        rows.iter().rev().for_each(|(key, value)| batch.put(key, value));
        batch.delete(b"gone");
    });
    other.write(&detour, Durability::Buffered)?;
    equal("the digest", &crate::fixture::storage_digest(&*other)?, &f.digest()?)
}

fn results(f: &mut Fixture) -> CaseResult {
    compare_reads(f, Direction::Forward)
}

fn reverse(f: &mut Fixture) -> CaseResult {
    compare_reads(f, Direction::Reverse)
}

fn compare_reads(f: &mut Fixture, direction: Direction) -> CaseResult {
    let (mut random, mut oracle) = (f.random(), Oracle::default());
    for step in 0..150 {
        let batch = trace_batch(&mut random);
        f.storage().write(&batch, Durability::Buffered)?;
        oracle.apply(&batch);
        let (start, end) = (random.bytes(1), random.bytes(1));
        let range = KeyRange::new(&start, (step % 3 > 0).then_some(&end));
        let found = drain(&mut *f.cursor(range, direction)?)?;
        same_rows(format!("the scan of step {step}"), &found, &oracle.rows(range, direction))?;
        equal(format!("the read of step {step}"), &f.get(&start)?, &oracle.get(&start))?;
    }
    Ok(())
}

fn trace(f: &Fixture) -> Trace {
    Trace {
        seed: f.seed(),
        delete_range: f.has(Capability::DeleteRange),
        reverse: f.has(Capability::ReverseCursor),
    }
}

fn like_the_model(f: &mut Fixture) -> CaseResult {
    let trace = trace(f);
    let found = trace.on_storage(f.storage())?;
    same_lines("the ordered map", &found, &trace.on_map())
}

fn like_the_others(f: &mut Fixture) -> CaseResult {
    let trace = trace(f);
    let (found, model) = (trace.on_storage(f.storage())?, trace.on_map());
    same_lines("the ordered map", &found, &model)?;
    let mut compared = 0;
    for neighbour in Neighbour::all(&f.loaded().target)? {
        let dir = f.other_dir();
        stage(format!("{} plays the same trace", neighbour.name()));
        let Some(lines) = neighbour.play(&dir, trace)? else { continue };
        // One that breaks the contract is no measure for this one; its own run says so.
        if same_lines("", &lines, &model).is_ok() {
            same_lines(neighbour.name(), &found, &lines)?;
            compared += 1;
        }
    }
    if compared == 0 {
        return skipped("no other sound backend lies beside this one or is linked in");
    }
    Ok(())
}

/// Compares what two said to the same steps, as far as both said something, and names the first step that differs.
fn same_lines(other: &str, found: &[String], expected: &[String]) -> CaseResult {
    match found.iter().zip(expected).position(|(found, expected)| found != expected) {
        None => Ok(()),
        Some(step) => failed(format!(
            "step {step} differs from {other}:\n  here  {}\n  there {}",
            found[step], expected[step]
        )),
    }
}

/// The kind of the error that `outcome` is.
fn kind<T>(outcome: Result<T>) -> Option<ErrorKind> {
    outcome.err().map(|error| error.kind())
}

fn error_table(f: &mut Fixture) -> CaseResult {
    let limits = f.limits();
    let long = vec![1; limits.key_bytes_max as usize + 1];
    let large = vec![1; limits.value_bytes_max as usize + 1];
    let missing = f.other_dir();
    let (storage, mut value) = (f.storage(), ByteBuf::new());
    let write =
        |fill: &dyn Fn(&mut WriteBatch)| kind(storage.write(&batch(fill), Durability::Buffered));
    let far = KeyRange::new(&long, None);
    let too_many = limits.batch_operations_max + 1;
    use ErrorKind::*;
    let table = [
        ("get of the empty key", kind(storage.get(b"", &mut value)), InvalidKey),
        ("get of a long key", kind(storage.get(&long, &mut value)), KeyTooLarge),
        ("put of the empty key", write(&|batch| batch.put(b"", b"")), InvalidKey),
        ("put of a long key", write(&|batch| batch.put(&long, b"")), KeyTooLarge),
        ("put of a large value", write(&|batch| batch.put(b"k", &large)), ValueTooLarge),
        ("delete of the empty key", write(&|batch| batch.delete(b"")), InvalidKey),
        ("delete of a long key", write(&|batch| batch.delete(&long)), KeyTooLarge),
        ("delete_range of a long bound", write(&|batch| batch.delete_range(far)), KeyTooLarge),
        (
            "too many operations",
            write(&|batch| (0..too_many).for_each(|_| batch.delete(b"k"))),
            BatchTooLarge,
        ),
        ("cursor of a long bound", kind(storage.cursor(far, Direction::Forward)), KeyTooLarge),
        ("opening what is in use", kind(f.open_at(&f.dir(), OpenMode::Create)), Locked),
        ("opening what is missing", kind(f.open_at(&missing, OpenMode::MustExist)), NotFound),
    ];
    for (call, found, expected) in table {
        match found {
            Some(found) => equal(call, &found, &expected)?,
            None => return failed(format!("{call}: accepted, expected {expected:?}")),
        }
    }
    Ok(())
}
