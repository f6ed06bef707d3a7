//! That no contract that is accepted costs a node more to compile than it can bear, whatever it is made of.
//!
//! Each module is compiled in a process of its own, through [`Runtime::module`](supervm_engine::runtime::Runtime::module). Other
//! programs may run on the machine, so the time is that of the processors, over the two that compile, unless one of them had most
//! of it to do; the best of three tries counts. With `SUPERVM_COMPILE_ALL=1` every family is tried, with
//! a part of their names in place of the 1 some of them, and the figures are printed.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

// Each is named, or the linker drops it and its plugin with it.
use supervm_host_chain as _;
use supervm_host_crypto as _;
use supervm_host_storage as _;
use supervm_storage_memory as _;

#[path = "../runtime/support.rs"]
#[expect(dead_code, reason = "most of it is for the tests of the runtime")]
mod bench;
mod child;
mod families;

use child::Cost;
use families::{Construct, Family, Structured};
use libtest_mimic::{Arguments, Failed, Trial};
use std::time::{Duration, Instant};
use supervm_engine::runtime::compile_units;
use wasm_encoder::ValType;

/// Processor time to compile a contract: two seconds of each of two processors.
const CPU_MAX: Duration = Duration::from_secs(4);
/// Time from begin to end; wide, for a machine that does other things.
const WALL_MAX: Duration = Duration::from_secs(60);
const PEAK_KIB_MAX: u64 = 300 << 10;
const MODULE_BYTES_MAX: usize = 1 << 20;
const FUNCTIONS_MAX: u32 = 20_000;
const TRIES: usize = 3;
/// Time to refuse a contract.
const REFUSAL_MAX: Duration = Duration::from_secs(2);
/// Time for the families that a seed chooses.
const SEARCH_TIME: Duration = Duration::from_secs(20);

/// The families that come closest to a bound.
const WORST: &[&str] = &[
    "unreachable locals=1",
    "call locals=1",
    "f64.add locals=300",
    "functions bytes=0 params=64",
    "Loop nest=1 locals=1 touch=1 I64",
    "Block nest=500 locals=24 touch=1 I64",
];
/// The seed of the families that are chosen by chance, unless `SUPERVM_SEED` gives another.
const SEED: u64 = 20_261_201;

fn main() {
    if let Ok(how) = std::env::var(child::CHILD) {
        return child::run(&how);
    }
    let arguments = Arguments::from_args();
    let mut trials = vec![
        Trial::test("nested_loops_are_refused", || {
            refused(&loops(12_000, 1, 100, 4), "loops within each other")
        }),
        Trial::test("nested_loops_over_many_locals_are_refused", || {
            refused(&loops(12_000, 1, 4000, 4), "loops within each other")
        }),
        Trial::test("many_loops_over_many_locals_are_refused", || {
            refused(&loops(1, 40_000, 200, 1), "units of work to compile")
        }),
        Trial::test("a_full_module_of_any_family_is_refused_or_cheap", full_modules),
        Trial::test("contracts_of_this_repository_are_far_below_the_bounds", examples),
    ];
    if let Ok(part) = std::env::var("SUPERVM_COMPILE_ALL") {
        let chosen = move |family: &Family| part == "1" || family.name.contains(&part);
        trials.push(Trial::test("every_family_at_its_bound", move || {
            at_bounds(families::all().into_iter().filter(chosen).collect())
        }));
        if let Some(paths) = std::env::var_os("SUPERVM_COMPILE_FILES") {
            trials = vec![Trial::test("files", move || {
                for path in std::env::split_paths(&paths) {
                    println!("{} {:?}", path.display(), compile_units(&std::fs::read(&path)?));
                }
                Ok(())
            })];
        }
    } else {
        trials.push(Trial::test("the_worst_families_at_their_bounds", || {
            let worst = |family: &Family| WORST.contains(&family.name.as_str());
            at_bounds(families::all().into_iter().filter(worst).collect())
        }));
        trials.push(Trial::test("families_that_a_seed_chooses_at_their_bounds", random));
    }
    // One at a time: each compiles on all processors.
    libtest_mimic::run(&Arguments { test_threads: Some(1), ..arguments }, trials).exit();
}

/// `functions` functions of `units` groups of `nest` nested loops.
fn loops(nest: u32, units: usize, locals: u32, functions: usize) -> Vec<u8> {
    let shape =
        Structured { construct: Construct::Loop, nest, locals, touch: 1, kind: ValType::I64 };
    families::structured(shape).module(units * functions, units)
}

fn refused(wasm: &[u8], why: &str) -> Result<(), Failed> {
    let begin = Instant::now();
    let error = compile_units(wasm).err().ok_or("the contract is accepted")?;
    let taken = begin.elapsed();
    if !error.message().contains(why) || !error.message().contains("function 0") {
        return Err(format!("refused for another reason: {error}").into());
    }
    if taken > REFUSAL_MAX {
        return Err(format!("refused only after {taken:?}").into());
    }
    Ok(())
}

/// Validation of a module as large as may be is quick, whatever comes of it.
fn full_modules() -> Result<(), Failed> {
    for family in families::all() {
        let units = units_of(&family, usize::MAX, |wasm| wasm.len() <= MODULE_BYTES_MAX);
        let wasm = family.module(units, usize::MAX);
        let begin = Instant::now();
        let outcome = compile_units(&wasm);
        let taken = begin.elapsed();
        if taken > REFUSAL_MAX {
            return Err(format!("{}: {outcome:?} after {taken:?}", family.name).into());
        }
    }
    Ok(())
}

fn examples() -> Result<(), Failed> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/contracts");
    let mut dirs = vec![std::path::PathBuf::from(root)];
    let mut count = 0;
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "wat") {
                let units = compile_units(&wat::parse_file(&path)?)?;
                if units > 100_000 {
                    return Err(format!("{}: {units} units", path.display()).into());
                }
                count += 1;
            }
        }
    }
    if count == 0 { Err("no contract found".into()) } else { Ok(()) }
}

/// Families in an order of chance, as many as there is time for.
fn random() -> Result<(), Failed> {
    let given = std::env::var("SUPERVM_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = given.unwrap_or(SEED);
    println!("SUPERVM_SEED={seed}");
    let begin = Instant::now();
    let mut chance = seed | 1;
    while begin.elapsed() < SEARCH_TIME {
        let mut next = |most: u64| {
            // xorshift64 of Marsaglia, "Xorshift RNGs", 2003.
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            chance % most
        };
        let all = families::all();
        let family = if next(2) == 0 {
            all[next(all.len() as u64) as usize].clone()
        } else {
            families::structured(Structured {
                construct: [Construct::Block, Construct::Loop, Construct::If, Construct::IfElse]
                    [next(4) as usize],
                nest: 1 + next(60) as u32,
                locals: 1 + (1 << next(12)) as u32,
                touch: next(20) as u32,
                kind: [ValType::I32, ValType::I64, ValType::F64][next(3) as usize],
            })
        };
        at_bounds(vec![family]).map_err(|failed| {
            format!("SUPERVM_SEED={seed}: {}", failed.message().unwrap_or_default())
        })?;
    }
    Ok(())
}

/// The largest module of each family that is accepted compiles within the bounds.
fn at_bounds(families: Vec<Family>) -> Result<(), Failed> {
    let mut failures = Vec::new();
    for family in families {
        let accepted = |wasm: &[u8]| {
            wasm.len() <= MODULE_BYTES_MAX
                && functions(wasm) <= FUNCTIONS_MAX
                && compile_units(wasm).is_ok()
        };
        // The largest function, and then as many of them as the module may have.
        let each =
            units_of(&family, usize::MAX, |wasm| accepted(wasm) && functions(wasm) == 1).max(1);
        let units = units_of(&family, each, accepted) / each * each;
        let wasm = family.module(units.max(each), each);
        let Ok(estimate) = compile_units(&wasm) else { continue };
        let mut cost = child::measure("runtime", &wasm, WALL_MAX);
        for _ in 1..TRIES {
            if is_bearable(&cost) {
                break;
            }
            cost = child::measure("runtime", &wasm, WALL_MAX);
        }
        let figures = format!(
            "{}: {:.2} us/unit, {} functions, {} bytes, {estimate} units, {:.2} s of processors, {:.2} s, {} MiB {}",
            family.name,
            cost.cpu.as_micros() as f64 / estimate as f64,
            functions(&wasm),
            wasm.len(),
            cost.cpu.as_secs_f64(),
            cost.wall.as_secs_f64(),
            cost.peak_kib >> 10,
            cost.refusal
        );
        println!("{figures}");
        if !is_bearable(&cost) {
            failures.push(figures);
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

fn is_bearable(cost: &Cost) -> bool {
    !cost.timed_out && cost.cpu <= CPU_MAX && cost.peak_kib <= PEAK_KIB_MAX
}

fn functions(wasm: &[u8]) -> u32 {
    let payloads = wasmparser::Parser::new(0).parse_all(wasm);
    payloads
        .filter_map(|payload| match payload {
            Ok(wasmparser::Payload::FunctionSection(section)) => Some(section.count()),
            _ => None,
        })
        .sum()
}

/// The largest number of units, at most `each` of them in a function, of which the module is accepted, within a hundredth.
fn units_of(family: &Family, each: usize, is_accepted: impl Fn(&[u8]) -> bool) -> usize {
    let mut high = 1;
    while is_accepted(&family.module(high, each)) && high < 1 << 20 {
        high *= 2;
    }
    let mut low = high / 2;
    while high - low > 1 + low / 100 {
        let middle = low.midpoint(high);
        if is_accepted(&family.module(middle, each)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}
