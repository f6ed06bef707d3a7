//! The command line: arguments in, one action, an exit code out.
//!
//! Exit codes: 0 done, 1 failed, 2 the arguments are wrong. Results go to stdout, errors and logs to stderr. With `--json` a
//! result is one JSON object on stdout, and an error is one JSON object on stderr.

mod arguments;
mod failure;
mod output;
mod meter;
mod bytes;
mod logging;
mod profile;
mod run;
mod demo;
mod plugin;
mod config;
mod db;
mod block;

use arguments::{Cli, Command};
use clap::{CommandFactory, Parser};
use failure::{Failure, Report};
use output::Output;
use std::process::ExitCode;

/// Reads the arguments, does what they say and reports.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_arguments(&error),
    };
    let json = cli.global.json;
    if let Command::Plugin(arguments) = &cli.command
        && let Some(code) = plugin::as_probe(arguments)
    {
        return code;
    }
    logging::start(&cli.global);
    let mut output = Output::new(json);
    let done = act(cli.command, &mut output).and_then(|()| output.finish());
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // What was printed before the failure belongs before its message.
            let _ = output.finish();
            failure.report(json)
        }
    }
}

/// Help and wrong arguments: clap says what is to be said.
fn refuse_arguments(error: &clap::Error) -> ExitCode {
    let json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && json {
        let text = error.to_string();
        let message = text.trim().trim_start_matches("error: ");
        return Failure::usage(Report::new(message)).report(true);
    }
    error.exit()
}

fn act(command: Command, output: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Run(arguments) => run::run(arguments, output),
        Command::Demo(arguments) => demo::demo(&arguments, output),
        Command::Plugin(arguments) => plugin::plugin(arguments, output),
        Command::Config(arguments) => config::config(arguments, output),
        Command::Db(arguments) => db::db(arguments, output),
        Command::Block(arguments) => block::block(arguments, output),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "supervm", &mut script);
            output.raw(&script)
        }
    }
}
