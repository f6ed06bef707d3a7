//! `supervm block run`.

use super::super::failure::{Failure, LeftBehind, Report};
use super::super::meter::Meter;
use super::super::output::Output;
use super::arguments::RunArguments;
use serde::Serialize;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use supervm_engine::block::BlockStats;
use supervm_engine::mvcc::Block;
use supervm_engine::runtime::{BlockReceipts, Receipt};
use supervm_plugin_sdk::host::Address;
use supervm_tiers::Node;
use supervm_tiers::workload::{BlockLine, Line, LineError, Lines};

/// Transactions that are expected are told anew when they are so much more or less.
const ESTIMATE_TOLERANCE: f64 = 0.02;

/// What the command prints.
#[derive(Debug, Serialize)]
struct RunReport {
    file: String,
    backend: String,
    threads: usize,
    blocks: Vec<BlockReport>,
    /// Blocks that the state had already.
    skipped_blocks: u64,
    transactions: u64,
    /// Transactions that ended in a trap.
    failed: u64,
    gas_used: u64,
    /// Running and committing, without reading the file.
    seconds: f64,
    transactions_per_second: f64,
    gas_per_second: f64,
    stats: BlockStats,
    /// Of the state after the last block.
    digest: Option<String>,
}

#[derive(Debug, Serialize)]
struct BlockReport {
    number: u64,
    transactions: usize,
    failed: u64,
    gas_used: u64,
    version: u64,
    digest: String,
}

#[derive(Serialize)]
struct ReceiptLine<'a> {
    block: u64,
    transaction: usize,
    #[serde(flatten)]
    receipt: &'a Receipt,
}

/// A file of blocks being run.
struct Runner {
    node: Node,
    contracts: HashMap<String, Address>,
    receipts: Option<BufWriter<File>>,
    resume: bool,
    blocks: Vec<BlockReport>,
    skipped_blocks: u64,
    stats: BlockStats,
    time: Duration,
}

pub(super) fn run(arguments: &RunArguments, output: &mut Output) -> Result<(), Failure> {
    let (reader, file_bytes) = open(&arguments.file)?;
    let receipts = arguments.receipts.as_deref().map(create).transpose()?;
    let mut runner = Runner {
        node: arguments.profile.block_node(arguments.threads)?,
        contracts: HashMap::new(),
        receipts,
        resume: arguments.resume,
        blocks: Vec::new(),
        skipped_blocks: 0,
        stats: BlockStats::default(),
        time: Duration::ZERO,
    };
    let mut meter = Meter::new(output);
    meter.begin("running", "transactions", None);
    let mut lines = Lines::new(reader);
    let mut expected = 0.0;
    while let Some(line) = lines.next() {
        runner.line(line, lines.number())?;
        let done = runner.stats.transactions;
        meter.set(done, 0);
        if let Some(bytes) = file_bytes {
            let estimate = done as f64 * bytes as f64 / lines.bytes() as f64;
            if (estimate - expected).abs() > ESTIMATE_TOLERANCE * expected {
                expected = estimate;
                meter.expect(estimate as u64);
            }
        }
    }
    meter.end();
    let report = runner.finish(&arguments.file)?;
    if output.is_json() { output.object(&report) } else { report.print(output) }
}

/// The file, or standard input, and how many bytes it has where that is known.
fn open(path: &Path) -> Result<(Box<dyn BufRead>, Option<u64>), Failure> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin().lock()), None));
    }
    let opened = File::open(path).and_then(|file| {
        let metadata = file.metadata()?;
        Ok((file, metadata.is_file().then_some(metadata.len())))
    });
    let (file, bytes) = opened.map_err(|error| {
        Failure::failed(Report::new(format!("cannot read {}", path.display())).cause(error))
    })?;
    Ok((Box::new(BufReader::with_capacity(1 << 20, file)), bytes))
}

fn create(path: &Path) -> Result<BufWriter<File>, Failure> {
    File::create_new(path).map(BufWriter::new).map_err(|error| {
        let report = Report::new(format!("cannot write the receipts to {}", path.display()));
        Failure::failed(report.cause(error).hint("name a file that does not exist"))
    })
}

impl Runner {
    fn line(&mut self, line: Result<Line, LineError>, number: u64) -> Result<(), Failure> {
        let line = line.map_err(|error| self.failed(number, Report::new(error.message)))?;
        let done = match line {
            Line::Deploy { name, code } => self.deploy(name, &code),
            Line::Block(block) => self.block(&block),
        };
        done.map_err(|report| self.failed(number, report))
    }

    /// Says in which line it failed, and what is committed.
    fn failed(&self, line: u64, mut report: Report) -> Failure {
        report.message = format!("line {line}: {}", report.message);
        let report = match self.blocks.last() {
            _ if report.effect == Some(LeftBehind::Unknown) => report.hint(
                "the block of this line may be there already; --resume passes over it if it is, and goes on",
            ),
            Some(last) if report.hint.is_none() => {
                let last = last.number;
                report.hint(format!(
                    "the blocks up to {last} are committed; --resume goes on after them"
                ))
            }
            _ => report,
        };
        Failure::failed(report)
    }

    fn deploy(&mut self, name: String, code: &str) -> Result<(), Report> {
        let code = match code.strip_prefix("0x") {
            Some(digits) => super::super::bytes::parse_digits(digits).map_err(Report::new)?,
            None => code.as_bytes().to_vec(),
        };
        let address = self.node.deploy(&code).map_err(|error| Report::from(&error))?;
        self.contracts.insert(name, address);
        Ok(())
    }

    fn block(&mut self, block: &BlockLine) -> Result<(), Report> {
        let last = self.node.store().last_block().map(|last| last.number);
        if let Some(last) = last.filter(|last| block.number <= *last) {
            if self.resume {
                self.skipped_blocks += 1;
                return Ok(());
            }
            let message = format!("block {} is not above the last one, {last}", block.number);
            let hint =
                format!("--resume passes over the blocks up to {last}; or name another --dir");
            return Err(Report::new(message).hint(hint));
        }
        let gas_limit = self.node.profile().execution.gas_limit;
        let mut transactions = Vec::with_capacity(block.transactions.len());
        for (index, call) in block.transactions.iter().enumerate() {
            let transaction = call.transaction(&self.contracts, gas_limit);
            transactions.push(transaction.map_err(|message| {
                Report::new(format!("transaction {index} of block {}: {message}", block.number))
            })?);
        }
        let header = Block { number: block.number, timestamp: block.timestamp };
        let start = Instant::now();
        let result = self.node.run_block(header, &transactions);
        self.time += start.elapsed();
        let result = result.map_err(|error| Report::from(&error))?;
        self.note(block.number, &result)
    }

    fn note(&mut self, number: u64, result: &BlockReceipts) -> Result<(), Report> {
        let receipts = &result.receipts;
        self.stats.add(&result.stats);
        self.blocks.push(BlockReport {
            number,
            transactions: receipts.len(),
            failed: receipts.iter().filter(|receipt| receipt.trap.is_some()).count() as u64,
            gas_used: receipts.iter().map(|receipt| receipt.gas_used).sum(),
            version: result.version.0,
            digest: hex::encode(result.digest),
        });
        let Some(file) = &mut self.receipts else { return Ok(()) };
        let written = receipts.iter().enumerate().try_for_each(|(transaction, receipt)| {
            serde_json::to_writer(
                &mut *file,
                &ReceiptLine { block: number, transaction, receipt },
            )?;
            file.write_all(b"\n")
        });
        written.map_err(|error| Report::new("cannot write the receipts").cause(error))
    }

    fn finish(self, file: &Path) -> Result<RunReport, Failure> {
        let Self { node, receipts, blocks, skipped_blocks, stats, time, .. } = self;
        if let Some(mut receipts) = receipts {
            receipts.flush()?;
        }
        let seconds = time.as_secs_f64();
        let rate = |count: u64| if count == 0 { 0.0 } else { count as f64 / seconds };
        let gas_used = blocks.iter().map(|block| block.gas_used).sum();
        let report = RunReport {
            file: file.display().to_string(),
            backend: node.storage().backend_name().to_owned(),
            threads: node.block_threads()?,
            skipped_blocks,
            transactions: stats.transactions,
            failed: blocks.iter().map(|block| block.failed).sum(),
            gas_used,
            seconds,
            transactions_per_second: rate(stats.transactions),
            gas_per_second: rate(gas_used),
            stats,
            digest: node.store().last_block().map(|last| hex::encode(last.digest)),
            blocks,
        };
        node.close()?;
        Ok(report)
    }
}

impl RunReport {
    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        let BlockStats { transactions, reruns, .. } = self.stats;
        let percent = self.stats.rerun_rate() * 100.0;
        let mut fields = vec![
            ("backend", self.backend.clone()),
            ("threads", self.threads.to_string()),
            ("blocks", self.blocks.len().to_string()),
        ];
        if self.skipped_blocks > 0 {
            fields.push(("skipped", format!("{} blocks, which were there", self.skipped_blocks)));
        }
        fields.extend([
            ("transactions", format!("{transactions}, {} failed", self.failed)),
            ("time", format!("{:.3} s", self.seconds)),
            ("throughput", format!("{:.0} transactions/s", self.transactions_per_second)),
            ("re-runs", format!("{reruns} ({percent:.1}%)")),
            ("gas", format!("{} ({:.0}/s)", self.gas_used, self.gas_per_second)),
        ]);
        if let Some(digest) = &self.digest {
            fields.push(("digest", digest.clone()));
        }
        output.fields(&fields)
    }
}
