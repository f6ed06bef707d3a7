//! What the tests of the command share.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses its own part of this")]

pub(crate) mod chain;
pub(crate) mod chance;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// A directory of its own, in which commands run.
pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and gives its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// `supervm` with these arguments, without the environment's own configuration.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_supervm"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("SUPERVM_") {
                command.env_remove(name);
            }
        }
        command.current_dir(self.path()).args(arguments);
        command
    }

    /// What `supervm` with these arguments came to.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::new(self.command(arguments).output().unwrap())
    }

    /// The JSON object that a successful command prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ran = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.object()
    }

    pub(crate) fn digest(&self, arguments: &[&str]) -> String {
        let ran = self.run(&[&["db", "digest"], arguments].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        ran.stdout.trim().to_owned()
    }
}

/// A finished command.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The one JSON object on stdout.
    pub(crate) fn object(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "one object: {}", self.stdout);
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// The one JSON object on stderr.
    pub(crate) fn error(&self) -> Value {
        assert_eq!(self.stderr.lines().count(), 1, "one object: {}", self.stderr);
        serde_json::from_str::<Value>(&self.stderr).unwrap()["error"].clone()
    }
}

/// The path of an example contract.
pub(crate) fn contract(name: &str) -> String {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/contracts");
    dir.join(name).canonicalize().unwrap().to_str().unwrap().to_owned()
}

/// The path of a storage plugin as a shared library.
///
/// Cargo makes it beside the test's executable, together with the library that is linked in. Building it from here would
/// replace that one under the other tests.
pub(crate) fn storage_library(backend: &str) -> String {
    let executable = std::env::current_exe().unwrap();
    let library = executable.with_file_name(format!("libsupervm_storage_{backend}.so"));
    assert!(library.is_file(), "{} is missing", library.display());
    library.to_str().unwrap().to_owned()
}
