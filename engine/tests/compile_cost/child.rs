//! Measuring a compilation in a process of its own.

use crate::bench::Bench;
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Set in a child, to how it compiles.
pub(crate) const CHILD: &str = "SUPERVM_COMPILE_CHILD";

/// What a compilation took.
#[derive(Debug, Clone)]
pub(crate) struct Cost {
    /// Processor time of all threads.
    pub(crate) cpu: Duration,
    pub(crate) wall: Duration,
    /// Memory above what the process had before, at its peak.
    pub(crate) peak_kib: u64,
    /// Why the module was refused; empty when it was not.
    pub(crate) refusal: String,
    pub(crate) timed_out: bool,
}

/// Compiles the module on standard input and says what that took.
pub(crate) fn run(how: &str) {
    let mut wasm = Vec::new();
    std::io::stdin().read_to_end(&mut wasm).unwrap();
    let bench = Bench::new();
    let engine = supervm_engine::runtime::configured_engine(bench.runtime.config()).unwrap();
    let warm =
        r#"(module (func (export "run") (param f64) (result f64) (f64.sqrt (local.get 0))))"#;
    bench.runtime.module(warm.as_bytes()).unwrap();
    let (cpu, before, begin) = (cpu(), memory_kib("VmRSS"), Instant::now());
    let refusal = if how == "engine" {
        wasmtime::Module::from_binary(&engine, &wasm).err().map(|error| format!("{error:#}"))
    } else {
        bench.runtime.module(&wasm).err().map(|error| error.message().to_owned())
    };
    let wall = begin.elapsed().as_micros();
    let cpu = (self::cpu() - cpu).as_micros();
    let peak = memory_kib("VmHWM").saturating_sub(before);
    println!("COST {cpu} {wall} {peak} {}", refusal.unwrap_or_default().replace('\n', " "));
}

/// What it takes to compile `wasm`, in a child process that is stopped after `limit`.
pub(crate) fn measure(how: &str, wasm: &[u8], limit: Duration) -> Cost {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(CHILD, how)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(wasm).unwrap();
    let begin = Instant::now();
    let mut peak_kib = 0;
    let mut timed_out = false;
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > limit {
            peak_kib = status_kib(&format!("/proc/{}/status", child.id()), "VmHWM");
            child.kill().unwrap();
            timed_out = true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut output = String::new();
    child.stdout.take().unwrap().read_to_string(&mut output).unwrap();
    let Some(line) = output.lines().find_map(|line| line.strip_prefix("COST ")) else {
        return Cost { cpu: limit, wall: limit, peak_kib, refusal: String::new(), timed_out };
    };
    let mut parts = line.splitn(4, ' ');
    let mut number = || parts.next().unwrap().parse::<u64>().unwrap();
    let (cpu, wall, peak_kib) = (number(), number(), number());
    Cost {
        cpu: Duration::from_micros(cpu),
        wall: Duration::from_micros(wall),
        peak_kib,
        refusal: parts.next().unwrap_or_default().to_owned(),
        timed_out,
    }
}

/// Processor time of this process so far; the system counts in hundredths of a second.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // The name of the program may have spaces; the fields are counted from behind it.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn memory_kib(what: &str) -> u64 {
    status_kib("/proc/self/status", what)
}

fn status_kib(path: &str, what: &str) -> u64 {
    let status = fs::read_to_string(path).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what)?.strip_prefix(':'));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
