//! The machine, as far as it decides the figures.

use crate::backend::scratch_dir;
use crate::statistics::median;
use serde::Serialize;
use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread::available_parallelism;
use std::time::Instant;

/// Writes of the baseline.
const SYNCS: usize = 50;
/// Bytes of each of them.
const SYNC_BYTES: usize = 4 << 10;

/// What the figures were measured on, and how.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub processor: String,
    /// Processors.
    pub cores: usize,
    /// Memory, as the system says it.
    pub memory: String,
    /// The operating system's name and version.
    pub kernel: String,
    /// The file system that the storages lie on.
    pub file_system: String,
    /// The compiler of this program and of the libraries.
    pub compiler: String,
    /// Processes that wanted to run when it began, on average over a minute: the more above 0, the noisier.
    pub load: String,
    /// Appending 4 KiB to a file and syncing it; microseconds, the median.
    pub fdatasync_us: f64,
    /// What to type for it.
    pub command: String,
}

impl Machine {
    /// Looks at this machine, for the benchmark that `cargo xtask bench NAME` runs.
    pub fn look(name: &str) -> Self {
        let scratch = scratch_dir();
        let uname = rustix::system::uname();
        let text = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        Self {
            processor: field("/proc/cpuinfo", "model name"),
            cores: available_parallelism().map_or(1, usize::from),
            memory: field("/proc/meminfo", "MemTotal"),
            kernel: format!("{} {}", text(uname.sysname()), text(uname.release())),
            file_system: file_system(scratch.path()),
            compiler: compiler(),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
            fdatasync_us: fdatasync_seconds(scratch.path()) * 1e6,
            command: command(name),
        }
    }

    /// What and its value, one line each.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        vec![
            ("processor", format!("{}, {} cores", self.processor, self.cores)),
            ("memory", self.memory.clone()),
            ("system", format!("{}, {}", self.kernel, self.file_system)),
            ("compiler", self.compiler.clone()),
            ("load when it began", self.load.clone()),
            ("4 KiB appended and `fdatasync`", format!("{:.0} us", self.fdatasync_us)),
            ("command", format!("`{}`", self.command)),
        ]
    }
}

fn command(name: &str) -> String {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words = [format!("cargo xtask bench {name}")].into_iter().chain(arguments);
    words.collect::<Vec<_>>().join(" ")
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
}

fn compiler() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    version.map_or_else(
        |_| "unknown".to_owned(),
        |it| String::from_utf8_lossy(&it.stdout).trim().to_owned(),
    )
}

/// The type of the file system that `path` lies on: that of the mount point that is longest among those above it.
fn file_system(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind) = (words.next()?, words.next()?);
        path.starts_with(point).then_some((point.len(), kind))
    });
    above.max_by_key(|(length, _)| *length).map_or("unknown", |(_, kind)| kind).to_owned()
}

/// How long appending 4 KiB to a file in `dir` and syncing it takes; seconds, the median.
pub fn fdatasync_seconds(dir: &Path) -> f64 {
    let mut file = File::create(dir.join("sync")).expect("the target directory can be written");
    let mut times = [(); SYNCS].map(|()| {
        let start = Instant::now();
        let synced = file.write_all(&[7; SYNC_BYTES]).and_then(|()| file.sync_data());
        synced.expect("the disk has room");
        start.elapsed().as_secs_f64()
    });
    median(&mut times)
}
