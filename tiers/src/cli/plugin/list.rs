//! `supervm plugin list`: the plugins that are linked in or found.

use crate::cli::arguments::ProfileArguments;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use serde::Serialize;
use serde_json::json;
use supervm_engine::registry::{Listing, Origin, Registry};

/// A plugin as `plugin list --json` prints it.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    kind: Option<String>,
    version: String,
    description: String,
    linked_in: bool,
    path: Option<String>,
    shadowed: bool,
    problem: Option<String>,
}

/// Prints every plugin, and what is wrong with it.
pub(super) fn list(profile: &ProfileArguments, output: &mut Output) -> Result<(), Failure> {
    let registry = Registry::new(&profile.profile()?.plugins)?;
    let listings = registry.list();
    if output.is_json() {
        let rows: Vec<_> = listings.iter().map(Row::new).collect();
        return output.object(&json!({ "plugins": rows }));
    }
    let head = ["name", "kind", "version", "origin", "state"].map(str::to_owned).to_vec();
    let rows = listings.iter().map(|listing| {
        let kind = listing.kind.map_or_else(|| "unknown".to_owned(), |kind| kind.to_string());
        let state = match (&listing.problem, listing.shadowed) {
            (Some(problem), _) => format!("unusable: {}", problem.message()),
            (None, true) => "not used, the linked-in one wins".to_owned(),
            (None, false) => "ok".to_owned(),
        };
        let origin = listing.origin.to_string();
        vec![listing.name.clone(), kind, listing.version.clone(), origin, state]
    });
    output.table(&std::iter::once(head).chain(rows).collect::<Vec<_>>())
}

impl Row {
    fn new(listing: &Listing) -> Self {
        let path = match &listing.origin {
            Origin::LinkedIn => None,
            Origin::File(path) => Some(path.display().to_string()),
        };
        Self {
            name: listing.name.clone(),
            kind: listing.kind.map(|kind| kind.to_string()),
            version: listing.version.clone(),
            description: listing.description.clone(),
            linked_in: path.is_none(),
            path,
            shadowed: listing.shadowed,
            problem: listing.problem.as_ref().map(ToString::to_string),
        }
    }
}
