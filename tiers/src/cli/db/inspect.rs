//! `supervm db stats` and `digest`: what is there.

use super::super::arguments::ProfileArguments;
use super::super::failure::Failure;
use super::super::meter::Meter;
use super::super::output::Output;
use super::arguments::Moment;
use super::disk_told;
use serde::Serialize;
use serde_json::json;
use supervm_engine::digest::StateAccumulator;
use supervm_engine::history::{AsOf, History};
use supervm_engine::layout::{BlockRecord, HistoryMode, Version};
use supervm_engine::storage::{Digest, DigestBuilder, Storage};
use supervm_plugin_sdk::{Direction, KeyRange};

/// Entries between two looks at the clock.
const METER_STEP: u64 = 1_024;

/// What chain state says of itself.
#[derive(Debug, Serialize)]
struct State {
    last_version: Version,
    oldest_version: Version,
    last_block: Option<BlockRecord>,
    /// The first block whose record is kept.
    first_block: Option<u64>,
    history: HistoryMode,
    /// The digest that every commit carries on; absent when it is not kept.
    state_digest: Option<String>,
}

impl State {
    fn read(storage: &Storage) -> Result<Self, Failure> {
        let history = History::new(storage.clone())?;
        let meta = history.meta()?;
        Ok(Self {
            last_version: meta.last_version,
            oldest_version: history.floor()?,
            last_block: history.last_block()?,
            first_block: history.blocks(0, 1)?.first().map(|block| block.number),
            history: meta.history,
            state_digest: StateAccumulator::kept_digest(&meta)?.map(hex::encode),
        })
    }
}

pub(super) fn stats(profile: &ProfileArguments, output: &mut Output) -> Result<(), Failure> {
    let storage = profile.storage_to_read()?;
    let (state, stats) = (State::read(&storage)?, storage.stats()?);
    let (backend, chain_id) = (storage.backend_name(), storage.manifest().chain_id);
    if output.is_json() {
        let told = json!({
            "backend": backend, "chain_id": chain_id, "dir": storage.dir(), "state": state,
            "stats": stats,
        });
        return output.object(&told);
    }
    let told = |value: Option<u64>| value.map_or_else(|| "unknown".to_owned(), |n| n.to_string());
    let blocks = match (state.first_block, &state.last_block) {
        (Some(first), Some(last)) => format!("{first} to {}", last.number),
        _ => "none".to_owned(),
    };
    let mut rows = vec![
        ("backend".to_owned(), backend.to_owned()),
        ("chain_id".to_owned(), chain_id.to_string()),
        ("history".to_owned(), state.history.to_string()),
        ("versions".to_owned(), format!("{} to {}", state.oldest_version, state.last_version)),
        ("blocks".to_owned(), blocks),
        ("state_digest".to_owned(), state.state_digest.unwrap_or_else(|| "not kept".to_owned())),
        ("keys".to_owned(), told(stats.keys)),
        ("disk_bytes".to_owned(), disk_told(stats.disk_bytes)),
        ("memory_bytes".to_owned(), disk_told(stats.memory_bytes)),
    ];
    rows.extend(stats.backend.iter().map(|(name, value)| (name.clone(), value.to_string())));
    let fields: Vec<_> = rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    output.fields(&fields)
}

/// What a look at every entry of a state came to.
pub(super) struct Reading {
    pub(super) entries: u64,
    pub(super) bytes: u64,
    /// SHA-256 over all entries in order.
    pub(super) digest: Digest,
    /// Added up anew; only when it was asked for.
    pub(super) accumulator: Option<StateAccumulator>,
}

/// Reads all of a state, once.
pub(super) fn read_all(
    as_of: &AsOf,
    accumulate: bool,
    meter: &mut Meter,
) -> Result<Reading, Failure> {
    meter.begin("reading", "entries", None);
    let mut digest = DigestBuilder::default();
    let mut accumulator = accumulate.then(StateAccumulator::default);
    let (mut entries, mut bytes) = (0, 0);
    let mut rows = as_of.rows(KeyRange::ALL, Direction::Forward)?;
    while let Some((key, _, value)) = rows.next()? {
        digest.add(key, value);
        if let Some(accumulator) = &mut accumulator {
            accumulator.add(key, value);
        }
        entries += 1;
        bytes += (key.len() + value.len()) as u64;
        if entries % METER_STEP == 0 {
            meter.set(entries, bytes);
        }
    }
    meter.set(entries, bytes);
    meter.end();
    Ok(Reading { entries, bytes, digest: digest.finish(), accumulator })
}

pub(super) fn digest(
    profile: &ProfileArguments,
    moment: Moment,
    output: &mut Output,
) -> Result<(), Failure> {
    let storage = profile.storage_to_read()?;
    let as_of = moment.of(&storage)?;
    let reading = read_all(&as_of, false, &mut Meter::new(output))?;
    let digest = reading.digest.to_string();
    if output.is_json() {
        let told = json!({
            "backend": storage.backend_name(), "version": as_of.version(), "block": moment.at_block,
            "entries": reading.entries, "bytes": reading.bytes, "digest": digest,
        });
        return output.object(&told);
    }
    output.line(digest)
}

pub(super) fn digest_raw(profile: &ProfileArguments, output: &mut Output) -> Result<(), Failure> {
    let storage = profile.storage_to_read()?;
    let digest = storage.digest()?.to_string();
    if output.is_json() {
        return output.object(&json!({ "backend": storage.backend_name(), "digest": digest }));
    }
    output.line(digest)
}
