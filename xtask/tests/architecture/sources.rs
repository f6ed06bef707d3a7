//! The repository's own Rust sources.

use std::fs;
use std::path::{Path, PathBuf};

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
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
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
