//! What does the plugin boundary cost?
//!
//! For one backend, number of keys and size of a row there are four legs, each over a copy of the same directory: the database's own
//! crate twice, the backend linked in, and the backend loaded from its shared library. They take turns, in blocks of a few
//! milliseconds of the same work, in an order that changes from round to round, in several processes (`part`) with the copies in changed
//! places. `rounds` gives one ratio of each leg to the first for each round, and [`statistics`](crate::statistics) their median. The ratio
//! of the second leg to the first is the guard: when it is not 1, the machine was too busy, or something beside the boundary differs, and
//! the measurement is void.

mod operation;
mod quiet;
mod clock;
mod work;
mod legs;
mod rounds;
mod latency;
mod part;
mod goal;
mod cell;
mod report;

pub use cell::{Cell, InPlace, Rates};
pub use clock::Clock;
pub use goal::{Goal, Outcome};
pub use latency::Latency;
pub use operation::Operation;
pub use part::measure_part;
pub use report::Report;
#[cfg(any(feature = "mvcc", feature = "block"))]
pub(crate) use rounds::order;

use crate::data::{Data, Shape};
use crate::machine::Machine;
use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use part::Copies;
use std::time::Duration;

/// Numbers of keys that are measured unless others are asked for.
pub const KEYS: [usize; 2] = [100_000, 1_000_000];
/// Sizes of a row that are measured unless others are asked for; bytes.
pub const ROW_BYTES: [usize; 2] = [124, 1_024];
/// Rounds, at least: fewer give no interval worth the name.
pub const ROUNDS_MIN: usize = 30;
/// The longest block. A longer one would let the machine change between two legs of one round.
pub const BLOCK_MAX: Duration = Duration::from_millis(50);

/// What is measured, and how long.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Names of [`BACKENDS`](crate::backend::BACKENDS).
    pub backends: Vec<&'static str>,
    /// The operations, in the order in which they are measured; [`Operation::Batch`] is the last, because it changes what the
    /// others read.
    pub operations: Vec<Operation>,
    /// Numbers of keys.
    pub keys: Vec<usize>,
    /// Sizes of a row; bytes.
    pub row_bytes: Vec<usize>,
    /// Storages with more bytes of entries are left out.
    pub content_bytes_max: u64,
    /// Rounds of each measurement; at least [`ROUNDS_MIN`].
    pub rounds: usize,
    /// About how long a leg runs in one round; at most [`BLOCK_MAX`].
    pub block: Duration,
    /// What the time is taken with.
    pub clock: Clock,
}

impl Selection {
    fn shapes(&self) -> Vec<Shape> {
        let shape =
            |&keys: &usize| self.row_bytes.iter().map(move |&row_bytes| Shape { keys, row_bytes });
        let fits =
            |shape: &Shape| shape.keys as u64 * shape.row_bytes as u64 <= self.content_bytes_max;
        self.keys.iter().flat_map(shape).filter(fits).collect()
    }
}

/// Measures what `selection` says, in processes of this program (see [`measure_part`]), and shows on the terminal how far it is.
///
/// # Errors
/// When one of the processes fails.
pub fn run(selection: &Selection) -> Result<Report> {
    let machine = Machine::look("boundary");
    let shapes = selection.shapes();
    let bar = progress(shapes.len() * selection.backends.len() * selection.operations.len());
    let mut cells = Vec::new();
    for &name in &selection.backends {
        for &shape in &shapes {
            let place = format!("{name}, {} keys, rows of {} B", shape.keys, shape.row_bytes);
            bar.set_message(format!("{place}: filling"));
            let data = Data::generate(shape);
            let mut copies = Copies::make(name, &data);
            for &operation in &selection.operations {
                bar.set_message(format!("{place}: {operation}"));
                let cell = Cell::measure(operation, &mut copies, selection)?;
                bar.suspend(|| eprintln!("{cell}"));
                cells.push(cell);
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    Ok(Report { machine, clock: selection.clock, cells })
}

fn progress(cells: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{elapsed_precise} {bar:30} {pos}/{len} {msg}");
    let style = style.expect("the template is sound");
    let bar = ProgressBar::new(cells as u64).with_style(style);
    bar.enable_steady_tick(Duration::from_secs(1));
    bar
}
