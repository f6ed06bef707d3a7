//! One rule of the storage contract, and the code that proves it.

use crate::fixture::Fixture;
use crate::script::{self, Script};
use supervm_plugin_sdk::{Capability, Error};

/// Time that a case may take unless it says otherwise, seconds.
const DEADLINE_SECONDS: u64 = 30;

/// One rule of the storage contract, proved on a storage of its own.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The stable name, dotted from the general to the special: `scan.prefix.all_ff`.
    pub id: &'static str,
    /// The letter of the category; [`category_title`] has its name.
    pub category: char,
    /// The clauses of the storage contract that the case proves.
    pub clauses: &'static [u8],
    /// The rule in one sentence.
    pub rule: &'static str,
    /// What a backend has to declare for the rule to apply to it.
    pub needs: &'static [Capability],
    /// Time after which the case counts as hanging, seconds.
    pub deadline_seconds: u64,
    /// It runs in a process of its own, with the means of `fault`.
    pub(crate) faults: bool,
    proof: Proof,
}

/// What proves the rule.
#[derive(Debug, Clone, Copy)]
enum Proof {
    Function(fn(&mut Fixture) -> CaseResult),
    Script(&'static Script),
}

impl Case {
    pub(crate) const fn new(
        category: char,
        id: &'static str,
        clauses: &'static [u8],
        rule: &'static str,
        run: fn(&mut Fixture) -> CaseResult,
    ) -> Self {
        let proof = Proof::Function(run);
        Self {
            id,
            category,
            clauses,
            rule,
            needs: &[],
            deadline_seconds: DEADLINE_SECONDS,
            faults: false,
            proof,
        }
    }

    /// A case that lives as long as the program.
    pub(crate) fn script(
        category: char,
        id: &'static str,
        clauses: &'static [u8],
        rule: &'static str,
        script: Script,
    ) -> Self {
        let proof = Proof::Script(Box::leak(Box::new(script)));
        Self { proof, ..Self::new(category, id, clauses, rule, |_| Ok(())) }
    }

    /// Tries the rule on a new storage.
    pub(crate) fn prove(&self, fixture: &mut Fixture) -> CaseResult {
        match self.proof {
            Proof::Function(run) => run(fixture),
            Proof::Script(script) => script::play(script, fixture),
        }
    }

    pub(crate) const fn needs(mut self, needs: &'static [Capability]) -> Self {
        self.needs = needs;
        self
    }

    /// Marks a case that lets the system fail beneath the backend: it gets a process of its own, with the means to do so.
    pub(crate) const fn faults(mut self) -> Self {
        self.faults = true;
        self
    }

    pub(crate) const fn deadline(mut self, seconds: u64) -> Self {
        self.deadline_seconds = seconds;
        self
    }
}

/// What a case ends with.
pub(crate) type CaseResult<T = ()> = Result<T, Finding>;

/// Why a case did not pass.
#[derive(Debug)]
pub(crate) enum Finding {
    /// The backend broke the rule; the text names what differed.
    Failed(String),
    /// The rule cannot be tried here; the text says why.
    Skipped(String),
}

impl From<Error> for Finding {
    fn from(error: Error) -> Self {
        Self::Failed(format!("unexpected error of kind {:?}: {error}", error.kind()))
    }
}

impl From<std::io::Error> for Finding {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(format!("the suite's own file access failed: {error}"))
    }
}

/// The name of the category with this letter.
pub fn category_title(letter: char) -> &'static str {
    match letter {
        'A' => "open, close, lock, read-only",
        'B' => "point operations",
        'C' => "limits and edge bytes",
        'D' => "multi-get",
        'E' => "forward ranges",
        'F' => "reverse ranges",
        'G' => "prefixes",
        'H' => "cursors",
        'I' => "batches",
        'J' => "delete_range",
        'K' => "snapshots",
        'L' => "concurrency",
        'M' => "model",
        'O' => "durability",
        'P' => "faults of the system",
        'Q' => "checkpoints",
        'S' => "compaction and verification",
        'T' => "statistics",
        'U' => "honesty of capabilities",
        'V' => "errors and effects",
        'W' => "plugin boundary",
        'Y' => "agreement",
        _ => "unknown",
    }
}

/// How thorough a run is.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Every case, at most a minute a backend.
    #[default]
    Core,
    /// As `core`, with 200 kills instead of 25 in the cases that kill a writing process, and eight times as many power cuts.
    Crash,
}
