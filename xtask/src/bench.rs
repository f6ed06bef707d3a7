//! Running every benchmark and writing down what it measured.

use crate::steps;
use anyhow::{Context, Result, ensure};
use clap::Subcommand;
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The workspace of benchmarks against other projects' crates; the main build never compiles them.
const PEERS: &str = "bench/Cargo.toml";
const PAGE: &str = "docs/benchmarks.md";
/// Around the sections of [`PAGE`] that a [`Comparison`] writes.
const SECTIONS: (&str, &str) = ("<!-- written by", "end -->");

/// A benchmark that is a program of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum Comparison {
    /// Compare each database's own crate with SuperVM's backend, linked in and loaded: what the plugin boundary costs.
    #[command(disable_help_flag = true)]
    Boundary {
        /// Passed on; `--help` lists what there is.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure blocks on two threads against one, with made-up transactions and with token transfers.
    #[command(disable_help_flag = true)]
    Block {
        /// Passed on; `--help` lists what there is.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Measure transactions in memory against surrealmx, and durable commits on RocksDB.
    #[command(disable_help_flag = true)]
    Mvcc {
        /// Passed on; `--help` lists what there is.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Runs one comparison.
pub(crate) fn compare(comparison: &Comparison) -> Result<()> {
    let (program, features, arguments) = match comparison {
        Comparison::Boundary { arguments } => ("boundary", database_features(arguments), arguments),
        Comparison::Mvcc { arguments } => ("mvcc", "mvcc,rocksdb".to_owned(), arguments),
        Comparison::Block { arguments } => ("block", "block,rocksdb".to_owned(), arguments),
    };
    let mut run = vec!["run", "--release", "--manifest-path", PEERS, "--bin", program];
    run.extend(["--features", &features, "--"]);
    run.extend(arguments.iter().map(String::as_str));
    steps::cargo(&run)
}

/// The databases that take minutes to compile, as far as `arguments` ask for them.
fn database_features(arguments: &[String]) -> String {
    let asks_for_some = arguments.iter().any(|argument| argument.starts_with("--backend"));
    let is_wanted =
        |name: &&str| !asks_for_some || arguments.iter().any(|argument| argument.ends_with(name));
    ["leveldb", "rocksdb"].into_iter().filter(is_wanted).collect::<Vec<_>>().join(",")
}

/// Runs the benchmarks of both workspaces. Without a filter, [`PAGE`] is written anew.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    let mut figures = Vec::new();
    for manifest in ["Cargo.toml", PEERS] {
        figures.extend(run_workspace(manifest, filter)?);
    }
    ensure!(!figures.is_empty(), "no benchmark ran; see `cargo bench -- --list` for their names");
    figures.sort_by(|a, b| a.name.cmp(&b.name));
    let mut page = page(&figures)?;
    if filter.is_some() {
        println!("{page}");
        return Ok(());
    }
    let path = steps::repository().join(PAGE);
    if let Ok(before) = fs::read_to_string(&path) {
        page.push_str(&other_sections(&before));
    }
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// One benchmark's result; times in nanoseconds.
struct Figure {
    name: String,
    median: f64,
    low: f64,
    high: f64,
    per_second: Option<(f64, &'static str)>,
}

fn run_workspace(manifest: &str, filter: Option<&str>) -> Result<Vec<Figure>> {
    let metadata = steps::metadata(manifest)?;
    let target = steps::target_dir(manifest)?;
    let started = SystemTime::now();
    for (package, bench) in benches(&metadata) {
        let mut arguments =
            vec!["bench", "--manifest-path", manifest, "--package", &package, "--bench", &bench];
        if let Some(filter) = filter {
            arguments.extend(["--", filter]);
        }
        steps::cargo(&arguments)?;
    }
    let mut figures = Vec::new();
    let report = target.join("criterion");
    collect(&report, started, &mut figures)?;
    if !figures.is_empty() {
        println!("report: {}", report.join("report/index.html").display());
    }
    Ok(figures)
}

fn benches(metadata: &Value) -> Vec<(String, String)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for package in list(&metadata["packages"]) {
        let targets = list(&package["targets"]);
        let benches =
            targets.iter().filter(|target| list(&target["kind"]).contains(&"bench".into()));
        found.extend(benches.map(|bench| (text(&package["name"]), text(&bench["name"]))));
    }
    found
}

/// Reads what criterion left below `dir` since `started`.
fn collect(dir: &Path, started: SystemTime, figures: &mut Vec<Figure>) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry?.path();
        let estimates = path.join("estimates.json");
        let is_new = path.ends_with("new")
            && fs::metadata(&estimates)
                .and_then(|file| file.modified())
                .is_ok_and(|at| at >= started);
        if is_new {
            figures.push(figure(&path)?);
        } else if path.is_dir() {
            collect(&path, started, figures)?;
        }
    }
    Ok(())
}

fn figure(dir: &Path) -> Result<Figure> {
    let (about, estimates) = (json(dir.join("benchmark.json"))?, json(dir.join("estimates.json"))?);
    let number = |value: &Value| value.as_f64().context("criterion's estimate is no number");
    let median = &estimates["median"];
    let nanoseconds = number(&median["point_estimate"])?;
    let interval = &median["confidence_interval"];
    let rate = |units: &Value| units.as_f64().map(|units| units * 1e9 / nanoseconds);
    let throughput = &about["throughput"];
    Ok(Figure {
        name: about["full_id"].as_str().context("criterion's benchmark has no name")?.to_owned(),
        median: nanoseconds,
        low: number(&interval["lower_bound"])?,
        high: number(&interval["upper_bound"])?,
        per_second: rate(&throughput["Elements"])
            .map(|rate| (rate, "/s"))
            .or_else(|| rate(&throughput["Bytes"]).map(|rate| (rate, "B/s"))),
    })
}

fn json(path: PathBuf) -> Result<Value> {
    let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} does not parse", path.display()))
}

fn page(figures: &[Figure]) -> Result<String> {
    let mut page = String::from(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench`; criterion's HTML report lies in `criterion/report/index.html` of the target directory.\n\
         Times are medians with their 95% interval. They are one machine's, and a shared machine is noisy: compare figures of one\n\
         table, not of two.\n\n",
    );
    for (what, value) in machine()? {
        writeln!(page, "- {what}: {value}")?;
    }
    page.push_str("\n| benchmark | median | 95% interval | rate |\n|---|---:|---:|---:|\n");
    for figure in figures {
        let rate = figure.per_second.map(|(rate, unit)| format!("{}{unit}", scaled(rate)));
        writeln!(
            page,
            "| {} | {} | {} .. {} | {} |",
            figure.name,
            duration(figure.median),
            duration(figure.low),
            duration(figure.high),
            rate.unwrap_or_default()
        )?;
    }
    Ok(page)
}

/// What others wrote into `page`, from the first of their marks to the last.
fn other_sections(page: &str) -> String {
    let (begin, end) = SECTIONS;
    let Some((start, last)) = page.find(begin).zip(page.rfind(end)) else {
        return String::new();
    };
    page.get(start..last + end.len()).map_or_else(String::new, |sections| format!("\n{sections}\n"))
}

fn machine() -> Result<Vec<(&'static str, String)>> {
    let field = |file: &str, name: &str| -> Result<String> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        Ok(line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned())
    };
    let rustc = Command::new("rustc").arg("--version").output().context("cannot run rustc")?;
    Ok(vec![
        ("processor", field("/proc/cpuinfo", "model name")?),
        ("cores", std::thread::available_parallelism()?.to_string()),
        ("memory", field("/proc/meminfo", "MemTotal")?),
        ("compiler", String::from_utf8_lossy(&rustc.stdout).trim().to_owned()),
        ("command", "`cargo xtask bench`".to_owned()),
    ])
}

fn duration(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "us"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    format!("{} {unit}", three_digits(value))
}

fn scaled(value: f64) -> String {
    let (value, unit) = match value {
        value if value < 1e3 => (value, ""),
        value if value < 1e6 => (value / 1e3, "K"),
        value if value < 1e9 => (value / 1e6, "M"),
        value => (value / 1e9, "G"),
    };
    format!("{} {unit}", three_digits(value))
}

fn three_digits(value: f64) -> String {
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::{database_features, duration, other_sections, scaled};

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        let shown: Vec<_> = [8.4211, 26.04e3, 123.4e6, 1.5e9].map(duration).into();
        assert_eq!(shown, ["8.42 ns", "26.0 us", "123 ms", "1.50 s"]);
    }

    #[test]
    fn rates_have_three_digits_and_a_scale() {
        assert_eq!([512.0, 38_400.0, 2.5e6].map(scaled), ["512 ", "38.4 K", "2.50 M"]);
    }

    #[test]
    fn the_page_keeps_what_another_program_wrote() {
        let section = "<!-- written by x: begin -->\n\ntable\n\n<!-- written by x: end -->";
        let page = format!("# Benchmarks\n\nfigures\n\n{section}\n");
        assert_eq!(other_sections(&page), format!("\n{section}\n"));
        assert_eq!(other_sections("# Benchmarks\n"), "");
    }

    #[test]
    fn a_database_is_compiled_when_it_is_asked_for_or_nothing_is() {
        let features = |arguments: &[&str]| {
            database_features(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(features(&["--rounds", "30"]), "leveldb,rocksdb");
        assert_eq!(features(&["--backend", "lmdb"]), "");
        assert_eq!(features(&["--backend", "lmdb", "--backend=rocksdb"]), "rocksdb");
    }
}
