//! Compiles the library that makes calls on files fail, so that the crate can carry it.
//!
//! It has to be a shared library of its own, which cargo builds for no dependency. Where it cannot work, the file is empty, and
//! the cases that need it are skipped.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const SOURCE: &str = "shim/calls.rs";

fn main() {
    println!("cargo::rerun-if-changed={SOURCE}");
    let library = PathBuf::from(variable("OUT_DIR")).join("calls.so");
    if !is_supported() {
        fs::write(&library, []).expect("the output directory can be written");
        return;
    }
    let mut rustc = Command::new(variable("RUSTC"));
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "--crate-name", "supervm_calls"]);
    rustc.args(["-C", "panic=abort", "-C", "opt-level=2", "-C", "lto=fat", "-C", "strip=symbols"]);
    rustc.arg("--target").arg(variable("TARGET"));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("linker=");
        option.push(linker);
        rustc.arg("-C").arg(option);
    }
    let compiled = rustc.arg("-o").arg(library).arg(SOURCE).status().expect("the compiler starts");
    assert!(compiled.success(), "{SOURCE} was not compiled: {compiled}");
}

/// The library relies on glibc's names, on 64-bit file offsets and on `/proc`.
fn is_supported() -> bool {
    let of_target = |name: &str| env::var(format!("CARGO_CFG_TARGET_{name}")).unwrap_or_default();
    of_target("OS") == "linux" && of_target("ENV") == "gnu" && of_target("POINTER_WIDTH") == "64"
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"))
}
