//! `supervm db history` and `blocks`: what there was.

use super::super::arguments::ProfileArguments;
use super::super::bytes::{Bytes, hex, printable, shown};
use super::super::failure::{Failure, Report};
use super::super::output::Output;
use super::time::utc;
use serde::Serialize;
use serde_json::json;
use supervm_engine::history::{History, KeyVersion};
use supervm_engine::layout::{BlockRecord, Version};

/// What a key was for a while, as JSON has it.
#[derive(Debug, Serialize)]
struct Was {
    version: Version,
    /// Absent when the version deleted the key.
    value: Option<String>,
    value_text: Option<String>,
    /// Absent when that is how the key is.
    superseded_at: Option<Version>,
}

impl Was {
    fn new(version: &KeyVersion) -> Self {
        let value = version.value.as_deref();
        Self {
            version: version.version,
            value: value.map(hex),
            value_text: value.and_then(printable).map(str::to_owned),
            superseded_at: version.superseded_at,
        }
    }
}

pub(super) fn history(
    profile: &ProfileArguments,
    key: &Bytes,
    limit: Option<usize>,
    output: &mut Output,
) -> Result<(), Failure> {
    let storage = profile.storage_to_read()?;
    let history = History::new(storage)?;
    let oldest = history.floor()?;
    let mut versions = history.versions(&key.0)?;
    versions.truncate(limit.unwrap_or(usize::MAX));
    if versions.is_empty() {
        let absent = format!("the key {key} was never there from version {oldest} on");
        let hint = "`supervm db scan` prints the keys that there are";
        return Err(Failure::failed(Report::new(absent).hint(hint)));
    }
    if output.is_json() {
        let versions: Vec<_> = versions.iter().map(Was::new).collect();
        let told = json!({ "key": hex(&key.0), "oldest_version": oldest, "versions": versions });
        return output.object(&told);
    }
    let mut rows = vec![["version", "until", "value"].map(str::to_owned).to_vec()];
    rows.extend(versions.iter().map(|version| {
        let until = version.superseded_at.map_or_else(|| "now".to_owned(), |at| at.to_string());
        let value = version.value.as_deref().map_or_else(|| "(deleted)".to_owned(), shown);
        vec![version.version.to_string(), until, value]
    }));
    output.table(&rows)
}

pub(super) fn blocks(
    profile: &ProfileArguments,
    from: u64,
    limit: Option<usize>,
    output: &mut Output,
) -> Result<(), Failure> {
    let storage = profile.storage_to_read()?;
    let history = History::new(storage)?;
    let oldest = history.floor()?;
    let blocks = history.blocks(from, limit.unwrap_or(usize::MAX))?;
    if output.is_json() {
        return output.object(&json!({ "oldest_version": oldest, "blocks": blocks }));
    }
    if blocks.is_empty() {
        return output.line("no blocks");
    }
    let mut rows = vec![["block", "version", "time", "state digest"].map(str::to_owned).to_vec()];
    rows.extend(blocks.iter().map(|block| row(block, oldest)));
    output.table(&rows)
}

fn row(block: &BlockRecord, oldest: Version) -> Vec<String> {
    let digest = if block.digest == [0; 32] { "-".to_owned() } else { hex::encode(block.digest) };
    let digest =
        if block.version < oldest { format!("{digest}  (cannot be read)") } else { digest };
    vec![block.number.to_string(), block.version.to_string(), utc(block.timestamp), digest]
}
