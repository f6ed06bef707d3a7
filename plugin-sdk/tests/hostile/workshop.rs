//! Builds the hostile libraries and damages them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

const SDK: &str = env!("CARGO_MANIFEST_DIR");
const WORKSPACE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/hostile");

/// What cargo built, once per process; cargo itself knows what is still fresh.
pub(crate) struct Built {
    /// The plugin, as a shared library.
    pub(crate) plugin: Vec<u8>,
    /// The same, built to abort on panic.
    pub(crate) aborting: Vec<u8>,
    /// A program with the plugin linked in.
    pub(crate) host: PathBuf,
    /// A program with two plugins of one name linked in.
    pub(crate) twice: PathBuf,
}

pub(crate) fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| {
        write_workspace();
        cargo(&["build", "--workspace", "--exclude", "aborting"]);
        // The last crate alone aborts on panic, which is enough for the whole library to do so.
        cargo(&["rustc", "--package", "aborting", "--lib", "--", "-C", "panic=abort"]);
        let output = |name: &str| Path::new(WORKSPACE).join("target/debug").join(name);
        Built {
            plugin: fs::read(output("libhostile.so")).unwrap(),
            aborting: fs::read(output("libaborting.so")).unwrap(),
            host: output("host"),
            twice: output("twice"),
        }
    })
}

fn cargo(arguments: &[&str]) {
    let target = format!("{WORKSPACE}/target");
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .env("CARGO_TARGET_DIR", target)
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_BUILD_TARGET")
        .current_dir(WORKSPACE)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn write_workspace() {
    let library = |name: &str, kinds: &str| {
        format!(
            "[package]\nname = \"{name}\"\nversion = \"1.2.3\"\nedition = \"2024\"\n\
             [lib]\npath = \"{SDK}/tests/hostile/plugin.rs\"\ncrate-type = {kinds}\n\
             [dependencies]\nschemars = \"1\"\nserde = {{ version = \"1\", features = [\"derive\"] }}\n\
             supervm-plugin-sdk = {{ path = \"{SDK}\" }}\n"
        )
    };
    let bin = |name: &str| {
        format!("[[bin]]\nname = \"{name}\"\npath = \"{SDK}/tests/hostile/{name}.rs\"\n")
    };
    let host = format!(
        "[package]\nname = \"host\"\nversion = \"0.0.0\"\nedition = \"2024\"\n{}{}\
         [dependencies]\nhostile = {{ path = \"../hostile\" }}\n\
         supervm-plugin-sdk = {{ path = \"{SDK}\", features = [\"host\"] }}\n",
        bin("host"),
        bin("twice")
    );
    let root = "[workspace]\nresolver = \"3\"\nmembers = [\"hostile\", \"aborting\", \"host\"]\n\
                [profile.dev]\ndebug = false\nstrip = true\n";
    write_if_changed("Cargo.toml", root);
    write_if_changed("hostile/Cargo.toml", &library("hostile", "[\"rlib\", \"cdylib\"]"));
    write_if_changed("aborting/Cargo.toml", &library("aborting", "[\"cdylib\"]"));
    write_if_changed("host/Cargo.toml", &host);
    // The versions that are here already; cargo drops what this workspace does not need.
    let lock = Path::new(WORKSPACE).join("Cargo.lock");
    if !lock.exists() {
        fs::copy(format!("{SDK}/../Cargo.lock"), lock).unwrap();
    }
}

fn write_if_changed(path: &str, text: &str) {
    let path = Path::new(WORKSPACE).join(path);
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A plugin directory that passes the path policy.
pub(crate) struct Dir(TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        set_mode(dir.root(), 0o755);
        dir
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    /// Puts a library there.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.root().join(name);
        fs::write(&path, bytes).unwrap();
        set_mode(&path, 0o644);
        path
    }

    /// Compiles `library.c` there with these arguments.
    pub(crate) fn compile(&self, name: &str, arguments: &[&str]) -> PathBuf {
        let path = self.root().join(name);
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&path)
            .arg(format!("{SDK}/tests/hostile/library.c"))
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        set_mode(&path, 0o644);
        path
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// `bytes` with every occurrence of `old` replaced by `new`, which is as long.
pub(crate) fn replaced(bytes: &[u8], old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut bytes = bytes.to_vec();
    let mut places = 0;
    for start in 0..=bytes.len() - old.len() {
        if bytes[start..].starts_with(old.as_bytes()) {
            bytes[start..start + old.len()].copy_from_slice(new.as_bytes());
            places += 1;
        }
    }
    assert!(places > 0, "the library does not contain {old}");
    bytes
}
