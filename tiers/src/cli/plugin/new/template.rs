//! The files of a new plugin.

use super::sdk::Sdk;
use crate::cli::plugin::arguments::{License, NewArguments, NewKind};
use std::time::SystemTime;

/// A file's name in the crate, and its template.
type Template = (&'static str, &'static str);

const SHARED: &[Template] = &[
    (".github/workflows/ci.yml", include_str!("template/ci.yml")),
    (".gitignore", "/target\n/data\n"),
];
const STORAGE: &[Template] = &[
    ("Cargo.toml", include_str!("template/storage/Cargo.toml.in")),
    ("README.md", include_str!("template/storage/README.md.in")),
    ("src/lib.rs", include_str!("template/storage/lib.rs.in")),
    ("supervm.toml", include_str!("template/storage/supervm.toml.in")),
    ("tests/conformance.rs", include_str!("template/storage/conformance.rs.in")),
];
const HOST_PACK: &[Template] = &[
    ("Cargo.toml", include_str!("template/host-pack/Cargo.toml.in")),
    ("README.md", include_str!("template/host-pack/README.md.in")),
    ("contract.wat", include_str!("template/host-pack/contract.wat.in")),
    ("src/lib.rs", include_str!("template/host-pack/lib.rs.in")),
    ("supervm.toml", include_str!("template/host-pack/supervm.toml.in")),
    ("tests/pack.rs", include_str!("template/host-pack/pack.rs.in")),
];
const MIT: Template = ("LICENSE-MIT", include_str!("template/LICENSE-MIT.in"));
const APACHE: Template = ("LICENSE-APACHE", include_str!("../../../../../LICENSE-APACHE"));

/// What the templates' placeholders stand for.
pub(super) struct Plan<'a> {
    arguments: &'a NewArguments,
    sdk: &'a Sdk,
}

impl<'a> Plan<'a> {
    pub(super) fn new(arguments: &'a NewArguments, sdk: &'a Sdk) -> Self {
        Self { arguments, sdk }
    }

    /// The crate's name as Rust has it.
    pub(super) fn crate_name(&self) -> String {
        self.arguments.name.replace('-', "_")
    }

    /// Every file with its content, sorted by name.
    pub(super) fn files(&self) -> Vec<(&'static str, String)> {
        let of_kind = match self.arguments.kind {
            NewKind::Storage => STORAGE,
            NewKind::HostPack => HOST_PACK,
        };
        let licenses: &[Template] = match self.arguments.license {
            License::Both => &[MIT, APACHE],
            License::Mit => &[MIT],
            License::Apache => &[APACHE],
            License::None => &[],
        };
        let templates = [SHARED, of_kind, licenses].concat();
        let mut files: Vec<_> =
            templates.into_iter().map(|(name, template)| (name, self.fill(template))).collect();
        files.sort();
        files
    }

    fn fill(&self, template: &str) -> String {
        let license = match self.arguments.license {
            License::Both => "license = \"MIT OR Apache-2.0\"\n",
            License::Mit => "license = \"MIT\"\n",
            License::Apache => "license = \"Apache-2.0\"\n",
            License::None => "publish = false\n",
        };
        let values = [
            ("{{name}}", self.arguments.name.clone()),
            ("{{crate}}", self.crate_name()),
            ("{{sdk}}", self.sdk.sdk()),
            ("{{conformance}}", self.sdk.conformance()),
            ("{{license}}\n", license.to_owned()),
            ("{{year}}", year().to_string()),
        ];
        let fill =
            |text: String, (placeholder, value): &(&str, String)| text.replace(placeholder, value);
        values.iter().fold(template.to_owned(), fill)
    }
}

/// This year, by the average length of one.
fn year() -> u64 {
    const SECONDS: u64 = 31_556_952;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    1970 + now.as_secs() / SECONDS
}
