//! Finding plugins: those that are linked in, and shared libraries in the search path.
//!
//! A library runs code when it is loaded, so none is loaded to find another: what a library is called is read from the
//! manifest beside it or guessed from its file's name, and only the one that was asked for is loaded. When no name fits,
//! the libraries that say nothing about themselves are loaded and asked.
//!
//! A plugin file in a directory of the search path is `libsupervm_*.so`, or any `lib*.so` with a manifest `lib*.toml`
//! beside it.

mod manifest;
mod search;
mod library;
mod found;
mod lookup;
mod packs;
mod listing;

pub use listing::{Listing, Origin};
pub use lookup::Registry;
pub use manifest::{PLUGIN_MANIFEST_BYTES_MAX, PluginManifest};
pub use search::{PLUGIN_PATH_VARIABLE, SearchDir, SearchPath};
