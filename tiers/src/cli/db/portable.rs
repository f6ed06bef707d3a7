//! `supervm db export` and `import`: one state as a file that every backend takes.

use super::super::failure::Failure;
use super::super::meter::Meter;
use super::super::output::Output;
use super::arguments::{ExportArguments, ImportArguments, Moment};
use super::{bytes_told, disk_told, exists};
use serde_json::json;
use supervm_engine::history::History;
use supervm_engine::layout::{HistoryMode, Version};
use supervm_engine::storage::{Storage, unfinished};
use supervm_engine::transfer::{ExportAt, ExportOptions, Header, ImportOptions, Resumed, verify};

pub(super) fn export(arguments: &ExportArguments, output: &mut Output) -> Result<(), Failure> {
    let storage = arguments.profile.storage_to_read()?;
    let file = &arguments.file;
    if file.symlink_metadata().is_ok() {
        return Err(exists(file));
    }
    if arguments.dry_run {
        return plan_export(&storage, arguments, output);
    }
    let options = ExportOptions { level: arguments.level, ..ExportOptions::default() };
    let mut meter = Meter::new(output);
    let report = supervm_engine::transfer::export(
        &storage,
        export_at(arguments.moment),
        file,
        &options,
        &mut |progress| meter.transfer(progress),
    )?;
    meter.end();
    storage.close()?;
    if output.is_json() {
        return output.object(&json!({
            "dry_run": false, "file": file, "header": report.header, "counts": report.counts,
            "snapshot_digest": report.snapshot_digest.to_string(),
            "digest": report.full_digest.to_string(), "file_id": hex::encode(report.id),
            "file_bytes": report.file_bytes, "resumed": report.resumed,
        }));
    }
    let mut fields = vec![("exported", file.display().to_string())];
    fields.extend(header_told(&report.header));
    fields.extend([
        ("entries", format!("{}, {} contracts", report.counts.state, report.counts.code)),
        ("bytes", format!("{} before compression", bytes_told(report.counts.raw_bytes))),
        ("file bytes", bytes_told(report.file_bytes)),
        ("full digest", report.full_digest.to_string()),
        ("snapshot digest", report.snapshot_digest.to_string()),
    ]);
    fields.extend(resumed_told(&report.resumed));
    output.fields(&fields)
}

fn export_at(moment: Moment) -> ExportAt {
    match (moment.at_block, moment.at_version) {
        (Some(number), _) => ExportAt::Block(number),
        (None, Some(version)) => ExportAt::Version(Version(version)),
        (None, None) => ExportAt::Latest,
    }
}

fn plan_export(
    storage: &Storage,
    arguments: &ExportArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let version = arguments.moment.of(storage)?.version();
    let mode = History::new(storage.clone())?.meta()?.history;
    let stats = storage.stats()?;
    let file = &arguments.file;
    if output.is_json() {
        return output.object(&json!({
            "dry_run": true, "file": file, "backend": storage.backend_name(), "version": version,
            "disk_bytes": stats.disk_bytes,
        }));
    }
    output.fields(&[
        ("exported", format!("would be {}", file.display())),
        ("version", version.to_string()),
        ("data bytes", format!("{}, history included: {mode}", disk_told(stats.disk_bytes))),
        ("dry run", "nothing was changed".to_owned()),
    ])
}

pub(super) fn import(arguments: &ImportArguments, output: &mut Output) -> Result<(), Failure> {
    let target = arguments.profile.backend()?;
    let (file, dir) = (&arguments.file, target.dir());
    if is_taken(dir)? {
        return Err(exists(dir));
    }
    if arguments.dry_run {
        return plan_import(arguments, output);
    }
    let storage = &target.profile.storage;
    // 0 is what a configuration has that says nothing of the chain.
    let chain_id = (storage.chain_id != 0).then_some(storage.chain_id);
    let history = HistoryMode::of(&target.profile.history).unwrap_or_default();
    let (expect, bytes_max) = (arguments.trust.expected(), arguments.trust.bytes_max());
    let options =
        ImportOptions { chain_id, expect, bytes_max, history, ..ImportOptions::default() };
    let mut meter = Meter::new(output);
    let report =
        supervm_engine::transfer::import(file, target.place(), &options, &mut |progress| {
            meter.transfer(progress);
        })?;
    meter.end();
    let name = &target.plugin.descriptor().name;
    if output.is_json() {
        return output.object(&json!({
            "dry_run": false, "dir": dir, "backend": name, "header": report.header,
            "counts": report.counts, "digest": report.full_digest.to_string(),
            "snapshot_digest": report.snapshot_digest.to_string(), "resumed": report.resumed,
        }));
    }
    let mut fields = vec![("imported", format!("{} ({name})", dir.display()))];
    fields.extend(header_told(&report.header));
    fields.extend([
        ("entries", format!("{}, {} contracts", report.counts.state, report.counts.code)),
        ("full digest", report.full_digest.to_string()),
        ("snapshot digest", report.snapshot_digest.to_string()),
    ]);
    fields.extend(resumed_told(&report.resumed));
    output.fields(&fields)
}

/// Is there something that no earlier run of the same command may have left?
pub(super) fn is_taken(dir: &std::path::Path) -> Result<bool, Failure> {
    let is_empty = || std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none());
    Ok(dir.symlink_metadata().is_ok() && !is_empty() && unfinished(dir)?.is_none())
}

/// Checks the file to its end.
fn plan_import(arguments: &ImportArguments, output: &mut Output) -> Result<(), Failure> {
    let file = &arguments.file;
    let mut meter = Meter::new(output);
    let verified = verify(file, &mut |progress| meter.transfer(progress))?;
    meter.end();
    let expected = arguments.trust.expected();
    expected.check_header(&verified.header)?;
    expected.check_digest(verified.snapshot_digest)?;
    let digest = verified.full_digest.to_string();
    let snapshot_digest = verified.snapshot_digest.to_string();
    if output.is_json() {
        return output.object(&json!({
            "dry_run": true, "file": file, "header": verified.header, "counts": verified.counts,
            "digest": digest, "snapshot_digest": snapshot_digest,
            "file_id": hex::encode(verified.id),
        }));
    }
    let mut fields = vec![("file", format!("{} is whole", file.display()))];
    fields.extend(header_told(&verified.header));
    fields.extend([
        ("entries", format!("{}, {} contracts", verified.counts.state, verified.counts.code)),
        ("full digest", digest),
        ("snapshot digest", snapshot_digest),
        ("dry run", "nothing was changed".to_owned()),
    ]);
    output.fields(&fields)
}

fn header_told(header: &Header) -> [(&'static str, String); 4] {
    let block = match (header.block, header.versions_after_block()) {
        (Some(block), Some(0)) => block.number.to_string(),
        (Some(block), Some(after)) => format!(
            "{}, and {after} versions after it, which no block's digest covers",
            block.number
        ),
        _ => "none".to_owned(),
    };
    [
        ("from", format!("{}, written by supervm {}", header.backend, header.written_by)),
        ("chain", header.chain_id.to_string()),
        ("version", header.version.to_string()),
        ("block", block),
    ]
}

/// What was made of an earlier run; nothing is said where there was none.
pub(super) fn resumed_told(resumed: &Resumed) -> Option<(&'static str, String)> {
    match resumed {
        Resumed::Fresh => None,
        Resumed::Resumed { entries } => {
            Some(("resumed", format!("after {entries} entries of an earlier run")))
        }
        Resumed::BeganAnew { reason } => Some(("began anew", reason.clone())),
    }
}
