//! A backend of SuperVM: the directory that every leg of its database begins with, and the two ways to load it.

use crate::data::Data;
use crate::leg::Leg;
use crate::legs::SupervmLeg;
use std::cell::OnceCell;
use std::env;
use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use supervm_plugin_sdk::OpenMode;
use supervm_plugin_sdk::load::{self, Plugin};
use tempfile::TempDir;
// A plugin is linked in when something names its crate.
#[cfg(feature = "leveldb")]
use supervm_storage_leveldb as _;
use supervm_storage_lmdb as _;
use supervm_storage_memory as _;
#[cfg(feature = "rocksdb")]
use supervm_storage_rocksdb as _;
use supervm_storage_sqlite as _;

/// The backends that this program is built with, in the order of the tables.
pub const BACKENDS: &[&str] = &[
    "memory",
    "lmdb",
    "sqlite",
    #[cfg(feature = "rocksdb")]
    "rocksdb",
    #[cfg(feature = "leveldb")]
    "leveldb",
];

/// The directory of the build that this program is of, such as `target/release`.
static BUILD_DIR: LazyLock<PathBuf> = LazyLock::new(build_dir);

/// The directory of a storage. Every leg over it holds it.
#[derive(Debug)]
pub enum Dir {
    /// Made by this process, and removed after the last leg over it.
    Temporary(TempDir),
    /// Another process's, which outlives this one.
    Lent(PathBuf),
}

impl Dir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Lent(path) => path,
        }
    }
}

/// One backend with its default options.
#[derive(Debug)]
pub struct Backend<'a> {
    name: &'static str,
    data: &'a Data,
    image: OnceCell<Arc<Dir>>,
}

impl<'a> Backend<'a> {
    /// The backend `name`, one of [`BACKENDS`], filled with `data` when it is first needed.
    pub fn new(name: &'static str, data: &'a Data) -> Self {
        Self { name, data, image: OnceCell::new() }
    }

    /// Its name, one of [`BACKENDS`].
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is filled with.
    pub fn data(&self) -> &'a Data {
        self.data
    }

    /// A copy, on disk, of the directory that the backend has filled and closed.
    pub fn copy(&self) -> Arc<Dir> {
        let image = self.image.get_or_init(|| self.fill());
        let copy = scratch_dir();
        for file in fs::read_dir(image.path()).expect("the image is a directory") {
            let file = file.expect("the image can be listed");
            let to = copy.path().join(file.file_name());
            fs::copy(file.path(), &to).expect("the image holds files only, and the disk has room");
            // Nothing is left for the system to write while something is measured.
            File::open(to).and_then(|file| file.sync_all()).expect("the disk has room");
        }
        Arc::new(Dir::Temporary(copy))
    }

    /// The backend that is linked into this program, over `copy`.
    pub fn linked(&self, copy: Arc<Dir>) -> SupervmLeg {
        SupervmLeg::open(&linked(self.name), copy, OpenMode::MustExist)
    }

    /// The backend that is loaded from its shared library, over `copy`.
    pub fn loaded(&self, copy: Arc<Dir>) -> SupervmLeg {
        let library = format!("{DLL_PREFIX}supervm_storage_{}{DLL_SUFFIX}", self.name);
        // A dependency of a program has its shared library made beside what is linked in, from the same sources.
        let libraries = BUILD_DIR.join("deps");
        let plugin = load::library(&libraries.join(library), &libraries, None);
        SupervmLeg::open(&plugin.expect("it loads"), copy, OpenMode::MustExist)
    }

    fn fill(&self) -> Arc<Dir> {
        let dir = Arc::new(Dir::Temporary(scratch_dir()));
        let mut leg = SupervmLeg::open(&linked(self.name), dir, OpenMode::Create);
        self.data.fill().for_each(|batch| leg.write(&batch));
        leg.close()
    }
}

/// A directory on the disk that the target directory is on.
pub fn scratch_dir() -> TempDir {
    let scratch = BUILD_DIR.with_file_name("tmp");
    fs::create_dir_all(&scratch).expect("the target directory can be written");
    tempfile::tempdir_in(scratch).expect("the target directory can be written")
}

/// `<target directory>/<profile>`, in which this program lies, or in a directory of which it lies.
fn build_dir() -> PathBuf {
    let program = env::current_exe().expect("the system knows this program");
    let dir = program.parent().expect("a program lies in a directory");
    let is_nested = dir.ends_with("deps") || dir.ends_with("examples");
    let dir = if is_nested { dir.parent() } else { Some(dir) };
    dir.expect("cargo nests its directories").to_owned()
}

/// The backend `name`, one of [`BACKENDS`], as it is linked into this program.
pub fn linked(name: &str) -> Plugin {
    let plugins = load::linked().expect("the descriptors are sound");
    let named = |plugin: &Plugin| plugin.descriptor().name == name;
    plugins.into_iter().find(named).expect("each backend is linked in")
}
