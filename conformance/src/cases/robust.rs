//! The process lives, whatever a plugin meets: strange options, a directory that is gone, a thread of the host that panics.

use crate::case::{Case, CaseResult};
use crate::check::{equal, failed, holds, refused, same_rows};
use crate::fixture::{Fixture, batch, drain, get, mirrored_rows, storage_rows};
use crate::job::stage;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use supervm_plugin_sdk::{
    ByteBuf, Capability, Direction, Durability, Error, ErrorKind, KeyRange, OpenMode, Result,
};

pub(super) const CASES: &[Case] = &[
    Case::new(
        'W',
        "abi.panic.in_a_thread_of_the_host",
        &[17, 26],
        "A thread of the host that panics with cursors and snapshots in its hands leaves the storage usable.",
        host_thread,
    ),
    Case::new(
        'W',
        "abi.panic.options_of_any_shape",
        &[26, 29],
        "Every option with values of every kind and size is accepted or ConfigInvalid, without a panic.",
        options_of_any_shape,
    ),
    Case::new(
        'W',
        "abi.panic.deeply_nested_options",
        &[26, 29],
        "Options that nest ten thousand levels deep are ConfigInvalid and overflow no stack.",
        nested_options,
    ),
    Case::new(
        'W',
        "abi.panic.directory_removed_meanwhile",
        &[16, 26],
        "A storage whose directory is removed works on or errs, without a panic, and another one can be opened.",
        directory_removed,
    ),
];

fn host_thread(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b"])?;
    let storage = f.storage();
    let panicked = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let cursor = storage.cursor(KeyRange::ALL, Direction::Forward);
            let snapshot =
                storage.capabilities().has(Capability::Snapshot).then(|| storage.snapshot());
            // `resume_unwind` is a panic without the message on standard error.
            std::panic::resume_unwind(Box::new((cursor.is_ok(), snapshot.is_some())));
        });
        thread.join().is_err()
    });
    holds("the thread panicked", panicked)?;
    f.put(b"c", b"c")?;
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _cursor = f.cursor(KeyRange::ALL, Direction::Forward);
        std::panic::resume_unwind(Box::new(()));
    }));
    holds("the second panic was caught", unwound.is_err())?;
    same_rows("the storage", &f.all_rows()?, &mirrored_rows([&b"a"[..], b"b", b"c"]))?;
    stage("closing, which a cursor that was not dropped would keep Busy");
    Ok(f.storage().close()?)
}

/// Values that an option may or may not take, in TOML.
fn values() -> Vec<String> {
    let numbers =
        ["0", "1", "-1", "9223372036854775807", "-9223372036854775808", "0.5", "nan", "inf"];
    let texts = ["\"\"", "\"x\"", "\"\\u0000\"", "'../..'", "\"1 GiB\"", "\"\u{1f980}\""];
    let others = ["true", "false", "[]", "[1, \"a\"]", "{}", "{ a = 1 }", "1979-05-27T07:32:00Z"];
    let mut values: Vec<_> =
        numbers.iter().chain(&texts).chain(&others).map(|text| (*text).to_owned()).collect();
    values.push(format!("\"{}\"", "long ".repeat(20_000)));
    values
}

fn expect_judged(what: &str, checked: Result<()>) -> CaseResult {
    match checked {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::ConfigInvalid => Ok(()),
        Err(error) => {
            failed(format!("{what}: {:?} instead of ConfigInvalid: {error}", error.kind()))
        }
    }
}

fn options_of_any_shape(f: &mut Fixture) -> CaseResult {
    let plugin = &f.loaded().plugin;
    let schema = &plugin.descriptor().config_schema;
    let properties = schema.get("properties").and_then(|all| all.as_object());
    let mut names: Vec<String> =
        properties.into_iter().flat_map(|all| all.keys()).cloned().collect();
    names.push("no_such_option".into());
    for name in &names {
        for value in values() {
            let shown: String = value.chars().take(40).collect();
            let what = format!("{name} = {shown}");
            stage(format!("checking {what}"));
            expect_judged(&what, plugin.check_storage_config(&format!("{name} = {value}\n")))?;
        }
    }
    // What was refused has left nothing behind.
    f.put(b"k", b"k")
}

fn nested_options(f: &mut Fixture) -> CaseResult {
    let plugin = &f.loaded().plugin;
    let (levels, option) = (10_000, "option");
    for text in [
        format!("{option} = {}{}", "[".repeat(levels), "]".repeat(levels)),
        format!("{option} = {}1{}", "{ a = ".repeat(levels), " }".repeat(levels)),
        format!("[{}]\n", vec!["a"; levels].join(".")),
    ] {
        stage(format!("checking {}...", &text[..30]));
        let checked = plugin.check_storage_config(&text);
        refused(format!("{}...", &text[..30]), checked, ErrorKind::ConfigInvalid)?;
    }
    Ok(())
}

/// Fails when `error` says that the plugin panicked.
fn no_panic(call: &str, error: Option<Error>) -> CaseResult {
    match error {
        Some(error) if error.kind() == ErrorKind::PluginPanicked => {
            failed(format!("{call} panicked when its directory was gone: {error}"))
        }
        _ => Ok(()),
    }
}

fn directory_removed(f: &mut Fixture) -> CaseResult {
    f.put_all([&b"a"[..], b"b", b"c"])?;
    fs::remove_dir_all(f.dir())?;
    let (storage, mut value) = (f.storage(), ByteBuf::new());
    let durabilities = if f.has(Capability::SyncedWrites) {
        &[Durability::Buffered, Durability::Synced][..]
    } else {
        &[Durability::Buffered]
    };
    for durability in durabilities {
        stage(format!("writing {durability:?} into a directory that is gone"));
        let change = batch(|batch| batch.put(b"d", &[7; 5000]));
        no_panic("write", storage.write(&change, *durability).err())?;
        no_panic("flush", storage.flush(*durability).err())?;
    }
    stage("reading from a directory that is gone");
    no_panic("get", storage.get(b"a", &mut value).err())?;
    if let Ok(mut cursor) = storage.cursor(KeyRange::ALL, Direction::Forward) {
        // Entries that come have to be true; an error is as good.
        if let Ok(rows) = drain(&mut *cursor) {
            let known = |key: &[u8]| matches!(key, b"a" | b"b" | b"c" | b"d");
            holds("every entry was written", rows.iter().all(|row| known(&row.0)))?;
        }
    }
    no_panic("stats", storage.stats().err())?;
    stage("closing a storage whose directory is gone");
    no_panic("close", storage.close().err())?;
    f.drop_storage();
    let dir = f.other_dir();
    let other = f.open_at(&dir, OpenMode::Create)?;
    other.write(&batch(|batch| batch.put(b"k", b"k")), Durability::Buffered)?;
    equal("the other storage's key", &get(&*other, b"k")?, &Some(b"k".to_vec()))?;
    equal("its entries", &storage_rows(&*other)?.len(), &1)
}
