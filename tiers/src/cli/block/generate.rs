//! `supervm block gen`.

use super::super::failure::{Failure, Report};
use super::super::meter::Meter;
use super::super::output::Output;
use super::arguments::GenArguments;
use std::io::{self, IsTerminal};
use supervm_tiers::workload::{self, Line};

pub(super) fn generate(arguments: &GenArguments, output: &mut Output) -> Result<(), Failure> {
    // A file of blocks is one JSON object a line, whether that was asked for or not.
    let lines = workload::generate(arguments.plan())
        .map_err(|error| Failure::usage(Report::new(error.message())))?;
    // A bar between the lines would be in their way.
    let is_shown = !io::stdout().is_terminal();
    let mut meter = if is_shown { Meter::new(output) } else { Meter::silent() };
    meter.begin("generating", "transactions", None);
    let mut transactions = 0;
    for line in lines {
        if let Line::Block(block) = &line {
            transactions += block.transactions.len() as u64;
        }
        output.object(&line)?;
        meter.set(transactions, 0);
    }
    output.finish()?;
    meter.end();
    Ok(())
}
