//! What the standard library has no word for. The only file of the suite with unsafe code.

#![expect(
    unsafe_code,
    reason = "calls of the C library and of the preloaded one; each block says why it is sound"
)]

use std::ffi::{CStr, CString, c_void};
use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

/// Told of an open file that reached the disk: `length` bytes from `offset`, or the whole when `length` is `usize::MAX`.
pub(super) type Observer = extern "C" fn(fd: i32, offset: i64, length: usize);

type Watch = unsafe extern "C" fn(*const u8, usize);
type Arm = extern "C" fn(u32, i32, i64, i64);
type Disarm = extern "C" fn();
type Fired = extern "C" fn() -> u64;
type CountCalls = extern "C" fn(u32) -> u64;
type Observe = extern "C" fn(Option<Observer>);

/// The preloaded library of `shim/calls.rs`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shim {
    watch: Watch,
    arm: Arm,
    disarm: Disarm,
    fired: Fired,
    calls: CountCalls,
    observe: Observe,
}

impl Shim {
    /// The library, when it was loaded into this process.
    pub(super) fn find() -> Option<Self> {
        let (watch, arm) = (symbol(c"supervm_fault_watch")?, symbol(c"supervm_fault_arm")?);
        let (disarm, fired) = (symbol(c"supervm_fault_disarm")?, symbol(c"supervm_fault_fired")?);
        let (calls, observe) = (symbol(c"supervm_fault_calls")?, symbol(c"supervm_fault_observe")?);
        // SAFETY: the functions have these types in the library, whose bytes are part of this crate.
        unsafe {
            Some(Self {
                watch: std::mem::transmute::<*mut c_void, Watch>(watch),
                arm: std::mem::transmute::<*mut c_void, Arm>(arm),
                disarm: std::mem::transmute::<*mut c_void, Disarm>(disarm),
                fired: std::mem::transmute::<*mut c_void, Fired>(fired),
                calls: std::mem::transmute::<*mut c_void, CountCalls>(calls),
                observe: std::mem::transmute::<*mut c_void, Observe>(observe),
            })
        }
    }

    pub(super) fn watch(&self, dir: &Path) {
        let path = dir.as_os_str().as_bytes();
        // SAFETY: the pointer and the length are of one slice.
        unsafe { (self.watch)(path.as_ptr(), path.len()) };
    }

    pub(super) fn arm(&self, kinds: u32, code: i32, passes: i64, failures: i64) {
        (self.arm)(kinds, code, passes, failures);
    }

    pub(super) fn disarm(&self) {
        (self.disarm)();
    }

    pub(super) fn fired(&self) -> u64 {
        (self.fired)()
    }

    pub(super) fn calls(&self, kind: u32) -> u64 {
        (self.calls)(kind)
    }

    pub(super) fn observe(&self, observer: Option<Observer>) {
        (self.observe)(observer);
    }
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: the name ends in a zero byte.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

/// A new file in memory.
pub(super) fn memory_file(name: &CStr) -> io::Result<File> {
    // SAFETY: the name ends in a zero byte.
    let descriptor = done(unsafe { libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC) })?;
    // SAFETY: the descriptor was made in the line above and has no other owner.
    Ok(unsafe { File::from_raw_fd(descriptor) })
}

/// Ends this process now, whatever its other threads do.
pub(crate) fn die() -> ! {
    // SAFETY: it has no preconditions; nothing of the process is used after it.
    unsafe { libc::_exit(1) }
}

/// Gives this process a mount table of its own. Threads that exist already keep the table of the machine.
pub(super) fn own_mounts() -> io::Result<()> {
    // SAFETY: it takes flags only.
    done(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    // What is mounted here would appear elsewhere as well where the machine shares its mounts.
    mount(None, Path::new("/"), libc::MS_REC | libc::MS_PRIVATE, "")
}

/// Mounts a file system of the type `kind` at `dir`, or changes what is mounted there.
pub(super) fn mount(
    kind: Option<&CStr>,
    dir: &Path,
    flags: libc::c_ulong,
    options: &str,
) -> io::Result<()> {
    let (dir, options) = (c_path(dir)?, CString::new(options)?);
    let kind = kind.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: each text ends in a zero byte or is null.
    done(unsafe { libc::mount(kind, dir.as_ptr(), kind, flags, options.as_ptr().cast()) }).map(drop)
}

/// Takes the file system at `dir` out of the directory tree; it ends with its last open file.
pub(super) fn unmount(dir: &Path) -> io::Result<()> {
    let dir = c_path(dir)?;
    // SAFETY: the path ends in a zero byte.
    done(unsafe { libc::umount2(dir.as_ptr(), libc::MNT_DETACH) }).map(drop)
}

/// The greatest number of open files, and what a process may set it to.
pub(super) fn files_max() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit can be written to.
    done(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    Ok(limit)
}

pub(super) fn set_files_max(limit: libc::rlimit) -> io::Result<()> {
    // SAFETY: the limit can be read.
    done(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }).map(drop)
}

/// The most bytes that a file of this process may get, and what the process may set that to.
pub(super) fn file_bytes_max() -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the limit can be written to.
    done(unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) })?;
    Ok(limit)
}

pub(super) fn set_file_bytes_max(limit: libc::rlimit) -> io::Result<()> {
    // SAFETY: the limit can be read.
    done(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }).map(drop)
}

/// Lets a write beyond the limit fail with `EFBIG`; the signal that comes with it ends a process that does not ignore it.
pub(super) fn ignore_file_limit_signal() -> io::Result<()> {
    // SAFETY: no handler is installed that could do something at the wrong time.
    let before = unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn done(outcome: i32) -> io::Result<i32> {
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(outcome) }
}
