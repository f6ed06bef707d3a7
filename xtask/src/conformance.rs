//! The conformance suite on every storage plugin's shared library, and a table of what came of it.

use crate::steps;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The plugins of this repository, as `supervm-storage-NAME`.
const BACKENDS: [&str; 5] = ["memory", "rocksdb", "lmdb", "leveldb", "sqlite"];
/// A plugin in a workspace of its own, as somebody else would write it, and its library.
const THIRD_PARTY: (&str, &str) =
    ("examples/third-party-plugin/Cargo.toml", "libsupervm_storage_redb.so");
const COUNTS: [&str; 5] = ["passed", "failed", "crashed", "timed_out", "skipped"];

/// Builds every storage plugin, runs the suite on each library and prints a table at the end.
///
/// Reports are written to `conformance/` in the target directory. A plugin that does not pass fails the task, after all have run.
pub(crate) fn run(profile: &str) -> Result<()> {
    steps::cargo(&["build", "--release", "--workspace"])?;
    let target = steps::target_dir("Cargo.toml")?;
    let (manifest, third_party) = THIRD_PARTY;
    steps::cargo(&["build", "--release", "--manifest-path", manifest])?;
    let library = |backend| format!("libsupervm_storage_{backend}.so");
    let release = target.join("release");
    let mut libraries: Vec<_> =
        BACKENDS.iter().map(|backend| release.join(library(backend))).collect();
    libraries.push(steps::target_dir(manifest)?.join("release").join(third_party));

    let reports = target.join("conformance");
    std::fs::create_dir_all(&reports)?;
    let program = release.join("supervm-conformance");
    let runs: Vec<_> = libraries
        .iter()
        .map(|library| run_suite(&program, library, profile, &reports))
        .collect::<Result<_>>()?;
    print_table(profile, &runs);
    let failed: Vec<_> =
        runs.iter().filter(|run| !run.passed).map(|run| run.plugin.as_str()).collect();
    ensure!(failed.is_empty(), "not conformant: {}", failed.join(", "));
    Ok(())
}

/// What came of one plugin.
struct Run {
    plugin: String,
    counts: [u64; COUNTS.len()],
    seconds: f64,
    passed: bool,
    report: PathBuf,
}

fn run_suite(program: &Path, library: &Path, profile: &str, reports: &Path) -> Result<Run> {
    let name = library.file_stem().unwrap_or_default().to_string_lossy();
    let name = name.trim_start_matches("libsupervm_storage_");
    let report = reports.join(format!("{name}.json"));
    // What an earlier run left must not pass for this one's.
    let _ = std::fs::remove_file(&report);
    let mut command = Command::new(program);
    command.arg("run").arg("--plugin").arg(library).args(["--profile", profile]);
    command.arg("--report").arg(&report);
    // A failure shows in the report, and the other plugins are tested all the same.
    let status = steps::status(&mut command)?;
    let Ok(text) = std::fs::read_to_string(&report) else {
        return Ok(Run {
            plugin: name.to_owned(),
            counts: Default::default(),
            seconds: 0.0,
            passed: false,
            report,
        });
    };
    let json: Value = serde_json::from_str(&text)
        .with_context(|| format!("{} does not parse", report.display()))?;
    let certificate = &json["certificate"];
    let count = |name| certificate["counts"][name].as_u64().unwrap_or_default();
    Ok(Run {
        plugin: name.to_owned(),
        counts: COUNTS.map(count),
        seconds: certificate["duration_ms"].as_f64().unwrap_or_default() / 1e3,
        passed: status.success() && certificate["passed"] == true,
        report,
    })
}

fn print_table(profile: &str, runs: &[Run]) {
    println!("\nconformance, profile {profile}");
    let head = COUNTS.map(|name| format!("{:>9}", name.replace('_', " ")));
    println!("{:<10}{} {:>8}  verdict  report", "plugin", head.concat(), "seconds");
    for run in runs {
        let counts = run.counts.map(|count| format!("{count:>9}")).concat();
        let verdict = if run.passed { "passed" } else { "FAILED" };
        let report = run.report.display();
        println!("{:<10}{counts} {:>8.1}  {verdict:<7}  {report}", run.plugin, run.seconds);
    }
}
