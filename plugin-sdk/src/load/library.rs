//! Loading one library, step by step; each failure has its own message.

use super::file::{LibraryBytes, LibraryFile, path_of};
use super::step::{Event, Inspection, Outcome, Step, StepReport, render, shorten};
use super::{Plugin, elf};
use crate::abi::root::{self, HEADER_ALIGN, HEADER_BYTES, PluginRootRef, RootProblem};
use crate::{ABI_VERSION, Error, ErrorKind, Result};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Most lines of a layout report that an error carries; the whole is logged.
const REPORT_LINES_MAX: usize = 16;

/// Loads the plugin at `path`, a file inside `root`, and keeps it loaded until the process ends (clause 27).
///
/// `pin` is the sha256 that the file must have, in hex. The same content is loaded once, whatever its paths.
///
/// # Errors
/// `NotFound`, `Io`; `InvalidArgument` for what is no regular file; `PermissionDenied` for a path, owner or mode that the
/// policy refuses and for a wrong sha256; `AbiMismatch` for a file that is no whole shared library for this machine, exports
/// no plugin, was built for another ABI, or aborts on panic; `InvalidArgument` for a malformed descriptor.
pub fn library(path: &Path, root: &Path, pin: Option<&str>) -> Result<Plugin> {
    load(path, root, pin, &mut |_| {})
}

/// Loads the plugin as [`library`] does and reports what each step came to.
///
/// It runs the library's code in this process; see [`probe`](super::probe()) for doing that in another one.
pub fn inspect(path: &Path, root: &Path, pin: Option<&str>) -> Inspection {
    let mut inspection = Inspection::new(path);
    // The error is in the report of the step that failed.
    let _ = load(path, root, pin, &mut |event| inspection.apply(event));
    inspection
}

/// Runs the steps and tells `watch` of each before and after it.
pub(super) fn load(
    path: &Path,
    root: &Path,
    pin: Option<&str>,
    watch: &mut dyn FnMut(Event),
) -> Result<Plugin> {
    let mut steps = Steps { path, watch };
    let file = steps.run(Step::Find, || {
        let file = LibraryFile::open(path, root)?;
        let found = file.path.display().to_string();
        Ok((file, found))
    })?;
    steps.run(Step::Policy, || Ok((file.check_policy()?, String::new())))?;
    let content = steps.run(Step::Pin, || {
        let content = file.read()?;
        content.check_pin(pin)?;
        let found = content.sha256.clone();
        Ok((content, found))
    })?;
    let symbol = steps.run(Step::Elf, || {
        let symbol = elf::check(&content.bytes, HEADER_BYTES, HEADER_ALIGN)?;
        Ok((symbol.clone(), symbol))
    })?;
    let header = steps.run(Step::Link, || Ok((link(&file, &content, &symbol)?, String::new())))?;
    let header = steps.run(Step::AbiVersion, || {
        // SAFETY: the address of a symbol with the header's size and alignment, in a library that stays loaded.
        let header = unsafe { root::read_header(header.0) }.map_err(problem)?;
        Ok((header, ABI_VERSION.to_string()))
    })?;
    let root = steps
        .run(Step::Layout, || Ok((root::read_root(header).map_err(problem)?, String::new())))?;
    steps.run(Step::Panic, || Ok((check_panic(root)?, "unwind".to_owned())))?;
    let plugin = steps.run(Step::Descriptor, || {
        let plugin = Plugin::from_root(root)?;
        let found = format!("{} {}", plugin.descriptor.name, plugin.descriptor.version);
        Ok((plugin, found))
    })?;
    watch(Event::Descriptor(Box::new(plugin.descriptor.clone())));
    Ok(plugin)
}

struct Steps<'a> {
    path: &'a Path,
    watch: &'a mut dyn FnMut(Event),
}

impl Steps<'_> {
    /// Runs one step; `body` returns its result and what to report of it.
    fn run<T>(&mut self, step: Step, body: impl FnOnce() -> Result<(T, String)>) -> Result<T> {
        (self.watch)(Event::Begin { step });
        let outcome = body().map_err(|error| error.with("path", self.path.display()));
        let report = match &outcome {
            Ok((_, found)) => Outcome::Ok { found: found.clone() },
            Err(error) => Outcome::Failed { kind: error.kind(), message: render(error) },
        };
        (self.watch)(Event::End(StepReport { step, outcome: report }));
        outcome.map(|(value, _)| value)
    }
}

/// The address of a loaded library's header.
#[derive(Clone, Copy)]
struct HeaderAddress(*const ());

// SAFETY: the address of a static in a library that is never unloaded; it is only handed on.
unsafe impl Send for HeaderAddress {}

/// A library in this process. Never dropped: the linker knows a library by the path it was opened with, so the descriptor
/// that is in that path must never become another file's.
struct Loaded {
    header: HeaderAddress,
    _memory: File,
}

/// Every library that was loaded, by its sha256.
static LOADED: Mutex<BTreeMap<String, Loaded>> = Mutex::new(BTreeMap::new());

fn link(file: &LibraryFile, content: &LibraryBytes, symbol: &str) -> Result<HeaderAddress> {
    // A panic while it was locked leaves the map as it was.
    let mut libraries = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = libraries.get(&content.sha256) {
        return Ok(loaded.header);
    }
    let memory = content.seal(&file.path)?;
    let path = path_of(&memory);
    // SAFETY: the library's constructors run here; who may put a file in the directory is the path policy's decision.
    let opened = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
    let library = opened.map_err(|error| {
        let reason = std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
        let reason = reason.replace(&format!("{}: ", path.display()), "");
        refused(format!(
            "the dynamic linker refused the library: {reason}; install what it needs, or link it statically"
        ))
    })?;
    // SAFETY: the symbol's address is only handed on; `elf::check` made sure that the symbol has the header's size.
    let header = unsafe { library.get::<*const ()>(symbol) };
    let header = header
        .map(|symbol| HeaderAddress(symbol.into_raw().cast_const().cast()))
        .map_err(|error| refused(format!("the library has no symbol {symbol}: {error}")));
    // A library is never unloaded, whatever becomes of it: what it registered would dangle.
    std::mem::forget(library);
    let header = match header {
        Ok(header) => header,
        Err(error) => {
            // Its path is taken for good as well.
            std::mem::forget(memory);
            return Err(error);
        }
    };
    libraries.insert(content.sha256.clone(), Loaded { header, _memory: memory });
    Ok(header)
}

fn check_panic(root: PluginRootRef) -> Result<()> {
    if root.panic_unwinds() {
        return Ok(());
    }
    Err(refused("the plugin was built with panic = \"abort\"; build it with panic = \"unwind\""))
}

fn problem(problem: RootProblem) -> Error {
    let rebuild =
        concat!("rebuild the plugin against supervm-plugin-sdk ", env!("CARGO_PKG_VERSION"));
    match problem {
        RootProblem::Header(what) => {
            refused(format!("the plugin's header is not one of this SDK; {rebuild}"))
                .with("header", shorten(&what, 1, ""))
        }
        RootProblem::Version { found } => {
            refused(format!("the plugin has ABI {found}, this host has {ABI_VERSION}; {rebuild}"))
        }
        RootProblem::Layout(report) => {
            tracing::debug!(%report, "the plugin's types differ");
            let where_more = "; RUST_LOG=supervm_plugin_sdk=debug logs them all";
            // Both layouts come first, in hundreds of lines, and then how they differ.
            let differences = report.find("\nError:").map_or(&*report, |at| &report[at..]);
            refused(format!("the plugin's types differ from this host's; {rebuild}"))
                .with_source(shorten(differences, REPORT_LINES_MAX, where_more))
        }
        RootProblem::Constructor(what) => {
            refused(format!("the plugin's root cannot be made: {}", shorten(&what, 1, "")))
        }
    }
}

fn refused(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::AbiMismatch, "load library", message)
}
