//! The command line of `supervm-conformance`.

use crate::case::{Case, Profile};
use crate::cases;
use crate::document;
use crate::job::take_over_if_child;
use crate::progress::{Progress, print_line};
use crate::report::{FORMATS, Report};
use crate::run::Run;
use crate::target::Target;
use clap::{Args, Parser, Subcommand};
use std::fs;
use std::path::PathBuf;
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
    /// Write docs/conformance.md: the cases, and what came of runs.
    Document(DocumentOptions),
}

#[derive(Debug, Args)]
struct DocumentOptions {
    /// JSON reports of whole runs, one for each backend.
    #[arg(value_name = "REPORT")]
    reports: Vec<PathBuf>,
    /// Write to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only tell whether this page is current, apart from its sections about backends; exit code 1 when it is not.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["reports", "output"])]
    check: Option<PathBuf>,
    /// Bring this page up to date with the cases and leave its sections about backends.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["reports", "output", "check"])]
    refresh: Option<PathBuf>,
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
    /// Let a limit on the size of files stand for a full disk, as happens by itself where no small disk may be mounted.
    #[arg(long)]
    limit_files: bool,
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
        Action::Document(options) => write_page(&options),
    };
    done.unwrap_or_else(|message| {
        eprintln!("error: {message}");
        ExitCode::from(USAGE)
    })
}

fn list(prefixes: &[String]) -> Result<ExitCode, String> {
    for case in selected(prefixes)? {
        let clauses: Vec<_> = case.clauses.iter().map(u8::to_string).collect();
        print_line(format_args!("{:<44} {:<18} {}", case.id, clauses.join(","), case.rule));
    }
    Ok(ExitCode::SUCCESS)
}

fn write_page(options: &DocumentOptions) -> Result<ExitCode, String> {
    let read = |path: &PathBuf| {
        fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))
    };
    if let Some(path) = &options.check {
        if document::is_current(&read(path)?) {
            return Ok(ExitCode::SUCCESS);
        }
        eprintln!(
            "{} is not what the cases say; bring it up to date with `document --refresh`",
            path.display()
        );
        return Ok(ExitCode::from(FAILED));
    }
    let write = |path: &PathBuf, page: &str| {
        fs::write(path, page).map_err(|error| format!("write {}: {error}", path.display()))
    };
    if let Some(path) = &options.refresh {
        let page = document::refreshed(&read(path)?).map_err(|error| error.to_string())?;
        write(path, &page)?;
        return Ok(ExitCode::SUCCESS);
    }
    let reports = options.reports.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let page = document::page(&reports).map_err(|error| error.to_string())?;
    match &options.output {
        Some(path) => write(path, &page)?,
        None => print!("{page}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn run(options: &RunOptions, seed: Option<u64>) -> Result<ExitCode, String> {
    let mut run = Run::new(target(options)?);
    run.seed = seed.unwrap_or(run.seed);
    run.profile = options.profile;
    run.jobs = options.jobs.map_or(run.jobs, usize::from);
    run.deadline_seconds = options.deadline;
    run.limits_files = options.limit_files;
    let cases = selected(&options.case)?;
    if !options.json {
        print_line(format_args!(
            "{} cases, profile {:?}, seed {}",
            cases.len(),
            run.profile,
            run.seed
        ));
    }
    let progress = Progress::new(cases.len(), options.json);
    let executed = run.execute(&cases, |case| progress.show(case));
    progress.finish();
    let report = match executed {
        Ok(report) => report,
        Err(error) if is_usage(&error) => return Err(error.to_string()),
        Err(error) => {
            eprintln!("failed: {error}");
            return Ok(ExitCode::from(FAILED));
        }
    };
    for path in &options.report {
        report.write(path).map_err(|error| error.to_string())?;
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

/// Did the caller name a plugin, an option or a value that does not exist?
fn is_usage(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConfigInvalid | ErrorKind::NotFound | ErrorKind::InvalidArgument
    )
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

fn selected(prefixes: &[String]) -> Result<Vec<&'static Case>, String> {
    cases::select(prefixes).map_err(|error| error.message().to_owned())
}

fn report_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json" | "xml" | "md") => Ok(path),
        _ => Err(FORMATS.into()),
    }
}
