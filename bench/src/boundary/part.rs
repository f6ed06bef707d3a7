//! The parts of a measurement, each in a process of its own.
//!
//! Where code and data lie in a process is a matter of luck, and stays the same as long as the process lives: at one address in ten, a
//! shared library scans LevelDB 10% slower than the same library at the others. So each part draws anew, and the files stay.

use super::Selection;
use super::clock::Clock;
use super::latency::{self, Latency};
use super::legs::{LEGS, Legs, RAW, RAW_AGAIN};
use super::operation::Operation;
use super::rounds::{Contender, Times, take_turns};
use super::work::{Reading, Source};
use crate::backend::{BACKENDS, Backend, Dir};
use crate::data::{Data, Shape};
use crate::statistics::median;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::array;
use std::env;
use std::io::{Read, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The argument with which this program calls [`measure_part`].
const PART_ARGUMENT: &str = "--part";

/// A directory for each leg, filled by the backend.
pub(super) struct Copies<'a> {
    backend: Backend<'a>,
    dirs: [Arc<Dir>; LEGS],
}

impl<'a> Copies<'a> {
    /// Copies of what the backend `name` makes of `data`.
    pub(super) fn make(name: &'static str, data: &'a Data) -> Self {
        let backend = Backend::new(name, data);
        let dirs = array::from_fn(|_| backend.copy());
        Self { backend, dirs }
    }

    /// The backend that filled them.
    pub(super) fn backend(&self) -> &Backend<'a> {
        &self.backend
    }

    /// New ones in their places, one after the other.
    pub(super) fn renew(&mut self) {
        self.dirs.iter_mut().for_each(|dir| *dir = self.backend.copy());
    }
}

/// What one process is asked for.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    backend: String,
    shape: Shape,
    operation: Operation,
    /// What each leg is over.
    copies: [PathBuf; LEGS],
    /// Which part it is, and of how many.
    index: usize,
    parts: usize,
    /// Rounds of each part.
    rounds: usize,
    block: Duration,
    clock: Clock,
}

/// What one process gave.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Figures {
    /// Of all legs.
    pub(super) times: Times,
    /// Of the raw crate, and of it when it reads in place; none where that is the same.
    pub(super) in_place: Option<Times>,
    /// At half of the raw crate's rate; empty in all parts but the last, and where waiting does not count.
    pub(super) latencies: Vec<Latency>,
}

/// Measures `operation` in parts, each leg over each of `copies` as often.
///
/// # Errors
/// When a part fails, which has said why.
pub(super) fn measure(
    operation: Operation,
    copies: &mut Copies<'_>,
    selection: &Selection,
) -> Result<Vec<Figures>> {
    let parts = match operation {
        // Its copies are the most of its time, and the disk's luck the most of its luck.
        Operation::Batch => LEGS,
        _ => 2 * LEGS,
    };
    let measure = |index| {
        match operation {
            // Parts would read what others wrote.
            Operation::Batch if index > 0 => copies.renew(),
            _ => copies.dirs.rotate_right(1),
        }
        let part = Part {
            backend: copies.backend.name().to_owned(),
            shape: copies.backend.data().shape(),
            operation,
            copies: copies.dirs.each_ref().map(|dir| dir.path().to_owned()),
            index,
            parts,
            rounds: selection.rounds.div_ceil(parts),
            block: selection.block,
            clock: selection.clock,
        };
        part.measure_elsewhere()
    };
    (0..parts).map(measure).collect()
}

/// Measures the part that `input` describes, and tells `output` what it gave, both in JSON: what [`run`](super::run) asks other
/// processes of this program for.
///
/// # Errors
/// When `input` is no part, or `output` is closed.
pub fn measure_part(input: impl Read, output: impl Write) -> Result<()> {
    let part: Part = serde_json::from_reader(input).context("the input is no part")?;
    serde_json::to_writer(output, &part.measure()?).context("the output was not taken")
}

impl Part {
    fn measure_elsewhere(&self) -> Result<Figures> {
        let program = env::current_exe().context("this program cannot be found")?;
        let mut command = Command::new(program);
        command.arg(PART_ARGUMENT).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("a process for a part cannot be started")?;
        let input = process.stdin.take().context("the process has no input")?;
        // A process that ended has said why.
        let asked = serde_json::to_writer(input, self);
        let output = process.wait_with_output()?;
        ensure!(output.status.success(), "a part of the measurement failed: {}", output.status);
        asked.context("a part was not asked for")?;
        serde_json::from_slice(&output.stdout).context("a part gave no figures")
    }

    fn measure(&self) -> Result<Figures> {
        let name = BACKENDS.iter().find(|name| **name == self.backend);
        let name = *name.with_context(|| format!("there is no backend {}", self.backend))?;
        let data = Data::generate(self.shape);
        let copies = self.copies.each_ref().map(|path| Arc::new(Dir::Lent(path.clone())));
        let mut legs = Legs::open(name, &data, &copies, self.index, self.clock);
        let mut source = Source::new(self.operation, &data, self.index, self.parts);

        let mut contenders: Vec<_> = legs.all().iter_mut().map(Contender::new).collect();
        let times = take_turns(&mut contenders, &mut source, self.rounds(), self.block);
        let in_place = match self.operation {
            Operation::Get | Operation::Scan => Some(self.in_place(&mut legs, &mut source)),
            Operation::GetZipf | Operation::MultiGet => None,
            Operation::Batch => {
                compare_content(&mut legs);
                None
            }
        };
        let latencies = match self.operation {
            Operation::Get if self.index + 1 == self.parts && self.clock == Clock::Wall => {
                latency::measure(&mut legs, median(&mut times.rates(RAW)) / 2.0)
            }
            _ => Vec::new(),
        };
        Ok(Figures { times, in_place, latencies })
    }

    /// The numbers of its rounds, among those of all parts.
    fn rounds(&self) -> Range<usize> {
        self.index * self.rounds..(self.index + 1) * self.rounds
    }

    /// Compares the raw crate that copies with itself when it reads in place.
    fn in_place(&self, legs: &mut Legs<'_>, source: &mut Source<'_>) -> Times {
        let runners = &mut legs.all()[RAW..=RAW_AGAIN];
        let mut contenders: Vec<_> = runners.iter_mut().map(Contender::new).collect();
        contenders[RAW_AGAIN].reading = Reading::InPlace;
        take_turns(&mut contenders, source, self.rounds(), self.block)
    }
}

/// Reads everything through every leg: after the same writes, all hold the same.
fn compare_content(legs: &mut Legs<'_>) {
    let (data, totals) = (legs.data(), legs.totals());
    assert!(totals.iter().all(|total| *total == totals[0]), "the legs differ: {totals:?}");
    assert_ne!(totals[0], data.total(0..data.keys().len()), "nothing was written");
}
