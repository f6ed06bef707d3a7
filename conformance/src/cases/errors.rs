//! Errors: kind, effect, context, and what the storage does afterwards.

use crate::case::{Case, CaseResult};
use crate::check::{equal, holds, refused, same_rows};
use crate::fixture::{Fixture, batch, first, mirrored_rows};
use supervm_plugin_sdk::{
    ByteBuf, Capability, Direction, Durability, Effect, Error, ErrorKind, KeyRange, OpenMode,
    WriteBatch,
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        'V',
        "errors.effect.refused_write_is_not_applied",
        &[16],
        "A write that is refused says NotApplied, whatever the reason.",
        refused_effect,
    ),
    Case::new(
        'V',
        "errors.effect.closed_write_is_not_applied",
        &[16, 17],
        "A write on a closed storage says NotApplied.",
        closed_effect,
    ),
    Case::new(
        'V',
        "errors.effect.read_only_write_is_not_applied",
        &[16, 19],
        "A write on a read-only storage says NotApplied.",
        read_only_effect,
    )
    .needs(&[Capability::ReadOnlyOpen, Capability::SyncedWrites]),
    Case::new(
        'V',
        "errors.refusal_does_not_poison",
        &[16],
        "Refusals of every kind leave the storage readable and writable.",
        does_not_poison,
    ),
    Case::new(
        'V',
        "errors.limits_are_deterministic",
        &[4, 30],
        "Refusals of limits are of kinds that are the same on every node.",
        deterministic,
    ),
    Case::new(
        'V',
        "errors.locked_is_retryable",
        &[18],
        "Locked says that the caller may retry, and the retry succeeds when the holder is gone.",
        locked_retryable,
    ),
    Case::new(
        'V',
        "errors.busy_is_retryable",
        &[17],
        "Busy says that the caller may retry, and the retry succeeds when the cursor is gone.",
        busy_retryable,
    ),
    Case::new(
        'V',
        "errors.sizes_are_named",
        &[4],
        "The refusal of a limit names the size and the limit.",
        sizes_named,
    ),
    Case::new(
        'V',
        "errors.open_names_the_directory",
        &[18, 20],
        "An opening that fails names the directory.",
        open_names_dir,
    ),
    Case::new(
        'V',
        "errors.not_found_is_never_a_key",
        &[5],
        "No read, delete, seek or scan of a missing key is NotFound.",
        never_a_key,
    ),
    Case::new(
        'V',
        "errors.messages_read_well",
        &[30],
        "Messages begin in lower case, end without a full stop and are not empty.",
        messages,
    ),
    Case::new(
        'V',
        "errors.seek_with_a_long_key",
        &[2, 4],
        "A seek to a key that is too long is KeyTooLarge and leaves the cursor usable.",
        seek_too_long,
    ),
    Case::new(
        'V',
        "errors.file_in_place_of_the_directory",
        &[20],
        "Opening a path that is a file is an error and leaves the file alone.",
        file_in_place,
    ),
];

fn refusals(f: &Fixture) -> Vec<(&'static str, WriteBatch, ErrorKind)> {
    let limits = f.limits();
    let long = vec![1; limits.key_bytes_max as usize + 1];
    let large = vec![1; limits.value_bytes_max as usize + 1];
    vec![
        ("an empty key", batch(|batch| batch.put(b"", b"")), ErrorKind::InvalidKey),
        ("deleting an empty key", batch(|batch| batch.delete(b"")), ErrorKind::InvalidKey),
        ("a long key", batch(|batch| batch.put(&long, b"")), ErrorKind::KeyTooLarge),
        ("deleting a long key", batch(|batch| batch.delete(&long)), ErrorKind::KeyTooLarge),
        ("a large value", batch(|batch| batch.put(b"k", &large)), ErrorKind::ValueTooLarge),
    ]
}

fn write_refused(
    f: &Fixture,
    what: &str,
    change: &WriteBatch,
    kind: ErrorKind,
) -> CaseResult<Error> {
    let error = refused(what, f.storage().write(change, Durability::Buffered), kind)?;
    let effect = format!("{:?}", error.effect());
    equal(format!("the effect of {what}"), effect.as_str(), &format!("{:?}", Effect::NotApplied))?;
    Ok(error)
}

fn refused_effect(f: &mut Fixture) -> CaseResult {
    f.put(b"kept", b"kept")?;
    for (what, change, kind) in refusals(f) {
        write_refused(f, what, &change, kind)?;
        same_rows("the storage", &f.all_rows()?, &mirrored_rows([&b"kept"[..]]))?;
    }
    Ok(())
}

fn closed_effect(f: &mut Fixture) -> CaseResult {
    f.storage().close()?;
    let change = batch(|batch| batch.put(b"k", b""));
    write_refused(f, "a write after close", &change, ErrorKind::Closed).map(drop)
}

fn read_only_effect(f: &mut Fixture) -> CaseResult {
    f.put(b"k", b"k")?;
    f.reopen(OpenMode::ReadOnly)?;
    let change = batch(|batch| batch.delete(b"k"));
    write_refused(f, "a write on a read-only storage", &change, ErrorKind::ReadOnly)?;
    equal("the key", &f.get(b"k")?, &Some(b"k".to_vec()))
}

fn does_not_poison(f: &mut Fixture) -> CaseResult {
    for (what, change, kind) in refusals(f) {
        write_refused(f, what, &change, kind)?;
        f.put(b"after", what.as_bytes())?;
        equal(format!("a write after {what}"), &f.get(b"after")?, &Some(what.into()))?;
    }
    refused("an empty key", f.storage().get(b"", &mut ByteBuf::new()), ErrorKind::InvalidKey)?;
    f.storage().flush(Durability::Buffered)?;
    equal("entries", &f.all_rows()?.len(), &1)
}

fn deterministic(f: &mut Fixture) -> CaseResult {
    for (what, change, kind) in refusals(f) {
        let error = write_refused(f, what, &change, kind)?;
        holds(format!("{what} is deterministic"), error.is_deterministic())?;
        holds(format!("{what} is not retryable"), !error.is_retryable())?;
    }
    Ok(())
}

fn locked_retryable(f: &mut Fixture) -> CaseResult {
    let outcome = f.open_at(&f.dir(), OpenMode::Create);
    let error = refused("a second opening", outcome, ErrorKind::Locked)?;
    holds("it is retryable", error.is_retryable() && !error.is_deterministic())?;
    f.drop_storage();
    f.open(OpenMode::Create)
}

fn busy_retryable(f: &mut Fixture) -> CaseResult {
    let cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    let error = refused("close", f.storage().close(), ErrorKind::Busy)?;
    holds("it is retryable", error.is_retryable())?;
    drop(cursor);
    Ok(f.storage().close()?)
}

fn sizes_named(f: &mut Fixture) -> CaseResult {
    let limits = f.limits();
    let named = [("a long key", limits.key_bytes_max), ("a large value", limits.value_bytes_max)];
    for (what, change, kind) in refusals(f) {
        let Some((_, limit)) = named.iter().find(|(name, _)| *name == what) else { continue };
        let error = write_refused(f, what, &change, kind)?;
        let has = |name: &str, number: u64| {
            error.context().any(|pair| pair == (name, number.to_string().as_str()))
        };
        holds(format!("\"{error}\" names the size"), has("size", limit + 1))?;
        holds(format!("\"{error}\" names the limit"), has("limit", *limit))?;
    }
    Ok(())
}

fn open_names_dir(f: &mut Fixture) -> CaseResult {
    let missing = f.other_dir();
    for (dir, kind) in [(missing, ErrorKind::NotFound), (f.dir(), ErrorKind::Locked)] {
        let error = refused("the opening", f.open_at(&dir, OpenMode::MustExist), kind)?;
        let named = error.to_string().contains(&dir.display().to_string());
        holds(format!("\"{error}\" names the directory"), named)?;
    }
    Ok(())
}

fn never_a_key(f: &mut Fixture) -> CaseResult {
    equal("a read", &f.get(b"missing")?, &None)?;
    f.delete(b"missing")?;
    equal("a multi-get", &f.multi_get(&[b"missing"])?, &vec![None])?;
    let mut cursor = f.cursor(KeyRange::new(b"missing", None), Direction::Forward)?;
    cursor.seek(b"missing")?;
    equal("a seek", &first(&mut *cursor)?.map(|row| row.0), &None)
}

fn messages(f: &mut Fixture) -> CaseResult {
    let mut errors = Vec::new();
    for (what, change, kind) in refusals(f) {
        errors.push(write_refused(f, what, &change, kind)?);
    }
    let missing = f.other_dir();
    errors.push(refused("missing", f.open_at(&missing, OpenMode::MustExist), ErrorKind::NotFound)?);
    errors.push(refused("locked", f.open_at(&f.dir(), OpenMode::Create), ErrorKind::Locked)?);
    let check = f.loaded().plugin.check_storage_config("no_backend_has_this_option = 1");
    errors.push(refused("an option", check, ErrorKind::ConfigInvalid)?);
    for error in errors {
        let message = error.message();
        holds(format!("\"{message}\" is not empty"), !message.trim().is_empty())?;
        let begins_upper = message.starts_with(|c: char| c.is_ascii_uppercase());
        holds(format!("\"{message}\" begins in lower case"), !begins_upper)?;
        holds(format!("\"{message}\" has no full stop"), !message.ends_with('.'))?;
    }
    Ok(())
}

fn seek_too_long(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b"])?;
    let mut cursor = f.cursor(KeyRange::ALL, Direction::Forward)?;
    let long = vec![b'b'; f.limits().key_bytes_max as usize + 1];
    refused("the seek", cursor.seek(&long), ErrorKind::KeyTooLarge)?;
    cursor.seek(b"b")?;
    equal(
        "the key after the next seek",
        &first(&mut *cursor)?.map(|row| row.0),
        &Some(b"b".to_vec()),
    )
}

fn file_in_place(f: &mut Fixture) -> CaseResult {
    let file = f.other_dir();
    std::fs::write(&file, b"a file")?;
    for mode in [OpenMode::Create, OpenMode::MustExist] {
        holds(format!("{mode:?} is an error"), f.open_at(&file, mode).is_err())?;
    }
    equal("the file", &std::fs::read(&file)?, &b"a file".to_vec())
}
