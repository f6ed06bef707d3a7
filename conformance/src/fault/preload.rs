//! The library that is loaded before the program.

use super::system::memory_file;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

/// The dynamic linker's list of such libraries.
pub(crate) const VARIABLE: &str = "LD_PRELOAD";
/// Empty where the library cannot work.
static LIBRARY: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/calls.so"));

/// What [`VARIABLE`] has to be for a child of this process; `None` where there is no library.
///
/// The library is in memory, under a path that is good as long as this process lives: nothing is left behind in a directory.
pub(crate) fn value() -> io::Result<Option<OsString>> {
    if LIBRARY.is_empty() {
        return Ok(None);
    }
    static MEMORY: OnceLock<File> = OnceLock::new();
    let memory = match MEMORY.get() {
        Some(memory) => memory,
        None => {
            let mut memory = memory_file(c"supervm-conformance-calls.so")?;
            memory.write_all(LIBRARY)?;
            MEMORY.get_or_init(|| memory)
        }
    };
    let mut value =
        OsString::from(format!("/proc/{}/fd/{}", std::process::id(), memory.as_raw_fd()));
    if let Some(others) = std::env::var_os(VARIABLE).filter(|others| !others.is_empty()) {
        value.push(":");
        value.push(others);
    }
    Ok(Some(value))
}

/// Why the library is not in a process that should have it.
pub(super) fn why_not() -> &'static str {
    if LIBRARY.is_empty() {
        "calls can be made to fail on 64-bit Linux with glibc only"
    } else {
        "the dynamic linker did not load the library that makes calls fail: the program is linked statically, or /proc is hidden"
    }
}
