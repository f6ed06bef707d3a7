//! `supervm db checkpoint` and `restore`: copies on this machine.

use super::super::failure::{Failure, Report};
use super::super::meter::Meter;
use super::super::output::Output;
use super::super::profile::Backend;
use super::arguments::{CheckpointArguments, RestoreArguments};
use super::{bytes_told, disk_told, exists, size_of};
use serde_json::json;
use std::path::{Path, PathBuf};
use supervm_engine::history::History;
use supervm_engine::storage::Storage;
use supervm_engine::transfer::{
    CHANGES_FILE, ExportOptions, ParentCheckpoint, RestoreOptions, checkpoint_incremental, inspect,
};
use supervm_plugin_sdk::{Capability, ErrorKind, OpenMode};

pub(super) fn checkpoint(
    arguments: &CheckpointArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let backend = arguments.profile.backend()?;
    let target = &arguments.target;
    if target.symlink_metadata().is_ok() {
        return Err(exists(target));
    }
    if arguments.dry_run {
        return plan(&backend.open_to_read()?, arguments, output);
    }
    let storage = backend.open(OpenMode::MustExist)?;
    match &arguments.parent {
        Some(parent) => incremental(&storage, parent, &backend, target, output)?,
        None => full(&storage, target, output)?,
    }
    Ok(storage.close()?)
}

fn full(storage: &Storage, target: &Path, output: &mut Output) -> Result<(), Failure> {
    let mut meter = Meter::new(output);
    meter.begin("copying", "bytes", None);
    storage.checkpoint(target)?;
    meter.end();
    let meta = History::new(storage.clone())?.meta()?;
    let bytes = size_of(target)?;
    if output.is_json() {
        return output.object(&json!({
            "dry_run": false, "kind": "full", "dir": target, "backend": storage.backend_name(),
            "version": meta.last_version, "last_block": meta.last_block, "bytes": bytes,
        }));
    }
    output.fields(&[
        ("checkpoint", target.display().to_string()),
        ("kind", format!("full, a data directory of {}", storage.backend_name())),
        ("version", meta.last_version.to_string()),
        ("block", block_told(meta.last_block)),
        ("bytes", bytes_told(bytes)),
    ])
}

fn incremental(
    storage: &Storage,
    parent: &Path,
    backend: &Backend,
    target: &Path,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut meter = Meter::new(output);
    let options = ExportOptions::default();
    let mut on_progress = |progress: &_| meter.transfer(progress);
    let report = if parent.join(CHANGES_FILE).is_file() {
        let parent = ParentCheckpoint::Incremental(parent);
        checkpoint_incremental(storage, parent, target, &options, &mut on_progress)?
    } else {
        let at = backend.at(parent)?;
        let parent = ParentCheckpoint::Full(at.place());
        checkpoint_incremental(storage, parent, target, &options, &mut on_progress)?
    };
    meter.end();
    let (header, counts) = (&report.header, &report.counts);
    let from = header.parent.as_ref().map(|parent| parent.version);
    let block = header.block.map(|block| block.number);
    if output.is_json() {
        return output.object(&json!({
            "dry_run": false, "kind": "incremental", "dir": target, "parent": parent,
            "backend": storage.backend_name(), "parent_version": from, "version": header.version,
            "last_block": block, "counts": counts, "bytes": report.file_bytes,
            "snapshot_digest": report.snapshot_digest.to_string(),
        }));
    }
    output.fields(&[
        ("checkpoint", target.display().to_string()),
        ("kind", format!("changes since {}", parent.display())),
        ("versions", format!("{} to {}", from.unwrap_or_default(), header.version)),
        ("block", block_told(block)),
        ("changed", format!("{} keys written, {} deleted", counts.state, counts.deleted)),
        ("bytes", bytes_told(report.file_bytes)),
        ("snapshot digest", report.snapshot_digest.to_string()),
    ])
}

fn plan(
    storage: &Storage,
    arguments: &CheckpointArguments,
    output: &mut Output,
) -> Result<(), Failure> {
    let name = storage.backend_name();
    if arguments.parent.is_none() && !storage.capabilities().has(Capability::Checkpoint) {
        let report = Report::new(format!("backend \"{name}\" has no checkpoints"));
        return Err(Failure::failed(report.hint("`supervm db export` writes a portable copy")));
    }
    let meta = History::new(storage.clone())?.meta()?;
    let kind = if arguments.parent.is_some() { "incremental" } else { "full" };
    let disk_bytes = storage.stats()?.disk_bytes;
    if output.is_json() {
        return output.object(&json!({
            "dry_run": true, "kind": kind, "dir": arguments.target, "backend": name,
            "version": meta.last_version, "last_block": meta.last_block, "disk_bytes": disk_bytes,
        }));
    }
    output.fields(&[
        ("checkpoint", format!("would be {}", arguments.target.display())),
        ("kind", kind.to_owned()),
        ("version", meta.last_version.to_string()),
        ("block", block_told(meta.last_block)),
        ("data bytes", disk_told(disk_bytes)),
        ("dry run", "nothing was changed".to_owned()),
    ])
}

pub(super) fn restore(arguments: &RestoreArguments, output: &mut Output) -> Result<(), Failure> {
    let configured = arguments.profile.backend()?;
    let (base, links) = arguments.checkpoints.split_first().expect("clap asks for one");
    check_order(base, links)?;
    let source = configured.at(base)?;
    // Nobody names the backend of a checkpoint that says it itself.
    let target = if configured.is_chosen {
        configured.other(&configured.profile.storage.backend, configured.dir())?
    } else {
        source.other(&source.profile.storage.backend, configured.dir())?
    };
    if target.dir().symlink_metadata().is_ok() {
        return Err(exists(target.dir()));
    }
    if arguments.dry_run {
        return plan_restore(&source, links, &target, output);
    }
    let links: Vec<&Path> = links.iter().map(PathBuf::as_path).collect();
    let (expect, bytes_max) = (arguments.trust.expected(), arguments.trust.bytes_max());
    let options = RestoreOptions { expect, bytes_max };
    let mut meter = Meter::new(output);
    let report = supervm_engine::transfer::restore(
        source.place(),
        &links,
        target.place(),
        &options,
        &mut |progress| meter.transfer(progress),
    )?;
    meter.end();
    let name = &target.plugin.descriptor().name;
    if output.is_json() {
        return output.object(&json!({
            "dry_run": false, "dir": target.dir(), "backend": name, "version": report.version,
            "last_block": report.last_block, "state_digest": report.state_digest,
            "incremental": report.links, "snapshot_digest": report.snapshot_digest,
        }));
    }
    output.fields(&[
        ("restored", format!("{} ({name})", target.dir().display())),
        ("version", report.version.to_string()),
        ("block", block_told(report.last_block)),
        ("changes", format!("{} incremental checkpoints", report.links)),
        ("state digest", report.state_digest.unwrap_or_else(|| "not kept".to_owned())),
        (
            "snapshot digest",
            report.snapshot_digest.unwrap_or_else(|| "of a full checkpoint none".to_owned()),
        ),
    ])
}

/// A whole checkpoint comes first, and changes after it.
fn check_order(base: &Path, links: &[PathBuf]) -> Result<(), Failure> {
    let wrong = |message: String| {
        let hint = "name a whole checkpoint first, then those that were made with --parent, each after its parent";
        Err(Failure::usage(Report::new(message).hint(hint)))
    };
    if base.join(CHANGES_FILE).is_file() {
        return wrong(format!("{} holds changes only", base.display()));
    }
    match links.iter().find(|link| !link.join(CHANGES_FILE).is_file()) {
        Some(link) => wrong(format!("{} holds no {CHANGES_FILE}", link.display())),
        None => Ok(()),
    }
}

fn plan_restore(
    source: &Backend,
    links: &[PathBuf],
    target: &Backend,
    output: &mut Output,
) -> Result<(), Failure> {
    let storage = source.open_to_read()?;
    let meta = History::new(storage.clone())?.meta()?;
    let (mut version, mut block) = (meta.last_version, meta.last_block);
    for link in links {
        let header = inspect(&link.join(CHANGES_FILE))?;
        if header.parent.as_ref().map(|parent| parent.version) != Some(version) {
            let message =
                format!("the changes in {} do not follow version {version}", link.display());
            let hint = "name every checkpoint from the whole one on, in the order of their making";
            let mut report = Report::new(message).hint(hint);
            report.kind = Some(ErrorKind::InvalidArgument);
            return Err(Failure::failed(report));
        }
        version = header.version;
        block = header.block.map(|block| block.number).or(block);
    }
    let name = &target.plugin.descriptor().name;
    if output.is_json() {
        return output.object(&json!({
            "dry_run": true, "dir": target.dir(), "backend": name, "version": version,
            "last_block": block, "incremental": links.len(),
        }));
    }
    output.fields(&[
        ("restored", format!("would be {} ({name})", target.dir().display())),
        ("version", version.to_string()),
        ("block", block_told(block)),
        ("changes", format!("{} incremental checkpoints", links.len())),
        ("dry run", "nothing was changed".to_owned()),
    ])
}

fn block_told(number: Option<u64>) -> String {
    number.map_or_else(|| "none".to_owned(), |number| number.to_string())
}
