//! Which file may be loaded: the path policy and the pin.
//!
//! The file is read once. What was hashed and checked is copied into memory that is sealed against writing, and that memory
//! is what the dynamic linker maps: neither another file in its place nor a change of the file can come in between.
//!
//! The policy ends at the plugin directory. Who may write to the directories above it could put another directory in its
//! place; that they are trusted is the decision of whoever names the directory.

use crate::{Error, ErrorKind, Result};
use sha2::{Digest, Sha256};
use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Largest library that is read, bytes.
const LIBRARY_BYTES_MAX: u64 = 1 << 30;
const WRITABLE_BY_OTHERS: u32 = 0o022;
/// Longest name that `memfd_create` takes, bytes.
const MEMORY_NAME_BYTES_MAX: usize = 249;

/// A library's file, open, inside the plugin directory.
#[derive(Debug)]
pub(super) struct LibraryFile {
    file: File,
    metadata: Metadata,
    /// The plugin directory, resolved.
    root: PathBuf,
    /// The file's path, resolved.
    pub(super) path: PathBuf,
}

impl LibraryFile {
    /// Opens `path`, which has to resolve to a place inside `root`.
    ///
    /// # Errors
    /// `NotFound`, `PermissionDenied` for a path that leads out of `root`, `InvalidArgument` for what is no regular file,
    /// `Io`.
    pub(super) fn open(path: &Path, root: &Path) -> Result<Self> {
        let root = resolve(root, "name a plugin directory that exists")?;
        let real = resolve(path, "name the plugin's shared library")?;
        if !real.starts_with(&root) {
            return Err(denied(format!(
                "the path leads out of the plugin directory {}, to {}; copy the library into it",
                root.display(),
                real.display()
            )));
        }
        // Without O_NONBLOCK, opening a FIFO would wait for a writer. The path is resolved: a link that is at its end by now
        // was put there in between.
        let mut options = File::options();
        options.read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW);
        let opened = || {
            let file = options.open(&real)?;
            let metadata = file.metadata()?;
            Ok((file, metadata))
        };
        let (file, metadata) = opened().map_err(|error| Error::io("open library", error))?;
        if !metadata.is_file() {
            let message = "this is no regular file; name the plugin's shared library";
            return Err(Error::new(ErrorKind::InvalidArgument, "open library", message));
        }
        Ok(Self { file, metadata, root, path: real })
    }

    /// Could only root or the running user have written the file, or put it there?
    ///
    /// # Errors
    /// `PermissionDenied`, saying what to change; `Io`.
    pub(super) fn check_policy(&self) -> Result<()> {
        check_owner(&self.path, &self.metadata)?;
        let inside = |dir: &&Path| dir.starts_with(&self.root);
        for dir in self.path.ancestors().skip(1).take_while(inside) {
            let metadata = dir.metadata().map_err(|error| Error::io("check library", error))?;
            check_owner(dir, &metadata)?;
        }
        Ok(())
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `PermissionDenied` when it is too large, `Io`.
    pub(super) fn read(&self) -> Result<LibraryBytes> {
        let mut bytes = Vec::with_capacity(self.metadata.len().min(LIBRARY_BYTES_MAX) as usize);
        let read = (&self.file).take(LIBRARY_BYTES_MAX + 1).read_to_end(&mut bytes);
        let read = read.map_err(|error| Error::io("read library", error))?;
        if read as u64 > LIBRARY_BYTES_MAX {
            return Err(denied(format!(
                "the library is larger than the {LIBRARY_BYTES_MAX} bytes that are accepted"
            )));
        }
        let sha256 = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(LibraryBytes { bytes, sha256 })
    }
}

/// The content of a library's file, as it was read once.
pub(super) struct LibraryBytes {
    pub(super) bytes: Vec<u8>,
    /// In lower-case hex.
    pub(super) sha256: String,
}

impl LibraryBytes {
    /// Is the hash the one that the configuration pins?
    ///
    /// # Errors
    /// `PermissionDenied`, naming both hashes.
    pub(super) fn check_pin(&self, pin: Option<&str>) -> Result<()> {
        match pin {
            Some(pin) if !pin.eq_ignore_ascii_case(&self.sha256) => Err(denied(
                "the library's sha256 is not the pinned one; check where the file came from, then pin the new hash",
            )
            .with("found", &self.sha256)
            .with("pinned", pin)),
            _ => Ok(()),
        }
    }

    /// A copy in memory that nobody can change any more, under the name of `path` for who looks at the process.
    ///
    /// # Errors
    /// `Io`, when the system gives no such memory.
    pub(super) fn seal(&self, path: &Path) -> Result<File> {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let name = &name[..name.len().min(MEMORY_NAME_BYTES_MAX)];
        let name = CString::new(name).expect("a path has no zero byte");
        let sealed = || {
            let mut memory = memory_file(&name)?;
            memory.write_all(&self.bytes)?;
            let seals =
                libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
            // SAFETY: the descriptor is open, and `F_ADD_SEALS` takes an integer.
            match unsafe { libc::fcntl(memory.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
                0 => Ok(memory),
                _ => Err(std::io::Error::last_os_error()),
            }
        };
        sealed().map_err(|error| Error::io("copy library to memory", error))
    }
}

/// The path under which the dynamic linker opens `file` itself. It is good as long as the file is open.
pub(super) fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

fn memory_file(name: &CString) -> std::io::Result<File> {
    // A system may insist on `MFD_NOEXEC_SEAL`, which forbids running the file as a program and not mapping it; older ones
    // do not know it.
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    for flags in [flags | libc::MFD_NOEXEC_SEAL, flags] {
        // SAFETY: the name ends in a zero byte.
        let descriptor = unsafe { libc::memfd_create(name.as_ptr(), flags) };
        if descriptor >= 0 {
            // SAFETY: the descriptor was made in the line above and has no other owner.
            return Ok(unsafe { File::from_raw_fd(descriptor) });
        }
    }
    Err(std::io::Error::last_os_error())
}

fn resolve(path: &Path, accepted: &str) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| {
        let problem = Error::io("open library", error);
        let message =
            format!("{} cannot be reached: {}; {accepted}", path.display(), problem.message());
        Error::new(problem.kind(), "open library", message)
    })
}

fn check_owner(path: &Path, metadata: &Metadata) -> Result<()> {
    // SAFETY: `geteuid` has no preconditions and cannot fail.
    let user = unsafe { libc::geteuid() };
    check_mode_and_owner(path, metadata.mode(), metadata.uid(), user)
}

fn check_mode_and_owner(path: &Path, mode: u32, owner: u32, user: u32) -> Result<()> {
    if mode & WRITABLE_BY_OTHERS != 0 {
        return Err(denied(format!(
            "{} can be written by its group or by others; run: chmod go-w {0}",
            path.display()
        )));
    }
    if owner != 0 && owner != user {
        return Err(denied(format!(
            "{} belongs to user {owner}; it has to belong to root or to the running user ({user})",
            path.display()
        )));
    }
    Ok(())
}

fn denied(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::PermissionDenied, "check library", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_the_running_user_may_own_a_library() {
        let check = |mode, owner| check_mode_and_owner(Path::new("/p/lib.so"), mode, owner, 1000);
        assert!(check(0o755, 0).is_ok() && check(0o644, 1000).is_ok());
        let refused = check(0o644, 1001).expect_err("another user's");
        assert_eq!(refused.kind(), ErrorKind::PermissionDenied);
        assert!(refused.to_string().contains("belongs to user 1001"), "{refused}");
        for mode in [0o664, 0o646, 0o666] {
            let refused = check(mode, 0).expect_err("writable by others").to_string();
            assert!(refused.contains("chmod go-w /p/lib.so"), "{refused}");
        }
    }
}
