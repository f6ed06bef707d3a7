//! `supervm run`: one call of a contract.

use super::arguments::RunArguments;
use super::bytes::{hex, parse_digits, printable, shown, single_line};
use super::failure::{Failure, Report};
use super::output::{GOOD, Output, paint};
use serde::Serialize;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use supervm_engine::runtime::{CallArguments, CallContext, Event, Module, Receipt, Trap};
use supervm_engine::state::StateKey;
use supervm_tiers::Node;

/// Largest file that is read as a contract, bytes; the configured bounds are below it.
const CONTRACT_FILE_BYTES_MAX: u64 = 256 << 20;

/// What `run --json` prints.
#[derive(Debug, Serialize)]
struct RunReport {
    contract: String,
    function: String,
    backend: String,
    /// What the function returned; absent for a function without a result, and after a trap.
    result: Option<i64>,
    output: String,
    events: Vec<EventReport>,
    gas_used: u64,
    reads: Vec<KeyReport>,
    writes: Vec<WriteReport>,
    /// Why the call changed nothing.
    trap: Option<TrapReport>,
}

/// An event: its bytes, and its text when they are printable text.
#[derive(Debug, Serialize)]
struct EventReport {
    contract: String,
    data: String,
    text: Option<String>,
}

#[derive(Debug, Serialize)]
struct KeyReport {
    contract: String,
    key: String,
    key_text: Option<String>,
}

#[derive(Debug, Serialize)]
struct WriteReport {
    #[serde(flatten)]
    key: KeyReport,
    /// Absent when the key was deleted.
    value: Option<String>,
}

#[derive(Debug, Serialize)]
struct TrapReport {
    name: &'static str,
    message: String,
    #[serde(flatten)]
    details: serde_json::Value,
}

/// Deploys when needed, calls, commits and prints the receipt.
pub(crate) fn run(arguments: RunArguments, output: &mut Output) -> Result<(), Failure> {
    let call_arguments = call_arguments(&arguments.arguments)?;
    let code = read_contract(&arguments.contract)?;
    let node = arguments.profile.node(arguments.gas)?;
    let context = CallContext {
        block_number: arguments.block,
        timestamp: arguments.timestamp,
        caller: arguments.sender.unwrap_or_default(),
        gas_limit: node.profile().execution.gas_limit,
        read_only: false,
    };
    let receipt = node.run(&code, &arguments.function, &call_arguments, &context)?;
    let module = node.runtime().module(&code)?;
    let report = RunReport::new(&node, &module, &arguments.function, &receipt);
    node.close()?;
    let shown =
        if output.is_json() { output.object(&report) } else { report.print(&receipt, output) };
    let is_committed = receipt.trap.is_none();
    shown.and_then(|()| output.finish()).map_err(|failure| match failure {
        Failure::Failed(report) if is_committed => {
            Failure::failed(report.hint("the call was committed all the same; do not repeat it"))
        }
        failure => failure,
    })?;
    match &receipt.trap {
        None => Ok(()),
        Some(_) if output.is_json() => Err(Failure::Reported),
        Some(trap @ (Trap::MissingExport { .. } | Trap::BadArguments { .. })) => {
            let exports = module.exports().map(|(name, signature)| format!("{name}{signature}"));
            let exports =
                format!("the contract exports {}", exports.collect::<Vec<_>>().join(", "));
            Err(trapped(&arguments.function, trap, &exports))
        }
        Some(trap) => Err(trapped(&arguments.function, trap, "nothing was changed")),
    }
}

/// The file's bytes, when it is not larger than any contract may be.
fn read_contract(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut code = Vec::new();
    let file = File::open(path);
    let read = file.and_then(|file| file.take(CONTRACT_FILE_BYTES_MAX + 1).read_to_end(&mut code));
    read.map_err(|error| {
        let message = format!("cannot read the contract {}", path.display());
        Failure::failed(Report::new(message).cause(error))
    })?;
    if code.len() as u64 > CONTRACT_FILE_BYTES_MAX {
        let message = format!(
            "{} is larger than the {CONTRACT_FILE_BYTES_MAX} bytes that a contract's file may have",
            path.display()
        );
        return Err(Failure::failed(Report::new(message)));
    }
    Ok(code)
}

/// Integers, or one input in hex digits.
fn call_arguments(texts: &[String]) -> Result<CallArguments, Failure> {
    let usage = |message: String| Failure::usage(Report::new(message));
    if let [text] = texts
        && let Some(digits) = text.strip_prefix("0x")
    {
        return parse_digits(digits).map(CallArguments::Input).map_err(usage);
    }
    let value = |text: &String| {
        text.parse::<i64>().map_err(|_| {
            usage(format!(
                "\"{text}\" is no argument; expected integers of 64 bits, or one 0x.. with the bytes of the input"
            ))
        })
    };
    texts.iter().map(value).collect::<Result<_, _>>().map(CallArguments::Values)
}

/// A call that ended in a trap, as a failure.
fn trapped(function: &str, trap: &Trap, hint: &str) -> Failure {
    let message = format!("\"{function}\" ended in the trap {}: {trap}", trap.name());
    Failure::failed(Report::new(single_line(&message)).hint(single_line(hint)))
}

impl RunReport {
    fn new(node: &Node, module: &Module, function: &str, receipt: &Receipt) -> Self {
        let key = |key: &StateKey| KeyReport {
            contract: hex(&key.contract),
            key: hex(&key.key),
            key_text: printable(&key.key).map(str::to_owned),
        };
        let write = |(state_key, value): (&StateKey, &Option<Vec<u8>>)| WriteReport {
            key: key(state_key),
            value: value.as_deref().map(hex),
        };
        Self {
            contract: hex(&module.address()),
            function: function.to_owned(),
            backend: node.storage().backend_name().to_owned(),
            result: receipt.result,
            output: hex(&receipt.output),
            events: receipt.events.iter().map(EventReport::new).collect(),
            gas_used: receipt.gas_used,
            reads: receipt.reads.iter().map(key).collect(),
            writes: receipt.writes.iter().map(write).collect(),
            trap: receipt.trap.as_ref().map(TrapReport::new),
        }
    }

    fn print(&self, receipt: &Receipt, output: &mut Output) -> Result<(), Failure> {
        output.field("contract", &self.contract)?;
        if let Some(result) = self.result {
            output.field("result", paint(GOOD, result))?;
        }
        if !receipt.output.is_empty() {
            output.field("output", &self.output)?;
        }
        for event in &receipt.events {
            output.field("event", shown(&event.data))?;
        }
        output.field("gas used", self.gas_used)?;
        output.field("writes", receipt.writes.len())?;
        for (key, value) in &receipt.writes {
            let value = value.as_deref().map_or_else(|| "deleted".to_owned(), shown);
            output.line(format_args!("  {} = {value}", shown(&key.key)))?;
        }
        Ok(())
    }
}

impl EventReport {
    fn new(event: &Event) -> Self {
        Self {
            contract: hex(&event.contract),
            data: hex(&event.data),
            text: printable(&event.data).map(str::to_owned),
        }
    }
}

impl TrapReport {
    fn new(trap: &Trap) -> Self {
        let mut details = serde_json::to_value(trap).unwrap_or_default();
        if let Some(fields) = details.as_object_mut() {
            fields.remove("name");
            fields.remove("message");
        }
        Self { name: trap.name(), message: trap.to_string(), details }
    }
}
