//! The system packages that native libraries need to build.

use crate::steps;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A tool that a native library's build needs, and the Debian package that brings it.
struct Tool {
    name: &'static str,
    package: &'static str,
    is_there: fn() -> bool,
}

const TOOLS: &[Tool] = &[
    Tool { name: "cmake", package: "cmake", is_there: cmake_is_there },
    Tool { name: "libclang", package: "libclang-dev", is_there: libclang_is_there },
];

/// Installs what is missing with apt-get where that is possible; else says which one line to run.
pub(crate) fn system_packages() -> Result<()> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| !(tool.is_there)()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = missing.iter().map(|tool| tool.name).collect();
    let packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
    let by_hand = format!("sudo apt-get install -y {}", packages.join(" "));
    if !may_install() {
        bail!("missing: {}; install them and run this again:\n  {by_hand}", names.join(", "));
    }
    eprintln!("installing what is missing: {}", names.join(", "));
    let mut update = apt_get();
    // Without fresh lists the package may be found all the same.
    let _ = steps::run(update.args(["update", "-q"]));
    let mut install = apt_get();
    install.args(["install", "-y", "-q", "--no-install-recommends"]).args(&packages);
    steps::run(&mut install)?;
    match missing.iter().find(|tool| !(tool.is_there)()) {
        Some(tool) => bail!("{} was installed and is still not found; run: {by_hand}", tool.name),
        None => Ok(()),
    }
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
    command
}

/// Is this root on a machine with apt-get? Asking for a password is left to the user.
fn may_install() -> bool {
    let output = Command::new("id").arg("-u").output();
    let is_root = output.is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    is_root && runs("apt-get")
}

fn cmake_is_there() -> bool {
    runs("cmake")
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Looks where bindgen looks: `LIBCLANG_PATH`, LLVM's own directories, the system's library directories.
fn libclang_is_there() -> bool {
    let mut dirs: Vec<PathBuf> =
        std::env::var_os("LIBCLANG_PATH").map(PathBuf::from).into_iter().collect();
    dirs.extend(
        entries(Path::new("/usr/lib")).filter(|dir| is_llvm(dir)).map(|dir| dir.join("lib")),
    );
    let arch = std::env::consts::ARCH;
    dirs.extend([
        PathBuf::from(format!("/usr/lib/{arch}-linux-gnu")),
        "/usr/lib64".into(),
        "/usr/local/lib".into(),
    ]);
    dirs.iter().any(|dir| entries(dir).any(|file| is_libclang(&file)))
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path())
}

fn is_llvm(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with("llvm-"))
}

/// `libclang.so`, `libclang.so.1`, `libclang-14.so`; libclang-cpp is another library.
fn is_libclang(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let Some(rest) = name.strip_prefix("libclang") else {
        return false;
    };
    let rest = rest
        .strip_prefix('-')
        .map_or(rest, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.'));
    rest.starts_with(".so") || rest.starts_with("so")
}

#[cfg(test)]
mod tests {
    use super::is_libclang;
    use std::path::Path;

    #[test]
    fn libclang_is_told_from_its_namesakes() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so.1", "libclang-14.0.6.so"] {
            assert!(is_libclang(Path::new(name)), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclang.a", "libclangAST.so", "libclang_rt.so"] {
            assert!(!is_libclang(Path::new(name)), "{name}");
        }
    }
}
