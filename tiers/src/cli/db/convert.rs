//! `supervm db convert`: the same data on another backend.

use super::super::failure::{Failure, Report};
use super::super::meter::Meter;
use super::super::output::Output;
use super::arguments::ConvertArguments;
use super::portable::{is_taken, resumed_told};
use super::{bytes_told, disk_told, exists};
use serde_json::json;
use supervm_engine::history::History;
use supervm_engine::storage::Manifest;

pub(super) fn convert(arguments: &ConvertArguments, output: &mut Output) -> Result<(), Failure> {
    let source = arguments.profile.backend()?;
    let mut target = source.other(&arguments.to, &arguments.target)?;
    // The options of the configuration are the source's, even where both are of one backend.
    target.profile.storage.options = arguments.to_option.iter().cloned().collect();
    if is_taken(target.dir())? {
        return Err(exists(target.dir()));
    }
    check_source(&source)?;
    let (from, to) = (&source.plugin.descriptor().name, &target.plugin.descriptor().name);
    if arguments.dry_run {
        let storage = source.open_to_read()?;
        let (meta, stats) = (History::new(storage.clone())?.meta()?, storage.stats()?);
        if output.is_json() {
            return output.object(&json!({
                "dry_run": true, "from": from, "to": to, "dir": target.dir(),
                "version": meta.last_version, "keys": stats.keys, "disk_bytes": stats.disk_bytes,
            }));
        }
        return output.fields(&[
            ("converted", format!("would be {} ({to})", target.dir().display())),
            ("from", format!("{} ({from})", source.dir().display())),
            ("version", meta.last_version.to_string()),
            ("data bytes", disk_told(stats.disk_bytes)),
            ("dry run", "nothing was changed".to_owned()),
        ]);
    }
    let mut meter = Meter::new(output);
    let report =
        supervm_engine::transfer::convert(source.place(), target.place(), &mut |progress| {
            meter.transfer(progress);
        })?;
    meter.end();
    let digest = report.digest.to_string();
    if output.is_json() {
        return output.object(&json!({
            "dry_run": false, "from": report.from, "to": report.to, "dir": target.dir(),
            "entries": report.entries, "bytes": report.bytes, "storage_digest": digest,
            "resumed": report.resumed,
        }));
    }
    let mut fields = vec![
        ("converted", format!("{} ({})", target.dir().display(), report.to)),
        ("from", format!("{} ({})", source.dir().display(), report.from)),
        ("entries", format!("{}, history included", report.entries)),
        ("bytes", bytes_told(report.bytes)),
        ("digest", format!("{digest}, equal on both sides")),
    ];
    fields.extend(resumed_told(&report.resumed));
    output.fields(&fields)
}

/// Is the source there, and of the backend that was named?
fn check_source(source: &super::super::profile::Backend) -> Result<(), Failure> {
    let (dir, name) = (source.dir(), &source.plugin.descriptor().name);
    match Manifest::read(dir)? {
        Some(manifest) if manifest.backend != *name => {
            let message = format!(
                "{} holds data of backend \"{}\", not of \"{name}\"",
                dir.display(),
                manifest.backend
            );
            let hint = format!("name it: --backend {}", manifest.backend);
            Err(Failure::failed(Report::new(message).hint(hint)))
        }
        Some(_) => Ok(()),
        None => {
            let mut report = Report::new(format!("there is no data directory {}", dir.display()))
                .hint("name the one to convert with --backend and --dir");
            report.kind = Some(supervm_plugin_sdk::ErrorKind::NotFound);
            Err(Failure::failed(report))
        }
    }
}
