//! The token demo: the same transfers on every backend end in the same state.

use super::{Outcome, Workplace, check_trap, expect};
use crate::cli::failure::{Failure, Report};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::json;
use std::time::{Duration, Instant};
use supervm_engine::mvcc::Block;
use supervm_engine::registry::Registry;
use supervm_engine::runtime::{BlockTransaction, CallArguments, CallContext, GAS_LIMIT_DEFAULT};
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::{Durability, PluginKind};
use supervm_tiers::Node;

const LEDGER: &[u8] = include_bytes!("../../../../examples/contracts/ledger.wat");
const TRANSFERS: u64 = 1_000;
/// Transfers of a block; each block is synced where the backend syncs.
const BLOCK_TRANSFERS: usize = 50;
const ACCOUNTS: u64 = 16;
/// More than all transfers together can take from one account, so that none is above the balance.
const MINTED: i64 = 100_000;
const AMOUNT_MAX: u64 = 100;
const _: () = assert!(MINTED as u64 >= TRANSFERS * AMOUNT_MAX);

/// What came of the transfers on one backend.
#[derive(Debug, Serialize)]
struct Row {
    backend: String,
    durability: Durability,
    seconds: f64,
    digest: String,
}

pub(super) fn token(workplace: &Workplace<'_>) -> Outcome {
    let backends = available(workplace)?;
    let progress = ProgressBar::new(backends.len() as u64 * TRANSFERS);
    let style = ProgressStyle::with_template("  {msg:<10} {wide_bar} {pos}/{len}");
    progress.set_style(style.expect("the template is well formed"));
    let mut rows = Vec::new();
    for backend in backends {
        progress.set_message(backend.clone());
        let on_backend = |report: Report| report.cause(format!("while on the backend {backend}"));
        let row = drive(workplace, &backend, &progress).map_err(|failure| match failure {
            Failure::Failed(report) => Failure::failed(on_backend(*report)),
            other => other,
        });
        rows.push(row?);
    }
    progress.finish_and_clear();
    let digests: Vec<_> = rows.iter().map(|row| row.digest.as_str()).collect();
    if digests.windows(2).any(|pair| pair[0] != pair[1]) {
        let lines = lines(&rows).join("\n");
        return Err(Failure::failed(Report::new(format!("the state digests differ\n{lines}"))));
    }
    let mut lines = lines(&rows);
    lines.push(format!("{} backends, one digest", rows.len()));
    Ok((lines, json!({ "transfers": TRANSFERS, "accounts": ACCOUNTS, "backends": rows })))
}

/// Every storage backend that can be used, linked in or found.
fn available(workplace: &Workplace<'_>) -> Result<Vec<String>, Failure> {
    let listings = Registry::new(&workplace.profile.plugins)?.list();
    let usable = listings.into_iter().filter(|listing| {
        listing.kind == Some(PluginKind::Storage) && listing.problem.is_none() && !listing.shadowed
    });
    Ok(usable.map(|listing| listing.name).collect())
}

fn drive(workplace: &Workplace<'_>, backend: &str, progress: &ProgressBar) -> Result<Row, Failure> {
    let node = workplace.node(backend)?;
    let ledger = node.deploy(LEDGER)?;
    let mints: Vec<_> = (0..ACCOUNTS as i64)
        .map(|account| transaction(ledger, "mint", &[account, MINTED]))
        .collect();
    run(&node, 1, &mints)?;
    let transfers: Vec<_> =
        (0..TRANSFERS).map(|number| transaction(ledger, "transfer", &transfer(number))).collect();
    let started = Instant::now();
    for (transfers, number) in transfers.chunks(BLOCK_TRANSFERS).zip(2..) {
        run(&node, number, transfers)?;
        progress.inc(transfers.len() as u64);
    }
    let elapsed: Duration = started.elapsed();
    let module = node.runtime().module(LEDGER)?;
    let mut sum = 0;
    for account in 0..ACCOUNTS as i64 {
        let arguments = CallArguments::Values(vec![account]);
        let context = CallContext::default();
        let receipt = node.runtime().call(&module, "balance", &arguments, &context)?;
        check_trap("balance", &receipt)?;
        sum += receipt.result.unwrap_or_default();
    }
    expect("the sum of all balances", &sum, &(ACCOUNTS as i64 * MINTED))?;
    let digest = node.history().latest()?.digest()?.to_string();
    let durability = node.durability();
    node.close()?;
    Ok(Row { backend: backend.to_owned(), durability, seconds: elapsed.as_secs_f64(), digest })
}

/// The arguments of a transfer: scattered, and the same in every run.
fn transfer(number: u64) -> [i64; 3] {
    let scattered = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let from = (scattered >> 32) % ACCOUNTS;
    let to = (scattered >> 40) % ACCOUNTS;
    let amount = 1 + (scattered >> 48) % AMOUNT_MAX;
    [from as i64, to as i64, amount as i64]
}

fn transaction(contract: Address, function: &str, arguments: &[i64]) -> BlockTransaction {
    BlockTransaction {
        contract,
        function: function.to_owned(),
        arguments: CallArguments::Values(arguments.to_vec()),
        sender: Address::default(),
        gas_limit: GAS_LIMIT_DEFAULT,
        access: None,
    }
}

/// Runs a block in which everything has to succeed.
fn run(node: &Node, number: u64, transactions: &[BlockTransaction]) -> Result<(), Failure> {
    let ran = node.run_block(Block { number, timestamp: number }, transactions)?;
    let receipts = ran.receipts.iter().zip(transactions);
    receipts
        .into_iter()
        .try_for_each(|(receipt, transaction)| check_trap(&transaction.function, receipt))
}

fn lines(rows: &[Row]) -> Vec<String> {
    let row = |row: &Row| {
        let durability = match row.durability {
            Durability::Synced => "synced",
            Durability::Buffered => "buffered",
        };
        let rate = TRANSFERS as f64 / row.seconds;
        format!(
            "{:<10} {durability:<10} {:>7.3} s {rate:>9.0}/s  {}",
            row.backend, row.seconds, row.digest
        )
    };
    let head = format!(
        "{:<10} {:<10} {:>9} {:>11}  {}",
        "backend", "durability", "time", "transfers", "state digest"
    );
    std::iter::once(head).chain(rows.iter().map(row)).collect()
}
