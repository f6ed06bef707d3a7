//! A backend of SuperVM: the directory that every leg of its database begins with, and the two ways to load it.

use crate::data::{BATCH_ENTRIES, Data};
use crate::leg::Leg;
use crate::legs::SupervmLeg;
use std::cell::OnceCell;
use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use supervm_plugin_sdk::OpenMode;
use supervm_plugin_sdk::load::{self, Plugin};
// A plugin is linked in when something names its crate.
use supervm_storage_lmdb as _;
use supervm_storage_memory as _;
use supervm_storage_sqlite as _;
use tempfile::TempDir;

/// Names the target directory in which the shared libraries are built; by default `plugins` in this workspace's own.
const PLUGIN_TARGET_VARIABLE: &str = "SUPERVM_BENCH_PLUGIN_TARGET_DIR";
const MAIN_MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
const SCRATCH: &str = env!("CARGO_TARGET_TMPDIR");

/// The directory that holds the shared libraries.
static LIBRARIES: LazyLock<PathBuf> = LazyLock::new(build_libraries);

/// One backend with its default options.
pub(crate) struct Backend<'a> {
    name: &'static str,
    data: &'a Data,
    image: OnceCell<TempDir>,
}

impl<'a> Backend<'a> {
    pub(crate) fn new(name: &'static str, data: &'a Data) -> Self {
        Self { name, data, image: OnceCell::new() }
    }

    /// A copy of the directory that the backend has filled and closed.
    pub(crate) fn copy(&self) -> TempDir {
        let image = self.image.get_or_init(|| self.fill());
        let copy = scratch_dir();
        for file in fs::read_dir(image.path()).expect("the image is a directory") {
            let file = file.expect("the image can be listed");
            let to = copy.path().join(file.file_name());
            fs::copy(file.path(), to).expect("the image holds files only, and the disk has room");
        }
        copy
    }

    pub(crate) fn linked(&self) -> SupervmLeg {
        SupervmLeg::open(&linked(self.name), self.copy(), OpenMode::MustExist)
    }

    pub(crate) fn loaded(&self) -> SupervmLeg {
        let library = format!("{DLL_PREFIX}supervm_storage_{}{DLL_SUFFIX}", self.name);
        let plugin = load::library(&LIBRARIES.join(library), &LIBRARIES, None);
        SupervmLeg::open(&plugin.expect("it loads"), self.copy(), OpenMode::MustExist)
    }

    fn fill(&self) -> TempDir {
        let mut leg = SupervmLeg::open(&linked(self.name), scratch_dir(), OpenMode::Create);
        self.data.entries.chunks(BATCH_ENTRIES).for_each(|batch| leg.write(batch));
        leg.close()
    }
}

/// A directory on the disk that the target directory is on.
pub(crate) fn scratch_dir() -> TempDir {
    tempfile::tempdir_in(SCRATCH).expect("cargo has made the directory")
}

fn linked(name: &str) -> Plugin {
    let plugins = load::linked().expect("the descriptors are sound");
    let named = |plugin: &Plugin| plugin.descriptor().name == name;
    plugins.into_iter().find(named).expect("each backend is linked in")
}

/// Has cargo build the libraries, as they are shipped: by SuperVM's own workspace and in its profile. Cargo knows whether the ones
/// that are there are of these sources.
fn build_libraries() -> PathBuf {
    let default = || Path::new(SCRATCH).with_file_name("plugins");
    let target = env::var_os(PLUGIN_TARGET_VARIABLE).map_or_else(default, PathBuf::from);
    let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    build.args(["build", "--release", "--manifest-path", MAIN_MANIFEST, "--target-dir"]);
    build.arg(&target);
    for name in ["lmdb", "memory", "sqlite"] {
        build.args(["--package".to_owned(), format!("supervm-storage-{name}")]);
    }
    let status = build.status().expect("cargo, which runs this, can be run");
    assert!(status.success(), "cargo could not build the plugins");
    target.join("release")
}
