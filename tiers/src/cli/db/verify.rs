//! `supervm db verify`: whether the data is as it was written.

use super::super::arguments::ProfileArguments;
use super::super::failure::Failure;
use super::super::meter::Meter;
use super::super::output::{ERROR, GOOD, Output, paint};
use super::inspect::{Reading, read_all};
use serde_json::json;
use supervm_engine::digest::StateAccumulator;
use supervm_engine::history::History;
use supervm_engine::layout::Meta;
use supervm_engine::storage::Storage;
use supervm_plugin_sdk::Capability;

/// One thing that was looked at.
struct Check {
    name: &'static str,
    /// What was found, or why nothing was looked at.
    told: String,
    problems: Vec<String>,
    is_skipped: bool,
}

impl Check {
    fn new(name: &'static str, told: impl Into<String>, problems: Vec<String>) -> Self {
        Self { name, told: told.into(), problems, is_skipped: false }
    }

    fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, told: why.into(), problems: Vec::new(), is_skipped: true }
    }

    fn outcome(&self) -> &'static str {
        match self {
            Self { is_skipped: true, .. } => "skipped",
            Self { problems, .. } if problems.is_empty() => "ok",
            Self { .. } => "failed",
        }
    }
}

pub(super) fn verify(profile: &ProfileArguments, output: &mut Output) -> Result<(), Failure> {
    let storage = profile.storage_to_read()?;
    let mut meter = Meter::new(output);
    let mut checks = vec![backend(&storage, &mut meter)?];
    let history = History::new(storage.clone())?;
    let meta = history.meta()?;
    let reading = read_all(&history.latest()?, !meta.accumulator.is_empty(), &mut meter)?;
    checks.push(kept_digest(&meta, &reading)?);
    checks.push(last_block(&history, &meta, &reading)?);
    drop(meter);
    let is_sound = checks.iter().all(|check| check.problems.is_empty());
    let digest = reading.digest.to_string();
    if output.is_json() {
        let told: Vec<_> = checks.iter().map(json_of).collect();
        let told = json!({
            "sound": is_sound, "backend": storage.backend_name(), "entries": reading.entries,
            "digest": digest, "checks": told,
        });
        output.object(&told)?;
    } else {
        checks.iter().try_for_each(|check| print(check, output))?;
        output.line(format_args!("digest {digest}"))?;
    }
    if is_sound { Ok(()) } else { Err(Failure::Reported) }
}

/// What the backend's own check says.
fn backend(storage: &Storage, meter: &mut Meter) -> Result<Check, Failure> {
    let name = "backend";
    if !storage.capabilities().has(Capability::Verify) {
        let why = format!("backend \"{}\" has no check of its own", storage.backend_name());
        return Ok(Check::skipped(name, why));
    }
    meter.begin("checking", "units", None);
    let report = storage.verify()?;
    meter.set(report.checked, 0);
    meter.end();
    Ok(Check::new(name, format!("{} pages, blocks or entries", report.checked), report.problems))
}

/// Is the digest that commits carried on that of the entries that are there?
fn kept_digest(meta: &Meta, reading: &Reading) -> Result<Check, Failure> {
    let name = "state digest";
    let (Some(kept), Some(computed)) = (StateAccumulator::kept_digest(meta)?, &reading.accumulator)
    else {
        return Ok(Check::skipped(name, "no state digest is kept"));
    };
    let computed = computed.digest();
    let problem = (kept != computed).then(|| {
        format!(
            "the entries give {}, but {} was carried on",
            hex::encode(computed),
            hex::encode(kept)
        )
    });
    let told = format!("of {} entries at version {}", reading.entries, meta.last_version);
    Ok(Check::new(name, told, problem.into_iter().collect()))
}

/// Does the newest block say the same, where nothing was committed after it?
fn last_block(history: &History, meta: &Meta, reading: &Reading) -> Result<Check, Failure> {
    let name = "last block";
    let Some(number) = meta.last_block else {
        return Ok(Check::skipped(name, "there are no blocks"));
    };
    let Some(block) = history.block(number)? else {
        let problem = format!("there is no record of block {number}, the newest one");
        return Ok(Check::new(name, format!("block {number}"), vec![problem]));
    };
    if block.version > meta.last_version {
        let problem = format!(
            "block {number} is of version {}, after the newest version {}",
            block.version, meta.last_version
        );
        return Ok(Check::new(name, format!("block {number}"), vec![problem]));
    }
    let Some(computed) = reading.accumulator.as_ref().filter(|_| block.digest != [0; 32]) else {
        return Ok(Check::skipped(name, "no state digest is kept"));
    };
    if block.version != meta.last_version {
        let why = format!("there are commits after block {number}, up to {}", meta.last_version);
        return Ok(Check::skipped(name, why));
    }
    let problem = (block.digest != computed.digest()).then(|| {
        format!(
            "the entries give {}, but block {number} says {}",
            hex::encode(computed.digest()),
            hex::encode(block.digest)
        )
    });
    Ok(Check::new(name, format!("block {number}"), problem.into_iter().collect()))
}

fn json_of(check: &Check) -> serde_json::Value {
    json!({
        "check": check.name, "outcome": check.outcome(), "told": check.told,
        "problems": check.problems,
    })
}

fn print(check: &Check, output: &mut Output) -> Result<(), Failure> {
    let style = if check.problems.is_empty() { GOOD } else { ERROR };
    let outcome = paint(style, format_args!("{:<8}", check.outcome()));
    output.line(format_args!("{outcome}{:<14}{}", check.name, check.told))?;
    check.problems.iter().try_for_each(|problem| output.line(format_args!("  {problem}")))
}
