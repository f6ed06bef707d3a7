//! The figures as a section of docs/benchmarks.md.

use super::{Distribution, Durable, Latency, Memory, Throughput};
use crate::statistics::Estimate;
use serde::Serialize;
use std::fmt::Write;

/// All that the benchmark measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What and its value, one line each: the machine and the command.
    pub machine: Vec<(&'static str, String)>,
    /// Transfers.
    pub throughput: Vec<Throughput>,
    /// Of a transfer, on one thread.
    pub latency: Latency,
    /// Read-only point reads a second, on one thread.
    pub read_only: Estimate,
    /// What automatic garbage collection takes, as a share.
    pub collector_cost: Estimate,
    /// What keys and versions take.
    pub memory: Memory,
    /// Durable commits on RocksDB, by numbers of threads.
    pub durable: Vec<Durable>,
}

/// A figure, what it should be, and whether it is.
struct Row {
    what: String,
    found: String,
    goal: String,
    is_met: bool,
}

impl Report {
    /// The section, without its heading.
    pub fn markdown(&self) -> String {
        let mut page = String::from(
            "A transaction reads two balances and writes both, serializable; 100,000 accounts, keys of 20 bytes, values of 8. The peer is\n\
             surrealmx 1.1.0, in memory and serializable too. Ratios are medians of rounds in which the stores took turns, with their 95%\n\
             interval. The guard is the ratio of two stores of SuperVM.\n\n",
        );
        for (what, value) in &self.machine {
            let _ = writeln!(page, "- {what}: {value}");
        }
        page.push_str("\n| figure | found | goal | |\n|---|---:|---:|---|\n");
        for row in self.rows() {
            let verdict = if row.is_met { "met" } else { "missed" };
            let _ = writeln!(page, "| {} | {} | {} | {verdict} |", row.what, row.found, row.goal);
        }
        page
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for figure in &self.throughput {
            throughput_rows(figure, &mut rows);
        }
        let mut most = |what: &str, found: f64, unit: &str, goal: f64| {
            let (what, found) = (what.to_owned(), (format!("{found:.2} {unit}"), found));
            rows.push(Row {
                what,
                found: found.0,
                goal: format!("<= {goal} {unit}"),
                is_met: found.1 <= goal,
            });
        };
        most("a transfer on 1 thread, 99 of 100", self.latency.us_p99, "us", 4.0);
        most("automatic garbage collection", self.collector_cost.median * 100.0, "%", 5.0);
        most("memory of a key", self.memory.bytes_per_key, "bytes", 160.0);
        most("memory of a further version", self.memory.bytes_per_version, "bytes", 48.0);
        rows.push(Row {
            what: "read-only point reads on 1 thread".to_owned(),
            found: rate(self.read_only),
            goal: ">= 1.70 M/s".to_owned(),
            is_met: self.read_only.median >= 1.7e6,
        });
        self.durable.iter().for_each(|durable| durable_rows(durable, &mut rows));
        rows
    }
}

fn throughput_rows(figure: &Throughput, rows: &mut Vec<Row>) {
    let Throughput { threads, distribution, .. } = *figure;
    let name = match distribution {
        Distribution::Uniform => format!("transfers, {threads} threads"),
        Distribution::Zipf => format!("transfers, {threads} threads, Zipf 0.99"),
    };
    let (least, ratio) = match (threads, distribution) {
        (1, Distribution::Uniform) => (650e3, 3.0),
        (_, Distribution::Uniform) => (800e3, 6.0),
        (_, Distribution::Zipf) => (700e3, 0.0),
    };
    rows.push(Row {
        what: format!("{name} (guard {:.2})", figure.guard.median),
        found: rate(figure.per_second),
        goal: format!(">= {:.0} K/s", least / 1e3),
        is_met: figure.per_second.median >= least,
    });
    let Estimate { median, low, high } = figure.ratio;
    let peer = figure.peer_per_second.median / 1e3;
    rows.push(Row {
        what: format!("{name}: SuperVM to surrealmx ({peer:.0} K/s)"),
        found: format!("{median:.2} ({low:.2} .. {high:.2})"),
        goal: format!(">= {ratio}"),
        is_met: median >= ratio,
    });
    let share = figure.conflict_share * 100.0;
    if distribution == Distribution::Zipf {
        let goal = "<= 6 %".to_owned();
        rows.push(Row {
            what: format!("{name}: refused"),
            found: format!("{share:.2} %"),
            goal,
            is_met: share <= 6.0,
        });
    }
}

/// How many threads the goal for commits a second is for.
const COMMITTERS_OF_THE_GOAL: usize = 64;

fn durable_rows(durable: &Durable, rows: &mut Vec<Row>) {
    let Durable { committers, per_second, syncs_per_second, groups_to_syncs, group_size, .. } =
        *durable;
    // Fewer threads cannot commit so often, however fast each sync is.
    let least = if committers >= COMMITTERS_OF_THE_GOAL { 50.0 } else { 0.0 };
    rows.push(Row {
        what: format!("durable commits on RocksDB, {committers} threads, {group_size:.0} a batch"),
        found: format!("{:.1} K/s", per_second / 1e3),
        goal: format!(">= {least} K/s"),
        is_met: per_second >= least * 1e3,
    });
    rows.push(Row {
        what: format!(
            "the same: batches synced a second, to {syncs_per_second:.0} that the disk syncs"
        ),
        found: format!("{groups_to_syncs:.2}"),
        goal: ">= 0.9".to_owned(),
        is_met: groups_to_syncs >= 0.9,
    });
}

fn rate(estimate: Estimate) -> String {
    let Estimate { median, low, high } = estimate;
    match median >= 1e6 {
        true => format!("{:.2} M/s ({:.2} .. {:.2})", median / 1e6, low / 1e6, high / 1e6),
        false => format!("{:.0} K/s ({:.0} .. {:.0})", median / 1e3, low / 1e3, high / 1e3),
    }
}
