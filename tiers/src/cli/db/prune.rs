//! `supervm db prune` and `compact`: giving the past up, and its space back.

use super::super::arguments::ProfileArguments;
use super::super::failure::{Failure, Report};
use super::super::meter::Meter;
use super::super::output::Output;
use super::arguments::PruneArguments;
use super::{bytes_told, size_of};
use serde_json::json;
use supervm_engine::history::{History, PruneOptions, PruneProgress, PruneReport, PruneTarget};
use supervm_engine::layout::Area;
use supervm_engine::storage::{STORE_DIR, Storage};
use supervm_plugin_sdk::{Capability, KeyRange, OpenMode};

pub(super) fn prune(arguments: &PruneArguments, output: &mut Output) -> Result<(), Failure> {
    let backend = arguments.profile.backend()?;
    if arguments.dry_run {
        return plan(arguments, &backend.open_to_read()?, output);
    }
    let storage = backend.open(OpenMode::MustExist)?;
    let disk_bytes_before = size_of(&backend.dir().join(STORE_DIR))?;
    let history = History::new(storage.clone())?;
    let mut meter = Meter::new(output);
    meter.begin("pruning", "versions", None);
    let mut on_progress = |PruneProgress { from, version, floor, .. }| {
        meter.expect(floor.0.saturating_sub(from.0));
        meter.set(version.0.saturating_sub(from.0), 0);
    };
    let options = PruneOptions::default();
    let report = match target(arguments) {
        Some(target) => history.prune(target, options, &mut on_progress)?,
        None => history.prune_to_mode(options, &mut on_progress)?,
    };
    meter.set(report.versions, 0);
    meter.end();
    let can_compact = storage.capabilities().has(Capability::Compact);
    let is_compacted = can_compact && !arguments.no_compact;
    if is_compacted {
        meter.begin("compacting", "bytes", None);
        storage.compact(past())?;
        meter.end();
    }
    let first_block = history.blocks(0, 1)?.first().map(|block| block.number);
    // Closing is what removes logs, so the bytes are counted after it.
    storage.close()?;
    let disk_bytes_after = size_of(&backend.dir().join(STORE_DIR))?;
    let pruned = Pruned {
        report,
        disk_bytes_before,
        disk_bytes_after,
        first_block,
        is_compacted,
        can_compact,
    };
    pruned.show(storage.backend_name(), output)
}

/// What of the storage a pruning deletes from, but for the few records of blocks.
fn past() -> KeyRange<'static> {
    KeyRange::new(Area::History.range().start, Area::ChangeLog.range().end)
}

/// `None` = what the mode does not keep.
fn target(arguments: &PruneArguments) -> Option<PruneTarget> {
    let block = arguments.before_block.map(PruneTarget::Block);
    block.or(arguments.before_time.map(PruneTarget::Timestamp))
}

struct Pruned {
    report: PruneReport,
    disk_bytes_before: u64,
    disk_bytes_after: u64,
    first_block: Option<u64>,
    is_compacted: bool,
    can_compact: bool,
}

impl Pruned {
    fn show(&self, backend: &str, output: &mut Output) -> Result<(), Failure> {
        let PruneReport { floor_before, floor, steps, operations, versions, .. } = self.report;
        if output.is_json() {
            return output.object(&json!({
                "dry_run": false, "oldest_version_before": floor_before, "oldest_version": floor,
                "first_block": self.first_block, "versions": versions, "deletes": operations,
                "steps": steps, "compacted": self.is_compacted,
                "disk_bytes_before": self.disk_bytes_before,
                "disk_bytes_after": self.disk_bytes_after,
            }));
        }
        let block = self.first_block.map_or_else(|| "none".to_owned(), |number| number.to_string());
        let compacted = match (self.is_compacted, self.can_compact) {
            (true, _) => "yes".to_owned(),
            (false, true) => "no; `supervm db compact` gives the space back".to_owned(),
            (false, false) => format!("no; {backend} keeps the space and uses it again"),
        };
        output.fields(&[
            ("oldest version", format!("{floor} (was {floor_before})")),
            ("oldest block", block),
            ("deleted", format!("{operations} records of {versions} versions, in {steps} steps")),
            ("compacted", compacted),
            ("bytes before", bytes_told(self.disk_bytes_before)),
            ("bytes after", bytes_told(self.disk_bytes_after)),
        ])
    }
}

/// Says what a pruning would do.
fn plan(arguments: &PruneArguments, storage: &Storage, output: &mut Output) -> Result<(), Failure> {
    let history = History::new(storage.clone())?;
    let floor_before = history.meta()?.floor;
    let floor = history.version_to_keep(target(arguments))?.max(floor_before);
    let blocks = history.blocks(0, usize::MAX)?;
    let gone = blocks.iter().filter(|block| block.version < floor).count();
    let first = blocks.iter().find(|block| block.version >= floor).map(|block| block.number);
    let disk_bytes = size_of(&storage.dir().join(STORE_DIR))?;
    if output.is_json() {
        return output.object(&json!({
            "dry_run": true, "oldest_version_before": floor_before, "oldest_version": floor,
            "first_block": first, "versions": floor.0 - floor_before.0, "blocks": gone,
            "disk_bytes_before": disk_bytes,
        }));
    }
    output.fields(&[
        ("oldest version", format!("would be {floor} (is {floor_before})")),
        ("oldest block", first.map_or_else(|| "none".to_owned(), |number| number.to_string())),
        ("would go", format!("{} versions, {gone} blocks", floor.0 - floor_before.0)),
        ("bytes before", bytes_told(disk_bytes)),
        ("dry run", "nothing was changed".to_owned()),
    ])
}

pub(super) fn compact(
    profile: &ProfileArguments,
    dry_run: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    let backend = profile.backend()?;
    let storage =
        if dry_run { backend.open_to_read()? } else { backend.open(OpenMode::MustExist)? };
    let name = storage.backend_name();
    if !storage.capabilities().has(Capability::Compact) {
        let report = Report::new(format!("backend \"{name}\" cannot compact"));
        let hint = "it uses the space of what was deleted again; `supervm db convert` writes a copy without it";
        return Err(Failure::failed(report.hint(hint)));
    }
    let before = size_of(&backend.dir().join(STORE_DIR))?;
    if dry_run {
        if output.is_json() {
            let told = json!({ "dry_run": true, "backend": name, "disk_bytes_before": before });
            return output.object(&told);
        }
        return output.fields(&[
            ("bytes before", bytes_told(before)),
            ("dry run", "nothing was changed".to_owned()),
        ]);
    }
    let mut meter = Meter::new(output);
    meter.begin("compacting", "bytes", None);
    storage.compact(KeyRange::ALL)?;
    meter.end();
    storage.close()?;
    let after = size_of(&backend.dir().join(STORE_DIR))?;
    if output.is_json() {
        return output.object(&json!({
            "dry_run": false, "backend": name, "disk_bytes_before": before,
            "disk_bytes_after": after,
        }));
    }
    output.fields(&[
        ("bytes before", bytes_told(before)),
        ("bytes after", bytes_told(after)),
        ("given back", bytes_told(before.saturating_sub(after))),
    ])
}
