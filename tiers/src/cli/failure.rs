//! How a command fails: what is said of it, and the exit code.

use super::output::{ERROR, FAINT, HINT, paint};
use serde::Serialize;
use std::io::{self, Write};
use std::process::ExitCode;
use supervm_plugin_sdk::{Effect, Error, ErrorKind};
use supervm_tiers::Problem;

const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Why a command ends with another exit code than 0.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It could not be done.
    Failed(Box<Report>),
    /// It could not be done for several reasons.
    Several(Vec<Report>),
    /// The arguments are wrong.
    Usage(Box<Report>),
    /// It failed, and the output says so already.
    Reported,
    /// Whoever read the output has stopped reading.
    ReaderGone,
}

/// What is said of a failure.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    /// What failed, on what.
    pub(crate) message: String,
    /// The kind of the error, where it is one of a storage or a plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<ErrorKind>,
    /// What it left behind, where that is not nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effect: Option<LeftBehind>,
    /// Named values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) details: Vec<Detail>,
    /// What led to it, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) causes: Vec<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

/// What a failed operation left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LeftBehind {
    /// It took effect.
    Applied,
    /// It may have taken effect.
    Unknown,
}

impl LeftBehind {
    fn of(effect: Effect) -> Option<Self> {
        match effect {
            Effect::NotApplied => None,
            Effect::Applied => Some(Self::Applied),
            Effect::Unknown => Some(Self::Unknown),
        }
    }

    fn in_words(self) -> &'static str {
        match self {
            Self::Applied => "it took effect all the same",
            Self::Unknown => "unknown; it may have taken effect",
        }
    }
}

/// A named value.
#[derive(Debug, Serialize)]
pub(crate) struct Detail {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl Report {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), ..Self::default() }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn cause(mut self, cause: impl ToString) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    fn print(&self, stderr: &mut impl Write) -> io::Result<()> {
        writeln!(stderr, "{} {}", paint(ERROR, "error:"), self.message)?;
        if let Some(effect) = self.effect {
            writeln!(stderr, "  {}: {}", paint(FAINT, "effect"), effect.in_words())?;
        }
        for detail in &self.details {
            writeln!(stderr, "  {}: {}", paint(FAINT, &detail.name), detail.value)?;
        }
        for cause in &self.causes {
            writeln!(stderr, "  {}: {cause}", paint(FAINT, "caused by"))?;
        }
        match &self.hint {
            Some(text) => writeln!(stderr, "  {}: {text}", paint(HINT, "hint")),
            None => Ok(()),
        }
    }
}

impl From<&Error> for Report {
    fn from(error: &Error) -> Self {
        let mut causes = Vec::new();
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            let text = cause.to_string();
            // A message often repeats the error that it was made from.
            if !error.message().contains(&text) {
                causes.push(text);
            }
            source = cause.source();
        }
        let details = error
            .context()
            .map(|(name, value)| Detail { name: name.to_owned(), value: value.to_owned() });
        Self {
            message: format!("{}: {}", error.operation(), error.message()),
            kind: Some(error.kind()),
            effect: LeftBehind::of(error.effect()),
            details: details.collect(),
            causes,
            hint: hint_of_effect(error).or_else(|| hint_of(error.kind()).map(str::to_owned)),
        }
    }
}

/// How to find out what an operation has left that may have taken effect.
fn hint_of_effect(error: &Error) -> Option<String> {
    if error.effect() != Effect::Unknown {
        return None;
    }
    let version = error.context().find(|(name, _)| *name == "version").map(|(_, version)| version);
    Some(match version {
        Some(version) => format!(
            "before anything else, run `supervm db stats` on the directory: the commit took effect if the newest version is {version} or above"
        ),
        None => {
            "look at the directory with `supervm db` before you repeat it: it may have taken effect"
                .to_owned()
        }
    })
}

/// What to do about an error of this kind, where that is the same whatever failed.
fn hint_of(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::Locked => Some(
            "another process has the directory open; stop it, wait for it, or name another --dir",
        ),
        ErrorKind::VersionPruned => {
            Some("`supervm db blocks` lists the blocks whose states can be read")
        }
        ErrorKind::NoSpace => Some("free some space and run it again"),
        _ => None,
    }
}

impl From<&Problem> for Report {
    fn from(problem: &Problem) -> Self {
        Self { hint: problem.hint.clone(), ..Self::new(problem.to_string()) }
    }
}

impl Failure {
    pub(crate) fn failed(report: Report) -> Self {
        Self::Failed(Box::new(report))
    }

    pub(crate) fn usage(report: Report) -> Self {
        Self::Usage(Box::new(report))
    }

    /// Prints what is to be said on stderr and gives the exit code.
    pub(crate) fn report(&self, json: bool) -> ExitCode {
        let (reports, code) = match self {
            Self::Failed(report) => (std::slice::from_ref(&**report), FAILED),
            Self::Several(reports) => (reports.as_slice(), FAILED),
            Self::Usage(report) => (std::slice::from_ref(&**report), USAGE),
            Self::Reported => (&[][..], FAILED),
            Self::ReaderGone => return ExitCode::SUCCESS,
        };
        let mut stderr = anstream::AutoStream::auto(io::stderr());
        // Nobody is left to be told when stderr cannot be written.
        let _ = match reports {
            [] => Ok(()),
            [report] if json => print_json(&mut stderr, &serde_json::json!({ "error": report })),
            [first, ..] if json => {
                let all = serde_json::json!({ "error": first, "errors": reports });
                print_json(&mut stderr, &all)
            }
            reports => reports.iter().try_for_each(|report| report.print(&mut stderr)),
        };
        ExitCode::from(code)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::failed(Report::from(&error))
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::failed(Report::new("cannot write the output").cause(error)),
        }
    }
}

fn print_json(stderr: &mut impl Write, value: &serde_json::Value) -> io::Result<()> {
    writeln!(stderr, "{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(report: &Report) -> String {
        let mut out = Vec::new();
        report.print(&mut out).expect("memory has room");
        anstream::adapter::strip_str(&String::from_utf8(out).expect("text")).to_string()
    }

    #[test]
    fn a_commit_of_unknown_effect_is_told_as_such_with_the_way_to_find_out() {
        let error = Error::new(ErrorKind::Io, "commit", "the write failed")
            .with("version", 7)
            .with_effect(Effect::Unknown);
        let report = Report::from(&error);
        let text = printed(&report);
        assert!(text.contains("effect: unknown; it may have taken effect"), "{text}");
        assert!(text.contains("if the newest version is 7 or above"), "{text}");
        let json = serde_json::to_value(&report).expect("plain data");
        assert_eq!(json["effect"], "unknown");
        assert_eq!(json["details"][0]["value"], "7");
    }

    #[test]
    fn nothing_is_said_of_the_effect_where_nothing_took_effect() {
        let error = Error::new(ErrorKind::NoSpace, "commit", "the disk is full");
        let report = Report::from(&error);
        assert!(!printed(&report).contains("effect"));
        let json = serde_json::to_value(&report).expect("plain data");
        assert_eq!(json.get("effect"), None);
        assert_eq!(json["hint"], "free some space and run it again");
    }
}
