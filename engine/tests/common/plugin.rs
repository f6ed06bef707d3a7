//! Backends as cargo leaves them beside the tests.

use std::path::Path;
use supervm_plugin_sdk::load::{self, Plugin};

/// The backend, linked in or as a library, or why it cannot be used.
pub(crate) fn find(name: &str) -> Result<Plugin, String> {
    let linked = load::linked().unwrap();
    if let Some(plugin) = linked.into_iter().find(|plugin| plugin.descriptor().name == name) {
        return Ok(plugin);
    }
    let executable = std::env::current_exe().unwrap();
    let dir = executable.parent().and_then(Path::parent).unwrap();
    let library = dir.join(format!("libsupervm_storage_{name}.so"));
    if !library.is_file() {
        return Err(format!(
            "{} is missing; `cargo build --release -p supervm-storage-{name}` builds it",
            library.display()
        ));
    }
    Ok(load::library(&library, dir, None).unwrap())
}
