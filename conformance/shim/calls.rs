//! A library for `LD_PRELOAD` that stands between a program and the C library's calls on files.
//!
//! It watches the files below one directory: it counts the calls, lets chosen ones fail, and tells an observer when data has
//! reached the disk. Everything else goes through. `build.rs` compiles it by itself, without the standard library, so that it can
//! be in a process before anything else; `src/fault/system.rs` is the other half.
//!
//! Calls that a program makes without the C library are not seen.
#![no_std]

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_long, c_void};
use core::sync::atomic::{AtomicI32, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};

const PATH_BYTES: usize = 4096;
const WRITE: u32 = 0;
const SYNC: u32 = 1;
const READ: u32 = 2;
const OPEN: u32 = 3;
/// Making a file longer, or reserving its blocks.
const GROW: u32 = 4;

const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;
const AT_FDCWD: c_int = -100;
const F_GETFL: c_int = 3;
const O_DSYNC: c_int = 0o10000;
const SEEK_CUR: c_int = 1;
const RWF_DSYNC_OR_SYNC: c_int = 0x2 | 0x4;
const ENOSYS: c_int = 38;
/// The offset of a write that goes where the file's own position is.
const AT_POSITION: i64 = -1;

#[link(name = "c")]
unsafe extern "C" {
    fn abort() -> !;
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
    fn readlink(path: *const c_char, target: *mut c_char, length: usize) -> isize;
    fn fcntl(fd: c_int, command: c_int, ...) -> c_int;
    fn lseek64(fd: c_int, offset: i64, whence: c_int) -> i64;
    fn close(fd: c_int) -> c_int;
    fn fclose(file: *mut c_void) -> c_int;
    fn fgets(line: *mut c_char, length: c_int, file: *mut c_void) -> *mut c_char;
    fn strtoul(text: *const c_char, end: *mut *mut c_char, base: c_int) -> usize;
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: it has no preconditions.
    unsafe { abort() }
}

/// Told of a descriptor whose file reached the disk: `length` bytes from `offset`, or the whole when `length` is `usize::MAX`.
type Observer = extern "C" fn(fd: c_int, offset: i64, length: usize);

struct Directory(UnsafeCell<[u8; PATH_BYTES]>);

// SAFETY: it is written while `LENGTH` is 0, and read only while that is not.
unsafe impl Sync for Directory {}

static DIRECTORY: Directory = Directory(UnsafeCell::new([0; PATH_BYTES]));
/// Bytes of `DIRECTORY`; 0 while nothing is watched.
static LENGTH: AtomicUsize = AtomicUsize::new(0);
/// The kinds of calls that fail, a bit each.
static ARMED: AtomicU32 = AtomicU32::new(0);
static CODE: AtomicI32 = AtomicI32::new(0);
/// Calls that still pass before the first one fails.
static PASSES: AtomicI64 = AtomicI64::new(0);
/// Calls that still fail after that.
static FAILURES: AtomicI64 = AtomicI64::new(0);
static FIRED: AtomicU64 = AtomicU64::new(0);
static CALLS: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];
/// The address of an [`Observer`], or 0.
static OBSERVER: AtomicUsize = AtomicUsize::new(0);

/// Watches the files below the directory at `path`, an absolute path without links; counts from 0. No file below another
/// watched directory may be in use meanwhile.
///
/// # Safety
/// `path` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn supervm_fault_watch(path: *const u8, length: usize) {
    LENGTH.store(0, Ordering::SeqCst);
    ARMED.store(0, Ordering::SeqCst);
    CALLS.iter().for_each(|count| count.store(0, Ordering::SeqCst));
    let length = length.min(PATH_BYTES);
    // SAFETY: the caller's bytes, at most as many as the array has; nobody reads it while the length is 0.
    unsafe { core::ptr::copy_nonoverlapping(path, DIRECTORY.0.get().cast(), length) };
    LENGTH.store(length, Ordering::SeqCst);
}

/// From the next call of the `kinds` on, `passes` calls pass, `failures` calls fail with `code`, and the others pass.
#[unsafe(no_mangle)]
pub extern "C" fn supervm_fault_arm(kinds: u32, code: c_int, passes: i64, failures: i64) {
    ARMED.store(0, Ordering::SeqCst);
    CODE.store(code, Ordering::SeqCst);
    PASSES.store(passes, Ordering::SeqCst);
    FAILURES.store(failures, Ordering::SeqCst);
    FIRED.store(0, Ordering::SeqCst);
    ARMED.store(kinds, Ordering::SeqCst);
}

/// Lets every call pass.
#[unsafe(no_mangle)]
pub extern "C" fn supervm_fault_disarm() {
    ARMED.store(0, Ordering::SeqCst);
}

/// Calls that failed since the last arming.
#[unsafe(no_mangle)]
pub extern "C" fn supervm_fault_fired() -> u64 {
    FIRED.load(Ordering::SeqCst)
}

/// Calls of `kind` since the watch began, those that failed included.
#[unsafe(no_mangle)]
pub extern "C" fn supervm_fault_calls(kind: u32) -> u64 {
    CALLS.get(kind as usize).map_or(0, |count| count.load(Ordering::SeqCst))
}

/// Tells `observer` of what reaches the disk, on the thread that made it do so.
#[unsafe(no_mangle)]
pub extern "C" fn supervm_fault_observe(observer: Option<Observer>) {
    OBSERVER.store(observer.map_or(0, |observer| observer as usize), Ordering::SeqCst);
}

/// The C library's own function of this name; 0 when it has none.
fn next(name: &CStr, known: &AtomicUsize) -> usize {
    let mut address = known.load(Ordering::Relaxed);
    if address == 0 {
        // SAFETY: the name ends in a zero byte.
        address = unsafe { dlsym(RTLD_NEXT, name.as_ptr()) } as usize;
        known.store(address, Ordering::Relaxed);
    }
    address
}

/// Calls the C library's own function.
macro_rules! call_next {
    ($name:ident($($argument:expr),* $(,)?) as $type:ty, else $missing:expr) => {{
        static KNOWN: AtomicUsize = AtomicUsize::new(0);
        const NAME: &CStr = match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
            Ok(name) => name,
            Err(_) => c"",
        };
        match next(NAME, &KNOWN) {
            0 => {
                set_errno(ENOSYS);
                $missing
            }
            // SAFETY: the address of the C library's function of that name, which has that type; the arguments are the caller's.
            address => unsafe { core::mem::transmute::<usize, $type>(address)($($argument),*) },
        }
    }};
}

fn errno() -> c_int {
    // SAFETY: the C library gives every thread one.
    unsafe { *__errno_location() }
}

fn set_errno(code: c_int) {
    // SAFETY: as above.
    unsafe { *__errno_location() = code };
}

/// Counts a call of `kind` on a watched file, and says with which code it has to fail.
fn verdict(kind: u32, is_watched: impl FnOnce() -> bool) -> Option<c_int> {
    if LENGTH.load(Ordering::Acquire) == 0 || !is_watched() {
        return None;
    }
    CALLS[kind as usize].fetch_add(1, Ordering::SeqCst);
    if ARMED.load(Ordering::SeqCst) & (1 << kind) == 0
        || PASSES.fetch_sub(1, Ordering::SeqCst) > 0
        || FAILURES.fetch_sub(1, Ordering::SeqCst) <= 0
    {
        return None;
    }
    FIRED.fetch_add(1, Ordering::SeqCst);
    Some(CODE.load(Ordering::SeqCst))
}

fn is_below(path: &[u8]) -> bool {
    let length = LENGTH.load(Ordering::Acquire);
    // SAFETY: the bytes up to the length were written before the length was.
    let directory = unsafe { core::slice::from_raw_parts(DIRECTORY.0.get().cast::<u8>(), length) };
    length > 0
        && path.starts_with(directory)
        && path.get(length).is_none_or(|separator| *separator == b'/')
}

/// The path that the link `/proc/self/NAME` leads to; `errno` stays as it is.
fn link_target<'a>(name: &[u8], target: &'a mut [u8; PATH_BYTES]) -> &'a [u8] {
    const HEAD: &[u8] = b"/proc/self/";
    let mut link = [0u8; 48];
    link[..HEAD.len()].copy_from_slice(HEAD);
    link[HEAD.len()..HEAD.len() + name.len()].copy_from_slice(name);
    let before = errno();
    // SAFETY: the link's path ends in a zero byte, and the target has that length.
    let length = unsafe { readlink(link.as_ptr().cast(), target.as_mut_ptr().cast(), PATH_BYTES) };
    set_errno(before);
    &target[..length.max(0) as usize]
}

/// `fd/` and the number.
fn descriptor_link(fd: c_int) -> ([u8; 16], usize) {
    let mut name = *b"fd/\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let (mut digits, mut rest) = (1, fd / 10);
    while rest > 0 {
        digits += 1;
        rest /= 10;
    }
    let mut rest = fd;
    for place in (3..3 + digits).rev() {
        name[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    (name, 3 + digits)
}

fn is_watched(fd: c_int) -> bool {
    if fd < 0 {
        return false;
    }
    let (name, length) = descriptor_link(fd);
    is_below(link_target(&name[..length], &mut [0; PATH_BYTES]))
}

/// Is `path`, as a call with `dir` would find it, below the directory?
///
/// # Safety
/// `path` is null or ends in a zero byte.
unsafe fn is_watched_path(dir: c_int, path: *const c_char) -> bool {
    if path.is_null() {
        return false;
    }
    // SAFETY: the caller's.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    if path.starts_with(b"/") {
        return is_below(path);
    }
    let mut base = [0; PATH_BYTES];
    let length = if dir == AT_FDCWD {
        link_target(b"cwd", &mut base).len()
    } else {
        let (name, length) = descriptor_link(dir.max(0));
        link_target(&name[..length], &mut base).len()
    };
    if length == 0 || length + 1 + path.len() > PATH_BYTES {
        return false;
    }
    base[length] = b'/';
    base[length + 1..length + 1 + path.len()].copy_from_slice(path);
    is_below(&base[..length + 1 + path.len()])
}

fn tell(fd: c_int, offset: i64, length: usize) {
    let address = OBSERVER.load(Ordering::SeqCst);
    if address == 0 {
        return;
    }
    let before = errno();
    // SAFETY: what `supervm_fault_observe` was given.
    let observer = unsafe { core::mem::transmute::<usize, Observer>(address) };
    observer(fd, offset, length);
    set_errno(before);
}

/// Tells the observer of a write that waited for the disk.
fn tell_if_durable(fd: c_int, offset: i64, written: isize, flags: c_int) {
    if OBSERVER.load(Ordering::SeqCst) == 0 || written <= 0 || !is_watched(fd) {
        return;
    }
    // SAFETY: the descriptor was just written to.
    let is_durable = unsafe { fcntl(fd, F_GETFL) } & O_DSYNC != 0 || flags & RWF_DSYNC_OR_SYNC != 0;
    if is_durable {
        // SAFETY: as above.
        let end = || unsafe { lseek64(fd, 0, SEEK_CUR) };
        let start = if offset == AT_POSITION { end() - written as i64 } else { offset };
        tell(fd, start, written as usize);
    }
}

/// Functions that fail with -1 and `errno`.
macro_rules! on_descriptor {
    ($($kind:ident: $name:ident(fd $(, $argument:ident: $type:ty)*) -> $result:ty;)*) => {$(
        /// # Safety
        /// That of the C library's function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int $(, $argument: $type)*) -> $result {
            if let Some(code) = verdict($kind, || is_watched(fd)) {
                set_errno(code);
                return -1;
            }
            call_next!($name(fd $(, $argument)*) as unsafe extern "C" fn(c_int $(, $type)*) -> $result, else -1)
        }
    )*};
}

on_descriptor! {
    READ: read(fd, to: *mut c_void, length: usize) -> isize;
    READ: pread(fd, to: *mut c_void, length: usize, offset: i64) -> isize;
    READ: pread64(fd, to: *mut c_void, length: usize, offset: i64) -> isize;
    READ: readv(fd, to: *const c_void, count: c_int) -> isize;
    READ: preadv(fd, to: *const c_void, count: c_int, offset: i64) -> isize;
    READ: preadv64(fd, to: *const c_void, count: c_int, offset: i64) -> isize;
    READ: preadv2(fd, to: *const c_void, count: c_int, offset: i64, flags: c_int) -> isize;
    READ: preadv64v2(fd, to: *const c_void, count: c_int, offset: i64, flags: c_int) -> isize;
    GROW: ftruncate(fd, length: i64) -> c_int;
    GROW: ftruncate64(fd, length: i64) -> c_int;
    GROW: fallocate(fd, mode: c_int, offset: i64, length: i64) -> c_int;
    GROW: fallocate64(fd, mode: c_int, offset: i64, length: i64) -> c_int;
    // It starts the writing and promises nothing: no observer is told.
    SYNC: sync_file_range(fd, offset: i64, length: i64, flags: u32) -> c_int;
}

/// Functions that write where the last argument but the flags says.
macro_rules! writes {
    ($($name:ident(fd $(, $argument:ident: $type:ty)*) at $offset:expr, flags $flags:expr;)*) => {$(
        /// # Safety
        /// That of the C library's function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int $(, $argument: $type)*) -> isize {
            if let Some(code) = verdict(WRITE, || is_watched(fd)) {
                set_errno(code);
                return -1;
            }
            let written = call_next!($name(fd $(, $argument)*) as unsafe extern "C" fn(c_int $(, $type)*) -> isize, else -1);
            tell_if_durable(fd, $offset, written, $flags);
            written
        }
    )*};
}

writes! {
    write(fd, from: *const c_void, length: usize) at AT_POSITION, flags 0;
    pwrite(fd, from: *const c_void, length: usize, offset: i64) at offset, flags 0;
    pwrite64(fd, from: *const c_void, length: usize, offset: i64) at offset, flags 0;
    writev(fd, from: *const c_void, count: c_int) at AT_POSITION, flags 0;
    pwritev(fd, from: *const c_void, count: c_int, offset: i64) at offset, flags 0;
    pwritev64(fd, from: *const c_void, count: c_int, offset: i64) at offset, flags 0;
    pwritev2(fd, from: *const c_void, count: c_int, offset: i64, flags: c_int) at offset, flags flags;
    pwritev64v2(fd, from: *const c_void, count: c_int, offset: i64, flags: c_int) at offset, flags flags;
    sendfile(fd, from: c_int, offset: *mut i64, length: usize) at AT_POSITION, flags 0;
    sendfile64(fd, from: c_int, offset: *mut i64, length: usize) at AT_POSITION, flags 0;
}

/// # Safety
/// That of the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_offset: *mut i64,
    to: c_int,
    to_offset: *mut i64,
    length: usize,
    flags: u32,
) -> isize {
    if let Some(code) = verdict(WRITE, || is_watched(to)) {
        set_errno(code);
        return -1;
    }
    type Copy = unsafe extern "C" fn(c_int, *mut i64, c_int, *mut i64, usize, u32) -> isize;
    call_next!(copy_file_range(from, from_offset, to, to_offset, length, flags) as Copy, else -1)
}

macro_rules! syncs {
    ($($name:ident)*) => {$(
        /// # Safety
        /// That of the C library's function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int) -> c_int {
            if let Some(code) = verdict(SYNC, || is_watched(fd)) {
                set_errno(code);
                return -1;
            }
            // Told before: what is written meanwhile may or may not be part of it.
            if OBSERVER.load(Ordering::SeqCst) != 0 && is_watched(fd) {
                tell(fd, 0, usize::MAX);
            }
            call_next!($name(fd) as unsafe extern "C" fn(c_int) -> c_int, else -1)
        }
    )*};
}

syncs!(fsync fdatasync);

/// # Safety
/// That of the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn msync(address: *mut c_void, length: usize, flags: c_int) -> c_int {
    if LENGTH.load(Ordering::Acquire) != 0 {
        let file = mapped_file(address as usize);
        let code = verdict(SYNC, || is_watched(file));
        if code.is_none() && is_watched(file) {
            tell(file, 0, usize::MAX);
        }
        if file >= 0 {
            // SAFETY: it was opened above.
            unsafe { close(file) };
        }
        if let Some(code) = code {
            set_errno(code);
            return -1;
        }
    }
    type Msync = unsafe extern "C" fn(*mut c_void, usize, c_int) -> c_int;
    call_next!(msync(address, length, flags) as Msync, else -1)
}

/// A descriptor of the file that is mapped at `address`; -1 when there is none.
fn mapped_file(address: usize) -> c_int {
    type Fopen = unsafe extern "C" fn(*const c_char, *const c_char) -> *mut c_void;
    type Open = unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int;
    let maps = call_next!(fopen(c"/proc/self/maps".as_ptr(), c"re".as_ptr()) as Fopen, else core::ptr::null_mut());
    let (mut found, mut line) = (-1, [0u8; PATH_BYTES + 128]);
    // SAFETY: a file that is open, and a buffer of that length.
    while !maps.is_null() && unsafe { !fgets(line.as_mut_ptr().cast(), line.len() as c_int, maps).is_null() } {
        let mut dash = core::ptr::null_mut();
        // SAFETY: the line ends in a zero byte, and begins with two numbers and a dash between them.
        let (start, end) = unsafe {
            let start = strtoul(line.as_ptr().cast(), &mut dash, 16);
            (start, strtoul(dash.add(1), core::ptr::null_mut(), 16))
        };
        if !(start..end).contains(&address) {
            continue;
        }
        let path = line.iter().position(|byte| *byte == b'/');
        if let (Some(path), Some(newline)) = (path, line.iter().position(|byte| *byte == b'\n')) {
            line[newline] = 0;
            // SAFETY: the path ends in a zero byte now.
            found = call_next!(open(line.as_ptr().add(path).cast(), 0o2000000) as Open, else -1);
        }
        break;
    }
    if !maps.is_null() {
        // SAFETY: it was opened above and is not used after.
        unsafe { fclose(maps) };
    }
    found
}

/// # Safety
/// That of the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate(fd: c_int, offset: i64, length: i64) -> c_int {
    if let Some(code) = verdict(GROW, || is_watched(fd)) {
        return code;
    }
    call_next!(posix_fallocate(fd, offset, length) as unsafe extern "C" fn(c_int, i64, i64) -> c_int, else ENOSYS)
}

/// # Safety
/// That of the C library's function.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_fallocate64(fd: c_int, offset: i64, length: i64) -> c_int {
    // SAFETY: the caller's; they are one function on the machines that this is built for.
    unsafe { posix_fallocate(fd, offset, length) }
}

macro_rules! number {
    ($dir:ident) => { c_int };
}

/// Functions that open a path, which stands after the directory that it is relative to. Their mode is passed on whether it was
/// given or not: an argument more does no harm in the calling conventions of the machines that this is built for.
macro_rules! opens {
    ($($name:ident($([$dir:ident])? $path:ident; $($argument:ident: $type:ty),*) -> $result:ty, or $failed:expr;)*) => {$(
        /// # Safety
        /// That of the C library's function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($dir: c_int,)? $path: *const c_char, $($argument: $type),*) -> $result {
            let base = [$($dir,)? AT_FDCWD][0];
            // SAFETY: the caller's path.
            if let Some(code) = verdict(OPEN, || unsafe { is_watched_path(base, $path) }) {
                set_errno(code);
                return $failed;
            }
            type Open = unsafe extern "C" fn($(number!($dir),)? *const c_char, $($type),*) -> $result;
            call_next!($name($($dir,)? $path, $($argument),*) as Open, else $failed)
        }
    )*};
}

opens! {
    open(path; flags: c_int, mode: c_long) -> c_int, or -1;
    open64(path; flags: c_int, mode: c_long) -> c_int, or -1;
    openat([dir] path; flags: c_int, mode: c_long) -> c_int, or -1;
    openat64([dir] path; flags: c_int, mode: c_long) -> c_int, or -1;
    creat(path; mode: c_long) -> c_int, or -1;
    creat64(path; mode: c_long) -> c_int, or -1;
    fopen(path; mode: *const c_char) -> *mut c_void, or core::ptr::null_mut();
    fopen64(path; mode: *const c_char) -> *mut c_void, or core::ptr::null_mut();
}
