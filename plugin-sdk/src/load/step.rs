//! The steps of loading a library, and what each came to.

use crate::{Error, ErrorKind, PluginDescriptor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Most lines that a failure is rendered to.
pub const FAILURE_LINES_MAX: usize = 20;

/// One step of loading a library. A step runs when every one before it succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The path leads to a regular file inside the plugin directory.
    Find,
    /// Owner and mode of the file, and of the directories above it up to the plugin directory.
    Policy,
    /// The file's sha256, and whether it is the pinned one.
    Pin,
    /// The file is a whole shared library for this machine and exports one plugin.
    Elf,
    /// The dynamic linker loads it; its constructors run.
    Link,
    /// The plugin was built for this host's ABI version.
    AbiVersion,
    /// The types of the boundary are laid out as this host's.
    Layout,
    /// A panic of the plugin can be caught.
    Panic,
    /// What the plugin says of itself is well-formed.
    Descriptor,
}

impl Step {
    /// Every step, in the order in which they run.
    pub const ALL: [Self; 9] = [
        Self::Find,
        Self::Policy,
        Self::Pin,
        Self::Elf,
        Self::Link,
        Self::AbiVersion,
        Self::Layout,
        Self::Panic,
        Self::Descriptor,
    ];

    /// The step as a short phrase, such as `path policy`.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Find => "find",
            Self::Policy => "path policy",
            Self::Pin => "sha256",
            Self::Elf => "ELF file",
            Self::Link => "dynamic linker",
            Self::AbiVersion => "ABI version",
            Self::Layout => "type layout",
            Self::Panic => "panic strategy",
            Self::Descriptor => "descriptor",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.phrase())
    }
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// It succeeded.
    Ok {
        /// What it found: the real path, the sha256, the symbol, a version.
        found: String,
    },
    /// It failed, and with it the loading.
    Failed {
        /// The error's kind.
        kind: ErrorKind,
        /// The error with its causes, at most [`FAILURE_LINES_MAX`] lines.
        message: String,
    },
    /// An earlier step failed.
    NotReached,
}

/// A step and what it came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// The step.
    pub step: Step,
    /// What it came to.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The loading of one library, step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inspection {
    /// The path that was asked for.
    pub path: PathBuf,
    /// Every step of [`Step::ALL`], in that order.
    pub steps: Vec<StepReport>,
    /// What the plugin says of itself, when every step succeeded.
    pub descriptor: Option<PluginDescriptor>,
}

impl Inspection {
    pub(super) fn new(path: &Path) -> Self {
        let not_reached = |step| StepReport { step, outcome: Outcome::NotReached };
        let steps = Step::ALL.map(not_reached).into();
        Self { path: path.to_owned(), steps, descriptor: None }
    }

    /// What `step` came to.
    pub fn outcome(&self, step: Step) -> &Outcome {
        &self.steps[step as usize].outcome
    }

    /// The step that failed; `None` when the plugin can be used.
    pub fn failure(&self) -> Option<&StepReport> {
        self.steps.iter().find(|report| matches!(report.outcome, Outcome::Failed { .. }))
    }

    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Begin { .. } => {}
            Event::End(report) => self.steps[report.step as usize].outcome = report.outcome,
            Event::Descriptor(descriptor) => self.descriptor = Some(*descriptor),
        }
    }
}

/// What happens while a library is loaded.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Event {
    /// A step begins.
    Begin { step: Step },
    /// It ended.
    End(StepReport),
    /// The last step succeeded.
    Descriptor(Box<PluginDescriptor>),
}

/// An error with its causes, in at most [`FAILURE_LINES_MAX`] lines.
pub(super) fn render(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(one) = cause {
        text = format!("{text}\n{one}");
        cause = one.source();
    }
    shorten(&text, FAILURE_LINES_MAX, "")
}

/// The first lines of `text`; when there are more than `lines_max`, the last one says how many and `where_more`.
pub(super) fn shorten(text: &str, lines_max: usize, where_more: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    if lines.len() <= lines_max {
        return lines.join("\n");
    }
    let kept = lines_max - 1;
    format!("{}\n({} more lines{where_more})", lines[..kept].join("\n"), lines.len() - kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_stand_at_their_own_index() {
        for (index, step) in Step::ALL.into_iter().enumerate() {
            assert_eq!(step as usize, index);
        }
    }

    #[test]
    fn a_long_error_is_cut_to_twenty_lines_and_says_so() {
        let cause = (0..500).map(|n| format!("line {n}\n")).collect::<String>();
        let error = Error::new(ErrorKind::AbiMismatch, "load", "differs").with_source(cause);
        let text = render(&error);
        assert_eq!(text.lines().count(), FAILURE_LINES_MAX);
        assert!(text.starts_with("load: differs\nline 0\n"), "{text}");
        assert!(text.ends_with("(482 more lines)"), "{text}");
    }
}
