//! The repository's own Rust sources and packages.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A package of the workspace, as cargo describes it.
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest: PathBuf,
    dependencies: Vec<Value>,
}

impl Package {
    /// The names that it depends on in this way: `None` = for its own code, else `dev` or `build`.
    pub(crate) fn imports(&self, kind: Option<&str>) -> BTreeSet<&str> {
        let of_kind = self.dependencies.iter().filter(|one| one["kind"].as_str() == kind);
        of_kind.map(|one| one["name"].as_str().unwrap()).collect()
    }
}

pub(crate) fn packages() -> Vec<Package> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(repository());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = |package: &Value| Package {
        name: package["name"].as_str().unwrap().to_owned(),
        manifest: package["manifest_path"].as_str().unwrap().into(),
        dependencies: package["dependencies"].as_array().unwrap().clone(),
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

pub(crate) struct Source {
    /// Relative to the repository's root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    /// Does the file hold tests, benchmarks or examples only?
    pub(crate) fn is_test(&self) -> bool {
        self.path
            .split('/')
            .any(|part| matches!(part, "tests" | "benches" | "examples" | "testing"))
    }
}

pub(crate) fn repository() -> PathBuf {
    // The one that is tested, though the test may have been compiled in another copy that shares the target directory.
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    Path::new(&here).parent().unwrap().to_owned()
}

/// Every `.rs` file of the workspace's members, sorted.
pub(crate) fn all() -> Vec<Source> {
    let root = repository();
    let mut sources = Vec::new();
    for member in
        ["plugin-sdk", "engine", "plugins", "tiers", "conformance", "xtask", "examples", "bench"]
    {
        walk(&root.join(member), &root, &mut sources);
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(
        sources.len() > 50,
        "the walk found {} files; it looks in the wrong place",
        sources.len()
    );
    sources
}

fn walk(dir: &Path, root: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            walk(&path, root, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            sources.push(Source { path: name, text: fs::read_to_string(&path).unwrap() });
        }
    }
}
