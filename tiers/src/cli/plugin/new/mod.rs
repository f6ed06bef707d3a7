//! `supervm plugin new`: the crate of a new plugin.

mod name;
mod sdk;
mod template;

use super::arguments::NewArguments;
use crate::cli::failure::{Failure, Report};
use crate::cli::output::{GOOD, HEAD, HINT, Output, paint};
use sdk::Sdk;
use serde_json::json;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use template::Plan;

/// Writes the crate, all of it or nothing, and says how to go on.
pub(super) fn new(arguments: &NewArguments, output: &mut Output) -> Result<(), Failure> {
    name::check(&arguments.name)?;
    let sdk = Sdk::of(arguments.sdk_path.as_deref())?;
    let dir = arguments.path.clone().unwrap_or_else(|| PathBuf::from(&arguments.name));
    check_free(&dir)?;
    let plan = Plan::new(arguments, &sdk);
    let files = plan.files();
    write(&dir, &files).map_err(|error| {
        let message = format!("cannot write the crate to {}", dir.display());
        Failure::failed(Report::new(message).cause(error))
    })?;
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    let next = [
        format!("cd {}", dir.display()),
        "cargo build --release".to_owned(),
        format!("supervm plugin check target/release/lib{}.so", plan.crate_name()),
    ];
    if output.is_json() {
        return output.object(&json!({
            "name": arguments.name,
            "kind": arguments.kind.plugin_kind(),
            "path": dir,
            "sdk_path": sdk.checkout(),
            "files": names,
            "next": next,
        }));
    }
    let kind = arguments.kind.plugin_kind();
    output.line(format_args!("{} {} ({kind})", paint(GOOD, "created"), dir.display()))?;
    names.iter().try_for_each(|name| output.line(format_args!("  {name}")))?;
    output.line(paint(HEAD, "next"))?;
    next.iter().try_for_each(|line| output.line(format_args!("  {line}")))?;
    match sdk.hint(&arguments.name) {
        Some(hint) => output.line(format_args!("{} {hint}", paint(HINT, "hint:"))),
        None => Ok(()),
    }
}

/// The place must be new, or an empty directory.
fn check_free(dir: &Path) -> Result<(), Failure> {
    let refused =
        |message: String, hint: &str| Err(Failure::failed(Report::new(message).hint(hint)));
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => refused(
            format!("the directory {} is not empty", dir.display()),
            "name another one with --path",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = parent(dir);
            if parent.is_dir() {
                return Ok(());
            }
            let message = format!("the directory {} does not exist", parent.display());
            refused(message, "make it first, or name another one with --path")
        }
        Err(error) => refused(
            format!("{} cannot be used: {error}", dir.display()),
            "name another directory with --path",
        ),
    }
}

fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Writes the files beside `dir` and renames, so that a failure leaves nothing.
fn write(dir: &Path, files: &[(&str, String)]) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    // What the umask leaves of it, as of any new directory.
    let builder = builder.prefix(".supervm-plugin-").permissions(Permissions::from_mode(0o777));
    let unfinished = builder.tempdir_in(parent(dir))?;
    for (name, content) in files {
        let path = unfinished.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(unfinished.path()))?;
        fs::write(path, content)?;
    }
    fs::rename(unfinished.path(), dir)?;
    // It has another name now, and stays.
    let _ = unfinished.keep();
    Ok(())
}
