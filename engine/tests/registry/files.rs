//! Libraries of this build, copied to where a test wants them.

use sha2::{Digest, Sha256};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Once;

const CHILD_VARIABLE: &str = "SUPERVM_TEST_CHILD";

pub(crate) const MEMORY: &str = "supervm-storage-memory";
pub(crate) const STORAGE_PACK: &str = "supervm-host-storage";
pub(crate) const CHAIN_PACK: &str = "supervm-host-chain";

/// Copies the library of `package` to `dir` under `name`.
pub(crate) fn copy(package: &str, dir: &Path, name: &str) -> PathBuf {
    let target = dir.join(name);
    fs::copy(built(package), &target).unwrap();
    target
}

/// The library of `package`, from this build's own profile directory.
fn built(package: &str) -> PathBuf {
    static BUILD: Once = Once::new();
    let deps = env::current_exe().unwrap().parent().unwrap().to_owned();
    let library = |package: &str| deps.join(format!("lib{}.so", package.replace('-', "_")));
    BUILD.call_once(|| {
        let packages = [MEMORY, STORAGE_PACK, CHAIN_PACK];
        if packages.iter().any(|package| !library(package).is_file()) {
            build(&packages, deps.parent().unwrap());
        }
    });
    library(package)
}

fn build(packages: &[&str], profile_dir: &Path) {
    let mut command = Command::new(env!("CARGO"));
    command.arg("build").env("CARGO_TARGET_DIR", profile_dir.parent().unwrap());
    if profile_dir.ends_with("release") {
        command.arg("--release");
    }
    for package in packages {
        command.args(["--package", package]);
    }
    let status = command.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
    assert!(status.success(), "the plugins do not build");
}

pub(crate) fn sha256(path: &Path) -> String {
    let digest = Sha256::digest(fs::read(path).unwrap());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// How often the process has the code of a library with this file name mapped.
///
/// The loader maps a sealed copy in memory that has the file's name, so a test that counts has to be [`alone`].
pub(crate) fn times_loaded(name: &str) -> usize {
    let copy = format!("/memfd:{name} (deleted)");
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains(" r-xp ") && line.ends_with(&copy)).count()
}

/// Runs the test of this name in a process of its own; `true` in that process, which has to go on with the test.
pub(crate) fn alone(name: &str) -> bool {
    in_child(name, |command| command)
}

/// As [`alone`], in a process that is started as `prepared`.
pub(crate) fn in_child(name: &str, prepared: impl FnOnce(&mut Command) -> &mut Command) -> bool {
    if env::var_os(CHILD_VARIABLE).is_some() {
        return true;
    }
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", name]).env(CHILD_VARIABLE, "1");
    let output = prepared(&mut command).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "in the child: {text}");
    false
}
