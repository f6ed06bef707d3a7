//! Small disks, which fill up, and few open files.
//!
//! A small disk is a file system in memory. Where none may be mounted, a directory stands for it together with a limit on the size
//! of this process's files: a write beyond the limit fails with `EFBIG` as one on a full disk does with `ENOSPC`, and works
//! again when the limit is lifted. The limit is one for each file, not for all of them together, and holds wherever they are.

use super::system::{
    file_bytes_max, files_max, ignore_file_limit_signal, mount, own_mounts, set_file_bytes_max,
    set_files_max, unmount,
};
use crate::case::CaseResult;
use crate::check::{failed, skipped};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// What this process was told of disks, and whether it has a mount table of its own.
static MEANS: OnceLock<Means> = OnceLock::new();

#[derive(Debug)]
struct Means {
    own_mounts: io::Result<()>,
    limits_files: bool,
}

/// What is written at once to fill a disk, bytes: a page of the file system.
const STEP_BYTES: usize = 4096;

/// Gives this process a mount table of its own, so that what it mounts is gone with it; where that is not allowed, no disk can
/// be mounted. With `limits_files` a small disk is never mounted. Called while there is one thread.
pub(crate) fn isolate(limits_files: bool) {
    // What it came to is told by whoever mounts.
    let _ = MEANS.get_or_init(|| Means { own_mounts: own_mounts(), limits_files });
}

/// A disk of a fixed size, which this process alone sees.
#[derive(Debug)]
pub(crate) struct Disk {
    dir: PathBuf,
    /// The limit on the size of files before this disk, where such a limit stands for its end.
    limit: Option<libc::rlimit>,
}

impl Disk {
    /// Mounts a file system of `bytes` at `dir`, which is made; skips the case where that is not allowed.
    pub(crate) fn mount(dir: &Path, bytes: u64) -> CaseResult<Self> {
        Self::mounted(means()?, dir, bytes)?.or_else(|error| {
            skipped(format!("a small file system cannot be mounted here: {error}; root may"))
        })
    }

    /// As [`mount`](Self::mount), but where that is not allowed, or not wanted, a limit on the size of files stands for the disk.
    /// There is none before [`limit_files`](Self::limit_files) or [`fill`](Self::fill).
    pub(crate) fn small(dir: &Path, bytes: u64) -> CaseResult<Self> {
        let means = means()?;
        if !means.limits_files
            && let Ok(disk) = Self::mounted(means, dir, bytes)?
        {
            return Ok(disk);
        }
        if !dir.exists() {
            fs::create_dir(dir)?;
        }
        ignore_file_limit_signal()?;
        Ok(Self { dir: dir.canonicalize()?, limit: Some(file_bytes_max()?) })
    }

    fn mounted(means: &Means, dir: &Path, bytes: u64) -> CaseResult<io::Result<Self>> {
        if let Err(error) = &means.own_mounts {
            return Ok(Err(io::Error::new(error.kind(), error.to_string())));
        }
        fs::create_dir(dir)?;
        // The kernel gives each file system of this kind its own size, and no file of it outlives the process.
        let mounted = mount(Some(c"tmpfs"), dir, 0, &format!("size={bytes},mode=700"));
        let dir = dir.canonicalize()?;
        Ok(mounted.map(|()| Self { dir, limit: None }))
    }

    /// Does a limit on the size of files stand for the end of the disk?
    pub(crate) fn is_limit(&self) -> bool {
        self.limit.is_some()
    }

    /// A path on the disk.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes the disk as large as that. A limit on files is lifted.
    pub(crate) fn resize(&self, bytes: u64) -> io::Result<()> {
        match self.limit {
            Some(limit) => set_file_bytes_max(limit),
            None => mount(None, &self.dir, libc::MS_REMOUNT, &format!("size={bytes}")),
        }
    }

    /// Lets no file be written beyond `bytes`, where such a limit stands for the end of the disk. Elsewhere the disk has its end.
    pub(crate) fn limit_files(&self, bytes: u64) -> io::Result<()> {
        match self.limit {
            // The hard limit stays, so that the soft one can be raised again.
            Some(limit) => {
                let rlim_cur = bytes.min(limit.rlim_cur);
                set_file_bytes_max(libc::rlimit { rlim_cur, ..limit })
            }
            None => Ok(()),
        }
    }

    pub(crate) fn set_read_only(&self, is_read_only: bool) -> io::Result<()> {
        let flags = if is_read_only { libc::MS_RDONLY } else { 0 };
        mount(None, &self.dir, libc::MS_REMOUNT | flags, "")
    }

    /// Gives the space back that [`fill`](Self::fill) took.
    pub(crate) fn remove_ballast(&self) -> io::Result<()> {
        match self.limit {
            Some(limit) => set_file_bytes_max(limit),
            None => fs::remove_file(self.ballast()),
        }
    }

    /// Fills the disk to its last page, but for `spare` pages; a limit leaves each file as many from its beginning on.
    pub(crate) fn fill(&self, spare: usize) -> io::Result<()> {
        if self.is_limit() {
            return self.limit_files((spare * STEP_BYTES) as u64);
        }
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
        match self.limit {
            Some(limit) => {
                set_file_bytes_max(limit).expect("a limit may be raised to where it was")
            }
            // The mount table ends with the process, which is soon.
            None => drop(unmount(&self.dir)),
        }
    }
}

fn means() -> CaseResult<&'static Means> {
    MEANS.get().map_or_else(|| failed("the suite did not give this case a process of its own"), Ok)
}

/// Bytes of each file in `dir` and below it.
pub(crate) fn file_sizes(dir: &Path) -> io::Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // A database may remove a file between its name and its length.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            sizes.append(&mut file_sizes(&entry.path())?);
        } else {
            sizes.push(metadata.len());
        }
    }
    Ok(sizes)
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
