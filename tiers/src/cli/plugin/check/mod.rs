//! `supervm plugin check`: the loader's steps, then the rules of the plugin's kind, and a certificate.

mod host_pack;
mod storage;

use super::arguments::CheckArguments;
use super::inspect::{found, print_steps};
use super::{check_usable, inspection};
use crate::cli::failure::{Failure, Report};
use crate::cli::output::{ERROR, FAINT, GOOD, Output, paint};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};
use supervm_conformance::{Run, Target};
use supervm_plugin_sdk::load::{Inspection, Step};
use supervm_plugin_sdk::{PluginDescriptor, PluginKind};

/// A plugin that the loader accepts.
struct Candidate<'a> {
    arguments: &'a CheckArguments,
    inspection: &'a Inspection,
    descriptor: &'a PluginDescriptor,
}

/// Checks the library and prints what came of it.
pub(super) fn check(arguments: &CheckArguments, output: &mut Output) -> Result<(), Failure> {
    let inspection = inspection(&arguments.path)?;
    if !output.is_json() {
        print_steps(&inspection, output)?;
        output.line("")?;
    }
    let Some(descriptor) = &inspection.descriptor else {
        if output.is_json() {
            output.object(&json!({ "inspection": inspection, "passed": false }))?;
        }
        return check_usable(&inspection, output);
    };
    let candidate = Candidate { arguments, inspection: &inspection, descriptor };
    match descriptor.kind {
        PluginKind::Storage => storage::check(&candidate, output),
        PluginKind::HostPack => host_pack::check(&candidate, output),
    }
}

impl Candidate<'_> {
    /// Where the report of a whole run goes: beside the library.
    fn certificate_path(&self) -> PathBuf {
        self.arguments.path.with_extension("conformance.json")
    }

    fn sha256(&self) -> &str {
        found(self.inspection, Step::Pin).unwrap_or_default()
    }

    /// A seed for a run that was given none.
    fn seed(&self) -> u64 {
        let drawn = || Run::new(Target::file(&self.arguments.path)).seed;
        self.arguments.seed.unwrap_or_else(drawn)
    }

    /// Prints the verdict and where the report is, and ends the command accordingly.
    fn conclude(
        &self,
        passed: bool,
        certificate: Option<&Path>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let verdict = if passed { paint(GOOD, "passed") } else { paint(ERROR, "failed") };
        print_field("verdict", verdict, output)?;
        match certificate {
            Some(path) if passed => print_field("certificate", path.display(), output)?,
            Some(path) => print_field("report", path.display(), output)?,
            None => print_field("certificate", "none: only a whole run gives one", output)?,
        }
        if passed {
            return Ok(());
        }
        let name = &self.descriptor.name;
        let message = format!("the plugin \"{name}\" does not keep every rule");
        Err(Failure::failed(Report::new(message)))
    }
}

fn print_field(
    name: &str,
    value: impl std::fmt::Display,
    output: &mut Output,
) -> Result<(), Failure> {
    output.line(format_args!("{} {value}", paint(FAINT, format_args!("{name:<12}"))))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| {
        let message = format!("cannot write the report {}", path.display());
        Failure::failed(Report::new(message).cause(error))
    })
}

/// A bar on a terminal, nothing elsewhere.
fn progress_bar(length: usize, output: &Output) -> ProgressBar {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed} {msg}");
    let target =
        if output.is_json() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    ProgressBar::with_draw_target(Some(length as u64), target)
        .with_style(style.expect("the template is well formed"))
}
