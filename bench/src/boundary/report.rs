//! What was measured, as a page and as JSON.

use super::cell::Cell;
use super::clock::Clock;
use crate::machine::Machine;
use crate::statistics::Estimate;
use serde::Serialize;
use std::fmt::Write;

/// Everything that one run gave.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where it ran.
    pub machine: Machine,
    /// What the time was taken with.
    pub clock: Clock,
    /// What was measured, in the order in which it was.
    pub cells: Vec<Cell>,
}

const INTRODUCTION: &str = "\
What does the plugin boundary cost? Each database through its own crate (`raw`), through SuperVM's backend linked in (`linked`) and
through the same backend loaded from its shared library (`.so`), over copies of one directory, with the same options. The legs take
turns in blocks of a few milliseconds, in changing order and in several processes, and each has been over each copy when the rounds are
over. A ratio is the median over the rounds of how fast a leg is as a multiple of `raw` in the same round, with its 95% interval, which
takes in what differs between processes; above 1 is faster. `raw` copies each value into a buffer of the caller and each row of a scan
into a page, as the storage contract asks of a backend; `in place` is the same crate without that copy.
`A/A` is the ratio of `raw` to itself, over another copy: outside of 0.97 to 1.03, the measurement is void. Sums over all bytes read are
compared between the legs. A row is a key of 32 bytes and its value. `bench/README.md` says more.
";

/// What a buffered batch of each backend waits for.
const SYNC_POLICIES: [(&str, &str); 5] = [
    ("memory", "nothing"),
    ("lmdb", "a sync of its pages; not of the root that leads to them"),
    ("sqlite", "no sync: its log is synced when it is moved into the database"),
    ("rocksdb", "no sync: its log is handed to the system"),
    ("leveldb", "no sync: its log is handed to the system"),
];

impl Report {
    /// The section of a page in Markdown, without a heading.
    pub fn markdown(&self) -> String {
        let mut text = String::from(INTRODUCTION);
        text.push('\n');
        for (what, value) in self.machine.lines() {
            line(&mut text, &format!("- {what}: {value}"));
        }
        if self.clock == Clock::Cpu {
            line(
                &mut text,
                "- clock: processor time of the measuring thread, in which waiting does not count",
            );
        }
        line(
            &mut text,
            "\nA batch is written with `Durability::Buffered`, and every leg waits for the same:\n",
        );
        for (backend, policy) in SYNC_POLICIES {
            if self.cells.iter().any(|cell| cell.backend == backend) {
                line(&mut text, &format!("- `{backend}`: {policy}"));
            }
        }
        self.write_ratios(&mut text);
        self.write_in_place(&mut text);
        self.write_latencies(&mut text);
        text
    }

    fn write_ratios(&self, text: &mut String) {
        line(
            text,
            "\n| backend | keys | row | operation | raw | .so | linked / raw | .so / raw | interval | added | A/A | goals |",
        );
        line(text, "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---|");
        for cell in &self.cells {
            let goals: Vec<String> = cell.goals.iter().map(ToString::to_string).collect();
            let goals = if cell.is_void() { "**void**".to_owned() } else { goals.join(", ") };
            line(
                text,
                &format!(
                    "| {} | {} | {} | {} | {:.3} | {:.3} | {} | {} | {:.3} | {goals} |",
                    place(cell),
                    cell.operation,
                    rate(cell, cell.rates.raw),
                    rate(cell, cell.rates.loaded),
                    cell.linked.median,
                    cell.loaded.median,
                    interval(&cell.loaded),
                    added(&cell.added_ns),
                    cell.guard.median,
                ),
            );
        }
    }

    fn write_in_place(&self, text: &mut String) {
        let cells: Vec<_> =
            self.cells.iter().filter_map(|cell| Some((cell, cell.in_place?))).collect();
        if cells.is_empty() {
            return;
        }
        line(text, "\nThe raw crate without a copy of what it reads:\n");
        line(
            text,
            "| backend | keys | row | operation | raw, in place | in place / raw | interval |",
        );
        line(text, "|---|---:|---:|---|---:|---:|---:|");
        for (cell, in_place) in cells {
            line(
                text,
                &format!(
                    "| {} | {} | {} | {:.3} | {} |",
                    place(cell),
                    cell.operation,
                    rate(cell, in_place.rate),
                    in_place.ratio.median,
                    interval(&in_place.ratio),
                ),
            );
        }
    }

    fn write_latencies(&self, text: &mut String) {
        let cells: Vec<_> = self.cells.iter().filter(|cell| !cell.latencies.is_empty()).collect();
        if cells.is_empty() {
            return;
        }
        line(
            text,
            "\nLatencies of `get` at half of the raw crate's rate, from when each key was to be asked for:\n",
        );
        line(text, "| backend | keys | row | leg | rate | p50 | p99 | p99.9 | max |");
        line(text, "|---|---:|---:|---|---:|---:|---:|---:|---:|");
        for cell in cells {
            for latency in &cell.latencies {
                let times = [latency.p50_ns, latency.p99_ns, latency.p999_ns, latency.max_ns];
                line(
                    text,
                    &format!(
                        "| {} | {} | {}/s | {} |",
                        place(cell),
                        latency.leg,
                        scaled(latency.rate),
                        times.map(microseconds).join(" | "),
                    ),
                );
            }
        }
    }
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("a string takes everything");
}

fn place(cell: &Cell) -> String {
    let keys = if cell.keys.is_multiple_of(1_000_000) {
        format!("{}M", cell.keys / 1_000_000)
    } else {
        format!("{}K", cell.keys as f64 / 1e3)
    };
    format!("{} | {keys} | {} B", cell.backend, cell.row_bytes)
}

fn rate(cell: &Cell, entries: f64) -> String {
    if cell.operation.is_in_bytes() {
        format!("{}B/s", scaled(entries * cell.row_bytes as f64))
    } else {
        format!("{}/s", scaled(entries))
    }
}

fn interval(estimate: &Estimate) -> String {
    format!("{:.3} .. {:.3}", estimate.low, estimate.high)
}

fn added(estimate: &Estimate) -> String {
    format!("{:.1} ns ({:.1} .. {:.1})", estimate.median, estimate.low, estimate.high)
}

fn microseconds(nanoseconds: u64) -> String {
    format!("{:.2} us", nanoseconds as f64 / 1e3)
}

fn scaled(value: f64) -> String {
    let (value, unit) = match value {
        value if value < 1e6 => (value / 1e3, "K"),
        value if value < 1e9 => (value / 1e6, "M"),
        value => (value / 1e9, "G"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}
