//! `supervm db`: the storage, key by key.

use super::arguments::{DbAction, DbArguments, ProfileArguments, ScanArguments};
use super::bytes::{Bytes, hex, printable, shown};
use super::failure::{Failure, Report};
use super::output::Output;
use serde::Serialize;
use serde_json::json;
use supervm_plugin_sdk::{Direction, KeyRange, OpenMode, prefix_successor};

/// A row of `db scan --json`.
#[derive(Debug, Serialize)]
struct Row {
    key: String,
    key_text: Option<String>,
    value: String,
    value_text: Option<String>,
}

/// Does what the action says.
pub(crate) fn db(arguments: DbArguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.action {
        DbAction::Get { profile, key } => get(&profile, &key, output),
        DbAction::Put { profile, key, value } => {
            let storage = profile.storage(&[OpenMode::Create])?;
            storage.set(&key.0, &value.0)?;
            storage.close()?;
            done(output, json!({ "key": hex(&key.0), "value": hex(&value.0) }))
        }
        DbAction::Delete { profile, key } => {
            let storage = profile.storage(&[OpenMode::MustExist])?;
            storage.delete(&key.0)?;
            storage.close()?;
            done(output, json!({ "key": hex(&key.0), "value": null }))
        }
        DbAction::Scan(arguments) => scan(&arguments, output),
        DbAction::Stats { profile } => stats(&profile, output),
        DbAction::Digest { profile } => {
            let storage = profile.storage_to_read()?;
            let digest = storage.digest()?.to_string();
            if output.is_json() {
                let backend = storage.backend_name();
                return output.object(&json!({ "backend": backend, "digest": digest }));
            }
            output.line(digest)
        }
    }
}

/// People see that a command without a result is done by its silence.
fn done(output: &mut Output, value: serde_json::Value) -> Result<(), Failure> {
    if output.is_json() { output.object(&value) } else { Ok(()) }
}

fn get(profile: &ProfileArguments, key: &Bytes, output: &mut Output) -> Result<(), Failure> {
    let storage = profile.storage_to_read()?;
    let Some(value) = storage.get(&key.0)? else {
        let absent = Report::new(format!("the key {key} is absent"));
        return Err(Failure::failed(
            absent.hint("`supervm db scan` prints the keys that there are"),
        ));
    };
    if output.is_json() {
        return output.object(&row(&key.0, &value));
    }
    output.line(shown(&value))
}

fn scan(arguments: &ScanArguments, output: &mut Output) -> Result<(), Failure> {
    let storage = arguments.profile.storage_to_read()?;
    let prefix = arguments.prefix.as_ref().map_or(&[][..], |prefix| &prefix.0);
    let direction = if arguments.reverse { Direction::Reverse } else { Direction::Forward };
    let mut start = prefix.to_vec();
    let mut end = prefix_successor(prefix);
    if let Some(Bytes(from)) = &arguments.from {
        match direction {
            Direction::Forward => start = start.max(from.clone()),
            Direction::Reverse => {
                // The first key after `from`, so that `from` itself is among the rows.
                let after: Vec<u8> = from.iter().copied().chain([0]).collect();
                end = Some(end.map_or(after.clone(), |end| end.min(after)));
            }
        }
    }
    let mut rows = storage.rows(KeyRange::new(&start, end.as_deref()), direction)?;
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    let mut listed = Vec::new();
    while left > 0
        && let Some((key, value)) = rows.next()?
    {
        if output.is_json() {
            listed.push(row(key, value));
        } else {
            output.line(format_args!("{}\t{}", shown(key), shown(value)))?;
        }
        left -= 1;
    }
    if output.is_json() { output.object(&json!({ "rows": listed })) } else { Ok(()) }
}

fn row(key: &[u8], value: &[u8]) -> Row {
    Row {
        key: hex(key),
        key_text: printable(key).map(str::to_owned),
        value: hex(value),
        value_text: printable(value).map(str::to_owned),
    }
}

fn stats(profile: &ProfileArguments, output: &mut Output) -> Result<(), Failure> {
    let storage = profile.storage_to_read()?;
    let stats = storage.stats()?;
    if output.is_json() {
        return output.object(&json!({ "backend": storage.backend_name(), "stats": stats }));
    }
    let told = |value: Option<u64>| value.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    let mut rows = vec![
        vec!["name".to_owned(), "value".to_owned()],
        vec!["backend".to_owned(), storage.backend_name().to_owned()],
        vec!["keys".to_owned(), told(stats.keys)],
        vec!["disk_bytes".to_owned(), told(stats.disk_bytes)],
        vec!["memory_bytes".to_owned(), told(stats.memory_bytes)],
    ];
    rows.extend(stats.backend.iter().map(|(name, value)| vec![name.clone(), value.to_string()]));
    output.table(&rows)
}
