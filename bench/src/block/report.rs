//! The figures as a section of docs/benchmarks.md.

use super::{Contention, MadeUp, Speedup, Transfers};
use crate::statistics::Estimate;
use serde::Serialize;
use std::fmt::Write;

/// All that the benchmark measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What and its value, one line each: the machine and the command.
    pub machine: Vec<(&'static str, String)>,
    /// Made-up transactions.
    pub made_up: Vec<Speedup>,
    /// Transfers of the example's token.
    pub transfers: Vec<Transfers>,
}

impl MadeUp {
    fn name(self) -> String {
        let who = match self.contention {
            Contention::Accounts(accounts) => format!("{accounts} accounts"),
            Contention::Chain => "a chain".to_owned(),
            Contention::Hot => "one hot key".to_owned(),
        };
        format!("{} us, {who}", self.compute_us)
    }

    /// How fast two threads are to be, as a multiple of one.
    fn goal(self) -> f64 {
        match (self.contention, self.compute_us) {
            (Contention::Accounts(_), 5..) => 1.7,
            (Contention::Accounts(_), _) => 1.5,
            _ => 0.95,
        }
    }
}

impl Report {
    /// The section, without its heading.
    pub fn markdown(&self) -> String {
        let mut page = String::from(
            "Blocks of 1,000 transactions, run and committed, on two threads and on one. Ratios are medians of rounds in which the legs took\n\
             turns, with their 95% interval; the guard is the ratio of two legs of one thread.\n\n",
        );
        for (what, value) in &self.machine {
            let _ = writeln!(page, "- {what}: {value}");
        }
        page.push_str(
            "\nA made-up transaction reads two balances, computes for so long, and writes both; the state is in memory, without digest.\n\n\
             | transaction | 1 thread | 2 threads | 2 to 1 | guard | run twice | goal | |\n|---|---:|---:|---:|---:|---:|---:|---|\n",
        );
        for Speedup { kind, rates, stats } in &self.made_up {
            let goal = kind.goal();
            let _ = writeln!(
                page,
                "| {} | {} | {} | {} | {:.2} | {:.1}% | {goal} | {} |",
                kind.name(),
                rate(rates.one),
                rate(rates.two),
                ratio(rates.ratio),
                rates.guard.median,
                stats.rerun_rate() * 100.0,
                verdict(rates.ratio.median >= goal),
            );
        }
        page.push_str(
            "\nA real one is a transfer of the example's token between two of 10,000 accounts: a fresh instance, two reads, two writes, an event.\n\
             Each block is one batch with the state's digest, synced where the backend syncs. A call by itself takes the time beside it; the rest\n\
             is the executor, the digest and the batch.\n\n\
             | backend | threads | transfers | goal | | a call by itself | run twice |\n|---|---:|---:|---:|---|---:|---:|\n",
        );
        for transfers in &self.transfers {
            self.transfer_rows(transfers, &mut page);
        }
        page
    }

    fn transfer_rows(&self, transfers: &Transfers, page: &mut String) {
        let Transfers { backend, rates, stats, call_us } = transfers;
        // On a database, four fifths of what is asked for in memory.
        let part = if *backend == "memory" { 1.0 } else { 0.8 };
        let reruns = stats.rerun_rate() * 100.0;
        for (threads, found, goal) in [(1, rates.one, 40e3 * part), (2, rates.two, 70e3 * part)] {
            let _ = writeln!(
                page,
                "| {backend} | {threads} | {} | {:.0} K/s | {} | {call_us:.1} us | {} |",
                rate(found),
                goal / 1e3,
                verdict(found.median >= goal),
                if threads == 1 { String::new() } else { format!("{reruns:.1}%") },
            );
        }
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**missed**" }
}

fn ratio(estimate: Estimate) -> String {
    let Estimate { median, low, high } = estimate;
    format!("{median:.2} ({low:.2} .. {high:.2})")
}

fn rate(estimate: Estimate) -> String {
    let Estimate { median, low, high } = estimate;
    format!("{:.0} K/s ({:.0} .. {:.0})", median / 1e3, low / 1e3, high / 1e3)
}
