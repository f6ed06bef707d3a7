//! Where plugins are looked for. What depends on the environment runs in a child: this same test, told what to expect.

use crate::files;
use std::env;
use std::path::PathBuf;
use supervm_engine::config::PluginsConfig;
use supervm_engine::registry::{PLUGIN_PATH_VARIABLE, SearchPath};
use supervm_plugin_sdk::ErrorKind;

#[test]
fn the_order_is_config_then_variable_then_beside_the_executable_and_nothing_else() {
    let name = "search_path::the_order_is_config_then_variable_then_beside_the_executable_and_nothing_else";
    if !with_plugin_path(name, "/opt/one::/opt/two:/opt/one") {
        return;
    }
    let config =
        PluginsConfig { dirs: vec![PathBuf::from("/etc/plugins")], ..PluginsConfig::default() };
    let path = SearchPath::of_process(&config).unwrap();
    let executable = env::current_exe().unwrap().canonicalize().unwrap();
    let beside = executable.parent().unwrap();
    let dirs: Vec<_> = path.dirs.iter().map(|dir| dir.path.clone()).collect();
    let expected = ["/etc/plugins", "/opt/one", "/opt/two"].map(PathBuf::from).into_iter();
    let expected: Vec<_> = expected.chain([beside.join("plugins"), beside.to_owned()]).collect();
    assert_eq!(dirs, expected);
    assert_eq!(path.dirs[1].to_string(), "/opt/one (SUPERVM_PLUGIN_PATH, missing)");
}

#[test]
fn a_relative_entry_of_the_variable_is_refused() {
    let name = "search_path::a_relative_entry_of_the_variable_is_refused";
    if !with_plugin_path(name, "/opt/one:plugins") {
        return;
    }
    let error = SearchPath::of_process(&PluginsConfig::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
    assert!(error.message().contains("\"plugins\""), "{error}");
}

/// Goes on in a process with this plugin path, in a working directory and with a library path that are to be ignored.
fn with_plugin_path(name: &str, plugin_path: &str) -> bool {
    let ignored = tempfile::tempdir().unwrap();
    files::in_child(name, |command| {
        command
            .env(PLUGIN_PATH_VARIABLE, plugin_path)
            .env("LD_LIBRARY_PATH", ignored.path())
            .current_dir(ignored.path())
    })
}
