//! The command line of `supervm-conformance`.

use crate::case::{Case, Profile};
use crate::cases;
use crate::job::{Outcome, take_over_if_child};
use crate::report::{CaseReport, Report};
use crate::run::Run;
use crate::target::Target;
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use supervm_plugin_sdk::{Error, ErrorKind};

const FAILED: u8 = 1;
const USAGE: u8 = 2;

/// Prove that a storage backend keeps SuperVM's storage contract.
#[derive(Debug, Parser)]
#[command(name = "supervm-conformance", version)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run the cases on a backend; exit code 0 passed, 1 failed, 2 wrong usage.
    Run {
        #[command(flatten)]
        options: RunOptions,
        /// Decides all test data; a new one is chosen and printed when it is not given.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Repeat a run by its seed.
    Replay {
        #[command(flatten)]
        options: RunOptions,
        /// The seed that the run printed.
        #[arg(long)]
        seed: u64,
    },
    /// Print every case: id, clauses, rule.
    List {
        /// Only cases whose id begins with this.
        #[arg(long)]
        case: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct RunOptions {
    #[command(flatten)]
    backend: BackendOptions,
    /// A TOML file with the backend's options.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How thorough.
    #[arg(long, value_enum, default_value_t)]
    profile: Profile,
    /// Only cases whose id begins with this; may be repeated.
    #[arg(long)]
    case: Vec<String>,
    /// Write the report to this file: .json, .xml (JUnit) or .md; may be repeated.
    #[arg(long, value_name = "FILE", value_parser = report_path)]
    report: Vec<PathBuf>,
    /// Print the report as JSON instead of lines for people.
    #[arg(long)]
    json: bool,
    /// Child processes at once; one for each processor when it is not given.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Seconds that each case may take, instead of its own deadline.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    deadline: Option<u64>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct BackendOptions {
    /// The plugin's shared library.
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// A backend by name: linked in, or libsupervm_storage_NAME.so beside this program.
    #[arg(long, value_name = "NAME")]
    backend: Option<String>,
}

/// The whole program.
pub fn main() -> ExitCode {
    take_over_if_child();
    let done = match Command::parse().action {
        Action::Run { options, seed } => run(&options, seed),
        Action::Replay { options, seed } => run(&options, Some(seed)),
        Action::List { case } => list(&case),
    };
    done.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::from(USAGE)
    })
}

fn list(prefixes: &[String]) -> Result<ExitCode, String> {
    for case in selected(prefixes)? {
        let clauses: Vec<_> = case.clauses.iter().map(u8::to_string).collect();
        let clauses = if clauses.is_empty() { "-".to_owned() } else { clauses.join(",") };
        print_line(format_args!("{:<44} {clauses:<18} {}", case.id, case.rule));
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a line to whoever still reads: `list | head` ends the reading early, which is no failure.
fn print_line(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

fn run(options: &RunOptions, seed: Option<u64>) -> Result<ExitCode, String> {
    let mut run = Run::new(target(options)?);
    run.seed = seed.unwrap_or(run.seed);
    run.profile = options.profile;
    run.jobs = options.jobs.map_or(run.jobs, usize::from);
    run.deadline_seconds = options.deadline;
    let cases = selected(&options.case)?;
    if !options.json {
        print_line(format_args!(
            "{} cases, profile {:?}, seed {}",
            cases.len(),
            run.profile,
            run.seed
        ));
    }
    let bar = progress_bar(cases.len(), options.json);
    let executed = run.execute(&cases, |case| show_case(&bar, case, options.json));
    bar.finish_and_clear();
    let report = match executed {
        Ok(report) => report,
        Err(error) if is_usage(&error) => return Err(error.to_string()),
        Err(error) => {
            eprintln!("failed: {error}");
            return Ok(ExitCode::from(FAILED));
        }
    };
    for path in &options.report {
        write_report(&report, path)?;
    }
    show_report(&report, options.json);
    Ok(if report.certificate.passed { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

fn target(options: &RunOptions) -> Result<Target, String> {
    let target = match (&options.backend.plugin, &options.backend.backend) {
        (Some(path), _) => Target::file(path),
        (None, Some(name)) => named(name)?,
        (None, None) => return Err("name a backend with --plugin or --backend".into()),
    };
    match &options.config {
        Some(path) => {
            let text = fs::read_to_string(path);
            let text = text.map_err(|error| format!("read config {}: {error}", path.display()))?;
            Ok(target.with_options(text))
        }
        None => Ok(target),
    }
}

/// The library of this name beside this program, or else the linked-in backend.
fn named(name: &str) -> Result<Target, String> {
    let program = std::env::current_exe().map_err(|error| format!("find this program: {error}"))?;
    let library = program.with_file_name(format!("libsupervm_storage_{name}.so"));
    Ok(if library.is_file() { Target::file(library) } else { Target::linked(name) })
}

fn selected(prefixes: &[String]) -> Result<Vec<&'static Case>, String> {
    let chosen = |case: &&Case| {
        prefixes.is_empty() || prefixes.iter().any(|prefix| case.id.starts_with(prefix))
    };
    for prefix in prefixes {
        if !cases::all().any(|case| case.id.starts_with(prefix)) {
            return Err(format!(
                "no case begins with \"{prefix}\"; `supervm-conformance list` prints every id"
            ));
        }
    }
    Ok(cases::all().filter(chosen).collect())
}

/// Did the caller name a plugin, an option or a value that does not exist?
fn is_usage(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConfigInvalid | ErrorKind::NotFound | ErrorKind::InvalidArgument
    )
}

fn progress_bar(cases: usize, json: bool) -> ProgressBar {
    if json || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {elapsed} {msg}");
    let style = style.expect("the template is well formed");
    ProgressBar::new(cases as u64).with_style(style)
}

fn show_case(bar: &ProgressBar, case: &CaseReport, json: bool) {
    bar.inc(1);
    bar.set_message(case.id);
    // Under a bar only what is wrong is worth a line.
    if json || (!bar.is_hidden() && !case.outcome.is_failure()) {
        return;
    }
    let line = match &case.outcome {
        Outcome::Passed => format!("passed   {} ({} ms)", case.id, case.duration_ms),
        Outcome::Skipped(reason) => format!("skipped  {}: {reason}", case.id),
        failure => format!(
            "{:<8} {}: {}\n         rule (clause {:?}): {}",
            failure.word(),
            case.id,
            failure.message(),
            case.clauses,
            case.rule
        ),
    };
    bar.suspend(|| print_line(&line));
}

fn show_report(report: &Report, json: bool) {
    if json {
        print_line(report.to_json());
        return;
    }
    for (name, value) in report.certificate.lines() {
        print_line(format_args!("{name:<13} {value}"));
    }
    if report.certificate.counts.executed() == 0 {
        print_line(format_args!("verdict       failed: no case was executed"));
    } else {
        let verdict = if report.certificate.passed { "passed" } else { "failed" };
        print_line(format_args!("verdict       {verdict}"));
    }
}

fn write_report(report: &Report, path: &Path) -> Result<(), String> {
    let text = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xml") => report.to_junit(),
        Some("md") => report.to_markdown(),
        _ => report.to_json(),
    };
    fs::write(path, text).map_err(|error| format!("write report {}: {error}", path.display()))
}

fn report_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json" | "xml" | "md") => Ok(path),
        _ => Err("a report ends in .json, .xml or .md".into()),
    }
}
