//! Running one command and saying so.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// The repository's root: the one in which cargo runs this program, which may have been compiled in another copy that shares the
/// target directory.
pub(crate) fn repository() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR");
    let here = here.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().expect("this crate lies in a folder of the repository").to_owned()
}

/// Runs cargo with `arguments` at the repository's root.
pub(crate) fn cargo(arguments: &[&str]) -> Result<()> {
    cargo_with(arguments, &[])
}

/// As [`cargo`], with these environment variables on top.
pub(crate) fn cargo_with(arguments: &[&str], variables: &[(&str, &str)]) -> Result<()> {
    for (name, value) in variables {
        eprintln!("{name}={value} \\");
    }
    let mut command = Command::new(cargo_program());
    run(command.args(arguments).envs(variables.iter().copied()).current_dir(repository()))
}

/// What cargo knows of the workspace with this manifest, a path below the repository's root.
pub(crate) fn metadata(manifest: &str) -> Result<Value> {
    let mut command = Command::new(cargo_program());
    command.args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path", manifest]);
    let output = command.current_dir(repository()).output().context("cannot run cargo")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("cargo's metadata does not parse")
}

/// Where cargo puts what it builds for that workspace.
pub(crate) fn target_dir(manifest: &str) -> Result<PathBuf> {
    let metadata = metadata(manifest)?;
    let target = metadata["target_directory"].as_str();
    Ok(target.context("cargo named no target directory")?.into())
}

/// Prints a command, runs it to its end, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    ensure!(status.success(), "`{}` ended with {status}", shown(command));
    Ok(())
}

/// Prints a command and runs it to its end.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    let shown = shown(command);
    eprintln!("$ {shown}");
    command.status().with_context(|| format!("cannot run `{shown}`"))
}

fn cargo_program() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut words = vec![program.to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
