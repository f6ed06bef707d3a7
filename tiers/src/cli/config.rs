//! `supervm config`: what the configuration is, and whether it is sound.

use super::arguments::{ConfigAction, ConfigArguments};
use super::failure::Failure;
use super::output::{FAINT, GOOD, Output, paint};
use super::profile::refuse;
use serde_json::json;
use supervm_tiers::{Setting, Settings};

/// Does what the action says.
pub(crate) fn config(arguments: ConfigArguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.action {
        ConfigAction::Show { profile } => show(&profile.settings(), output),
        ConfigAction::Check { profile } => {
            let settings = profile.settings();
            refuse(&settings.check())?;
            let backend = settings.profile()?.storage.backend;
            if output.is_json() {
                return output.object(&json!({ "ok": true, "backend": backend }));
            }
            output.line(format_args!(
                "{}: the configuration is sound, the backend is {backend}",
                paint(GOOD, "ok")
            ))
        }
    }
}

fn show(settings: &Settings, output: &mut Output) -> Result<(), Failure> {
    refuse(settings.problems())?;
    let set: Vec<Setting> = settings.iter().collect();
    if output.is_json() {
        let discarded = settings.discarded();
        return output.object(
            &json!({ "settings": set, "discarded": discarded, "unset": settings.unset() }),
        );
    }
    let width = |text: usize| text.min(44);
    let lines: Vec<_> =
        set.iter().map(|one| (format!("{} = {}", one.key, one.value), &one.source)).collect();
    let widest = lines.iter().map(|(line, _)| width(line.len())).max().unwrap_or_default();
    for (line, source) in &lines {
        output
            .line(format_args!("{line:<widest$}  {}", paint(FAINT, format_args!("# {source}"))))?;
    }
    for key in settings.unset() {
        output.line(format_args!("{:<widest$}  {}", key, paint(FAINT, "# not set")))?;
    }
    for one in settings.discarded() {
        let note = format!(
            "# not used, it is for another backend: {} = {} ({})",
            one.key, one.value, one.source
        );
        output.line(paint(FAINT, note))?;
    }
    Ok(())
}
