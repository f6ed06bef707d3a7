//! Where the SDK of a new plugin comes from.

use crate::cli::failure::{Failure, Report};
use std::path::{Path, PathBuf};

/// The checkout that this program was compiled in.
const BUILT_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const SDK: &str = "plugin-sdk";
const CONFORMANCE: &str = "conformance";

/// Where the SDK of a new plugin comes from: a checkout, or a registry.
pub(super) struct Sdk {
    checkout: Option<PathBuf>,
}

impl Sdk {
    /// The checkout at `path`, or the registry. `path` may name the checkout or its folder `plugin-sdk`.
    pub(super) fn of(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self { checkout: None }) };
        let parent = path.join("..");
        let candidates = [path, &parent].map(checkout_at);
        let checkout = candidates.into_iter().flatten().next();
        if checkout.is_some() {
            return Ok(Self { checkout });
        }
        let message = format!("{} is no checkout of SuperVM", path.display());
        let hint = format!("name the directory that has {SDK}/ and {CONFORMANCE}/ in it");
        Err(Failure::usage(Report::new(message).hint(hint)))
    }

    /// The checkout's absolute path; `None` when the SDK comes from the registry.
    pub(super) fn checkout(&self) -> Option<&Path> {
        self.checkout.as_deref()
    }

    /// The dependency on the SDK, as `Cargo.toml` has it.
    pub(super) fn sdk(&self) -> String {
        self.dependency(SDK)
    }

    /// The dependency on the conformance suite.
    pub(super) fn conformance(&self) -> String {
        self.dependency(CONFORMANCE)
    }

    fn dependency(&self, folder: &str) -> String {
        let version = env!("CARGO_PKG_VERSION");
        match &self.checkout {
            None => format!("\"{version}\""),
            Some(checkout) => {
                let path = toml::Value::from(checkout.join(folder).display().to_string());
                format!("{{ path = {path}, version = \"{version}\" }}")
            }
        }
    }

    /// How to build against the checkout that this program comes from, when it was not asked for.
    pub(super) fn hint(&self, name: &str) -> Option<String> {
        if self.checkout.is_some() {
            return None;
        }
        let checkout = checkout_at(Path::new(BUILT_IN))?;
        Some(format!(
            "the crate takes the SDK from the registry; where that has none, build against a checkout:\n  \
             supervm plugin new {name} --sdk-path {}",
            checkout.display()
        ))
    }
}

fn checkout_at(path: &Path) -> Option<PathBuf> {
    let has = |folder: &str| path.join(folder).join("Cargo.toml").is_file();
    (has(SDK) && has(CONFORMANCE)).then(|| path.canonicalize().ok())?
}
