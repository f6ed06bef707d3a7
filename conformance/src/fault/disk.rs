//! Small file systems in memory, and few open files.

use super::system::{files_max, mount, own_mounts, set_files_max, unmount};
use crate::case::CaseResult;
use crate::check::{failed, skipped};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Whether this process has a mount table of its own.
static OWN_MOUNTS: OnceLock<io::Result<()>> = OnceLock::new();

/// What is written at once to fill a disk, bytes: a page of the file system.
const STEP_BYTES: usize = 4096;

/// Gives this process a mount table of its own, so that what it mounts is gone with it; where that is not allowed, no [`Disk`] can
/// be mounted. Called while there is one thread.
pub(crate) fn isolate() {
    // What it came to is told by whoever mounts.
    let _ = OWN_MOUNTS.get_or_init(own_mounts);
}

/// A file system of a fixed size, mounted in this process alone.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
}

impl Disk {
    /// Mounts one of `bytes` at `dir`, which is made; skips the case where that is not allowed.
    pub(crate) fn mount(dir: &Path, bytes: u64) -> CaseResult<Self> {
        match OWN_MOUNTS.get() {
            Some(Ok(())) => {}
            Some(Err(error)) => return cannot_mount(error),
            None => return failed("the suite did not give this case a process of its own"),
        }
        fs::create_dir(dir)?;
        // The kernel gives each file system of this kind its own size, and no file of it outlives the process.
        match mount(Some(c"tmpfs"), dir, 0, &format!("size={bytes},mode=700")) {
            Ok(()) => Ok(Self { dir: dir.canonicalize()? }),
            Err(error) => cannot_mount(&error),
        }
    }

    /// A path on the disk.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn resize(&self, bytes: u64) -> io::Result<()> {
        mount(None, &self.dir, libc::MS_REMOUNT, &format!("size={bytes}"))
    }

    pub(crate) fn set_read_only(&self, is_read_only: bool) -> io::Result<()> {
        let flags = if is_read_only { libc::MS_RDONLY } else { 0 };
        mount(None, &self.dir, libc::MS_REMOUNT | flags, "")
    }

    /// Gives the space back that [`fill`](Self::fill) took.
    pub(crate) fn remove_ballast(&self) -> io::Result<()> {
        fs::remove_file(self.ballast())
    }

    /// Fills the disk to its last page, but for `spare` pages.
    pub(crate) fn fill(&self, spare: usize) -> io::Result<()> {
        let mut file = File::create(self.ballast())?;
        let mut bytes = 0;
        loop {
            match file.write(&[1; STEP_BYTES]) {
                Ok(written) => bytes += written,
                Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
        file.set_len(bytes.saturating_sub(spare * STEP_BYTES) as u64)
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The mount table ends with the process, which is soon.
        let _ = unmount(&self.dir);
    }
}

fn cannot_mount<T>(error: &io::Error) -> CaseResult<T> {
    skipped(format!("a small file system cannot be mounted here: {error}; root may"))
}

/// Lets this process open few more files, until it is dropped.
#[derive(Debug)]
pub(crate) struct FilesMax(libc::rlimit);

impl FilesMax {
    /// `more` files than are open now.
    pub(crate) fn lower(more: u64) -> io::Result<Self> {
        let before = files_max()?;
        // A new descriptor has the lowest number that is free.
        let lowest = File::open("/dev/null")?.as_raw_fd() as u64;
        set_files_max(libc::rlimit { rlim_cur: lowest + more, ..before })?;
        Ok(Self(before))
    }
}

impl Drop for FilesMax {
    fn drop(&mut self) {
        set_files_max(self.0).expect("a limit may be raised to where it was");
    }
}
