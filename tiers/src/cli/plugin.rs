//! `supervm plugin`: what plugins there are, and whether a library is one.

use super::arguments::{PluginAction, PluginArguments, ProfileArguments};
use super::failure::{Failure, Report};
use super::output::{ERROR, FAINT, GOOD, Output, paint};
use serde::Serialize;
use serde_json::json;
use std::path::Path;
use std::process::{Command, ExitCode};
use supervm_engine::registry::{Listing, Origin, PluginManifest, Registry};
use supervm_plugin_sdk::load::{Inspection, Outcome, PROBE_DEADLINE, Step, probe, probe_child};
use supervm_plugin_sdk::{PluginDescriptor, Support};

/// A plugin as `plugin list --json` prints it.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    kind: Option<String>,
    version: String,
    description: String,
    linked_in: bool,
    path: Option<String>,
    shadowed: bool,
    problem: Option<String>,
}

/// Does what the action says.
pub(crate) fn plugin(arguments: PluginArguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.action {
        PluginAction::List { profile } => list(&profile, output),
        PluginAction::Inspect { path, manifest } => inspect(&path, manifest, output),
        PluginAction::Probe { .. } => Err(Failure::Reported),
    }
}

/// Is this the process that loads a library for another one to watch? Then it does so and ends.
pub(crate) fn as_probe(arguments: &PluginArguments) -> Option<ExitCode> {
    match &arguments.action {
        PluginAction::Probe { arguments } => Some(probe_child(arguments.clone())),
        PluginAction::List { .. } | PluginAction::Inspect { .. } => None,
    }
}

fn list(profile: &ProfileArguments, output: &mut Output) -> Result<(), Failure> {
    let registry = Registry::new(&profile.profile()?.plugins)?;
    let listings = registry.list();
    if output.is_json() {
        let rows: Vec<_> = listings.iter().map(Row::new).collect();
        return output.object(&json!({ "plugins": rows }));
    }
    let head = ["name", "kind", "version", "origin", "state"].map(str::to_owned).to_vec();
    let rows = listings.iter().map(|listing| {
        let kind = listing.kind.map_or_else(|| "unknown".to_owned(), |kind| kind.to_string());
        let state = match (&listing.problem, listing.shadowed) {
            (Some(problem), _) => format!("unusable: {}", problem.message()),
            (None, true) => "not used, the linked-in one wins".to_owned(),
            (None, false) => "ok".to_owned(),
        };
        let origin = listing.origin.to_string();
        vec![listing.name.clone(), kind, listing.version.clone(), origin, state]
    });
    output.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

impl Row {
    fn new(listing: &Listing) -> Self {
        let path = match &listing.origin {
            Origin::LinkedIn => None,
            Origin::File(path) => Some(path.display().to_string()),
        };
        Self {
            name: listing.name.clone(),
            kind: listing.kind.map(|kind| kind.to_string()),
            version: listing.version.clone(),
            description: listing.description.clone(),
            linked_in: path.is_none(),
            path,
            shadowed: listing.shadowed,
            problem: listing.problem.as_ref().map(ToString::to_string),
        }
    }
}

fn inspect(path: &Path, write_manifest: bool, output: &mut Output) -> Result<(), Failure> {
    let mut program = Command::new(std::env::current_exe()?);
    program.args(["plugin", "probe"]);
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let root = parent.unwrap_or(Path::new("."));
    let inspection = probe(program, path, root, None, PROBE_DEADLINE)?;
    let manifest = match (&inspection.descriptor, write_manifest) {
        (Some(descriptor), true) => Some(write(path, descriptor, &inspection)?),
        _ => None,
    };
    if output.is_json() {
        output.object(&json!({ "inspection": inspection, "manifest": manifest }))?;
    } else {
        print(&inspection, output)?;
        if let Some(manifest) = &manifest {
            output.field("manifest", manifest)?;
        }
    }
    match inspection.failure() {
        None => Ok(()),
        Some(_) if output.is_json() => Err(Failure::Reported),
        Some(failed) => {
            let message = format!(
                "{} is no usable plugin: the step \"{}\" failed",
                path.display(),
                failed.step
            );
            Err(Failure::failed(Report::new(message)))
        }
    }
}

/// Writes the manifest beside the library; its path.
fn write(
    path: &Path,
    descriptor: &PluginDescriptor,
    inspection: &Inspection,
) -> Result<String, Failure> {
    let Outcome::Ok { found: sha256 } = inspection.outcome(Step::Pin) else {
        return Err(Failure::failed(Report::new("the library was not hashed")));
    };
    PluginManifest::new(descriptor, sha256).write_beside(path)?;
    Ok(PluginManifest::path_of(path).display().to_string())
}

fn print(inspection: &Inspection, output: &mut Output) -> Result<(), Failure> {
    for report in &inspection.steps {
        let (state, text) = match &report.outcome {
            Outcome::Ok { found } => (paint(GOOD, "ok    "), found.as_str()),
            Outcome::Failed { message, .. } => (paint(ERROR, "failed"), message.as_str()),
            Outcome::NotReached => (paint(FAINT, "-     "), "not reached"),
        };
        output.line(format_args!("{state}  {:<15} {text}", report.step))?;
    }
    let Some(descriptor) = &inspection.descriptor else { return Ok(()) };
    output.field("name", &descriptor.name)?;
    output.field("kind", descriptor.kind)?;
    output.field("version", &descriptor.version)?;
    output.field("licence", &descriptor.license)?;
    output.field("about", &descriptor.description)?;
    if let Some(module) = &descriptor.module {
        output.field("module", module)?;
    }
    if let Some(capabilities) = &descriptor.capabilities {
        let names = capabilities.iter().map(|(capability, support)| match support {
            Support::Native => capability.name().to_owned(),
            Support::Simulated => format!("{} (simulated)", capability.name()),
        });
        output.field("can", names.collect::<Vec<_>>().join(", "))?;
    }
    let options = descriptor.config_defaults.lines();
    options.into_iter().try_for_each(|option| output.field("option", option))
}
