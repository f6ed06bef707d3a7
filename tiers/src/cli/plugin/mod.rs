//! `supervm plugin`: what plugins there are, whether a library is one, and how to begin one.

mod arguments;
mod check;
mod inspect;
mod list;
mod new;
mod pack;

pub(crate) use arguments::PluginArguments;

use super::failure::{Failure, Report};
use super::output::Output;
use arguments::PluginAction;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode};
use supervm_plugin_sdk::load::{Inspection, PROBE_DEADLINE, probe, probe_child};

/// Does what the action says.
pub(crate) fn plugin(arguments: PluginArguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.action {
        PluginAction::List { profile } => list::list(&profile, output),
        PluginAction::New(arguments) => new::new(&arguments, output),
        PluginAction::Check(arguments) => check::check(&arguments, output),
        PluginAction::Inspect { path, manifest } => inspect::inspect(&path, manifest, output),
        PluginAction::Probe { .. } | PluginAction::ProbePack { .. } => Err(Failure::Reported),
    }
}

/// Is this the process that loads a library for another one to watch? Then it does so and ends.
pub(crate) fn as_probe(arguments: &PluginArguments) -> Option<ExitCode> {
    match &arguments.action {
        PluginAction::Probe { arguments } => Some(probe_child(arguments.clone())),
        PluginAction::ProbePack { path, seed } => Some(pack::child(path, *seed)),
        _ => None,
    }
}

/// This program again, with these arguments.
fn this_program<A: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = A>,
) -> Result<Command, Failure> {
    let mut program = Command::new(std::env::current_exe()?);
    program.args(arguments);
    Ok(program)
}

/// The loader's steps on the library at `path`, in a process of its own.
fn inspection(path: &Path) -> Result<Inspection, Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let root = parent.unwrap_or(Path::new("."));
    Ok(probe(this_program(["plugin", "probe"])?, path, root, None, PROBE_DEADLINE)?)
}

/// The step that failed, as the command's failure; with `--json` the output has it already.
fn check_usable(inspection: &Inspection, output: &Output) -> Result<(), Failure> {
    let Some(failed) = inspection.failure() else { return Ok(()) };
    if output.is_json() {
        return Err(Failure::Reported);
    }
    let path = inspection.path.display();
    let message = format!("{path} is no usable plugin: the step \"{}\" failed", failed.step);
    let hint = "docs/plugin-guide.md says for each step what to do";
    Err(Failure::failed(Report::new(message).hint(hint)))
}
