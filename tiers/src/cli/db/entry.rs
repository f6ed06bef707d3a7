//! Single keys: `supervm db get`, `put` and `delete`.

use super::super::arguments::ProfileArguments;
use super::super::bytes::{Bytes, hex, printable, shown};
use super::super::failure::{Failure, Report};
use super::super::output::Output;
use super::arguments::Moment;
use super::done;
use serde::Serialize;
use serde_json::json;
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{MvccConfig, MvccStore, Txn};
use supervm_plugin_sdk::OpenMode;

/// A key and its value, as JSON has them.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    key: String,
    key_text: Option<String>,
    value: String,
    value_text: Option<String>,
    /// The version that wrote the value; absent for a storage's own key.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<Version>,
}

impl Row {
    pub(super) fn new(key: &[u8], value: &[u8], version: Option<Version>) -> Self {
        Self {
            key: hex(key),
            key_text: printable(key).map(str::to_owned),
            value: hex(value),
            value_text: printable(value).map(str::to_owned),
            version,
        }
    }
}

pub(super) fn get(
    profile: &ProfileArguments,
    key: &Bytes,
    moment: Moment,
    output: &mut Output,
) -> Result<(), Failure> {
    let storage = profile.storage_to_read()?;
    let as_of = moment.of(&storage)?;
    let Some((version, value)) = as_of.get_versioned(&key.0)? else {
        let absent = Report::new(format!("the key {key} is absent at version {}", as_of.version()));
        return Err(Failure::failed(
            absent.hint("`supervm db scan` prints the keys that there are"),
        ));
    };
    show(Row::new(&key.0, &value, Some(version)), &value, output)
}

pub(super) fn get_raw(
    profile: &ProfileArguments,
    key: &Bytes,
    output: &mut Output,
) -> Result<(), Failure> {
    let storage = profile.storage_to_read()?;
    let Some(value) = storage.get(&key.0)? else {
        let absent = Report::new(format!("the key {key} is absent from the storage"));
        let hint = "`supervm db scan --raw` prints the storage's own keys";
        return Err(Failure::failed(absent.hint(hint)));
    };
    show(Row::new(&key.0, &value, None), &value, output)
}

fn show(row: Row, value: &[u8], output: &mut Output) -> Result<(), Failure> {
    if output.is_json() { output.object(&row) } else { output.line(shown(value)) }
}

pub(super) fn put(
    profile: &ProfileArguments,
    key: &Bytes,
    value: &Bytes,
    output: &mut Output,
) -> Result<(), Failure> {
    let version = commit(profile, OpenMode::Create, |txn| txn.write(&key.0, &value.0))?;
    let told = json!({ "key": hex(&key.0), "value": hex(&value.0), "version": version });
    done(output, &told)
}

pub(super) fn delete(
    profile: &ProfileArguments,
    key: &Bytes,
    output: &mut Output,
) -> Result<(), Failure> {
    let version = commit(profile, OpenMode::MustExist, |txn| txn.delete(&key.0))?;
    done(output, &json!({ "key": hex(&key.0), "value": null, "version": version }))
}

/// Commits what `change` does, without a block.
fn commit(
    profile: &ProfileArguments,
    mode: OpenMode,
    change: impl FnOnce(&mut Txn) -> supervm_plugin_sdk::Result<()>,
) -> Result<Version, Failure> {
    let storage = profile.backend()?.open(mode)?;
    let config = MvccConfig { digest: true, ..MvccConfig::default() };
    let store = MvccStore::open(storage.clone(), config)?;
    let mut txn = store.begin();
    change(&mut txn)?;
    let version = txn.commit()?;
    drop(store);
    storage.close()?;
    Ok(version)
}
