//! Compiled contracts on disk.
//!
//! ```text
//! file      <key in hex>.module = magic "svmodule" | sha256 of key and code | code
//! key       sha256 of everything that decides the code: the binary, the gas schedule, the compiler's configuration, this format
//! ```
//!
//! Machine code that is loaded is run, so a file counts only when it is whole and only the running user could have written
//! it. Anything else is as good as no file.

#![expect(
    unsafe_code,
    reason = "machine code is taken from a file; the block says why it is sound"
)]

use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

const MAGIC: &[u8; 8] = b"svmodule";
/// Changes with the layout of the file or the meaning of its name.
pub(super) const FORMAT_VERSION: u32 = 1;
const SUFFIX: &str = "module";
/// Bits of a mode that let others in.
const OTHERS: u32 = 0o077;

/// The name of a compiled contract.
pub(super) type ArtifactKey = [u8; 32];

/// A directory of compiled contracts.
#[derive(Debug)]
pub(super) struct Artifacts {
    dir: PathBuf,
    /// The user that the process runs as.
    owner: u32,
    bytes_max: u64,
}

impl Artifacts {
    /// Opens `dir`; made when it is missing.
    ///
    /// # Errors
    /// `PermissionDenied` when others than the running user have access to it; `Io`.
    pub(super) fn open(dir: &Path, bytes_max: u64) -> Result<Self> {
        let failed = |error| Error::io("open module cache", error).with("dir", dir.display());
        if !dir.exists() {
            dir.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
            // With its mode from the beginning: a process that is killed here leaves no directory that the next one refuses.
            match DirBuilder::new().mode(0o700).create(dir) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
        // The owner of a file that was just made is the running user.
        let probe = tempfile::NamedTempFile::new_in(dir).map_err(failed)?;
        let owner = probe.as_file().metadata().map_err(failed)?.uid();
        let found = fs::metadata(dir).map_err(failed)?;
        if found.uid() != owner || found.mode() & OTHERS != 0 {
            let message = "others have access to the directory of compiled contracts; make it the running user's, mode 0700";
            return Err(Error::new(ErrorKind::PermissionDenied, "open module cache", message)
                .with("dir", dir.display())
                .with("mode", format!("{:o}", found.mode() & 0o777)));
        }
        Ok(Self { dir: dir.to_owned(), owner, bytes_max })
    }

    /// The compiled contract of this name. A file that cannot be trusted or read is removed.
    pub(super) fn load(
        &self,
        engine: &wasmtime::Engine,
        key: &ArtifactKey,
    ) -> Option<wasmtime::Module> {
        let path = self.path(key);
        let file = File::open(&path).ok()?;
        let module = self.read(file).and_then(|artifact| {
            // SAFETY: these very bytes have the hash that was written with them for this key, in a file that only the running user can
            // write; a process of that user wrote them from `Module::serialize`. wasmtime itself refuses those of another
            // version or configuration.
            unsafe { wasmtime::Module::deserialize(engine, code(key, &artifact)?) }.ok()
        });
        if module.is_none() {
            tracing::warn!(path = %path.display(), "compiled contract is unusable and is compiled again");
            // A file that cannot be removed is replaced by the next store.
            let _ = fs::remove_file(&path);
        }
        module
    }

    /// Keeps `module` under this name. A failure costs the next start a compilation, no more.
    pub(super) fn store(&self, key: &ArtifactKey, module: &wasmtime::Module) {
        let kept = module
            .serialize()
            .map_err(|error| format!("{error:#}"))
            .and_then(|code| self.write(key, &code).map_err(|error| error.to_string()));
        if let Err(error) = kept {
            tracing::warn!(dir = %self.dir.display(), error, "compiled contract is not kept on disk");
        }
    }

    fn path(&self, key: &ArtifactKey) -> PathBuf {
        self.dir.join(hex::encode(key)).with_extension(SUFFIX)
    }

    /// The bytes of a file that is the running user's alone.
    fn read(&self, mut file: File) -> Option<Vec<u8>> {
        let found = file.metadata().ok()?;
        let trusted = found.is_file() && found.uid() == self.owner && found.mode() & OTHERS == 0;
        if !trusted || found.len() > self.bytes_max {
            return None;
        }
        let mut artifact = Vec::with_capacity(found.len() as usize);
        file.read_to_end(&mut artifact).ok()?;
        Some(artifact)
    }

    fn write(&self, key: &ArtifactKey, code: &[u8]) -> std::io::Result<()> {
        self.make_room(code.len() as u64)?;
        // Made with mode 0600; renamed when it is whole, so that a reader finds all of it or nothing.
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(MAGIC)?;
        file.write_all(&seal(key, code))?;
        file.write_all(code)?;
        file.persist(self.path(key))?;
        Ok(())
    }

    /// Removes the oldest files until `bytes` more fit.
    fn make_room(&self, bytes: u64) -> std::io::Result<()> {
        let mut files: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            // Another process may have removed it meanwhile.
            let Ok(found) = fs::metadata(&path) else { continue };
            if path.extension().is_some_and(|suffix| suffix == SUFFIX) {
                files.push((found.modified()?, found.len(), path));
            }
        }
        files.sort();
        let mut total = files.iter().map(|(_, bytes, _)| bytes).sum::<u64>() + bytes;
        for (_, bytes, path) in files {
            if total <= self.bytes_max {
                break;
            }
            fs::remove_file(path)?;
            total -= bytes;
        }
        Ok(())
    }
}

/// The code in an artifact, when it is what was written for this key.
fn code<'a>(key: &ArtifactKey, artifact: &'a [u8]) -> Option<&'a [u8]> {
    let (hash, code) = artifact.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
    (seal(key, code) == *hash).then_some(code)
}

fn seal(key: &ArtifactKey, code: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(key).chain_update(code).finalize().into()
}
