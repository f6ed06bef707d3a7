//! A host with the hostile plugin linked in: `probe PATH ROOT [PIN]`, `both PATH ROOT` or `linked`.

use hostile as _;
use std::process::ExitCode;
use supervm_plugin_sdk::{OpenMode, load};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().expect("a command");
    match command.to_str() {
        Some("probe") => return load::probe_child(arguments),
        Some("both") => {
            let [path, root] = [arguments.next(), arguments.next()].map(|it| it.expect("a path"));
            let linked = load::linked().expect("one plugin is linked in").remove(0);
            let loaded = load::library(path.as_ref(), root.as_ref(), None).expect("loads");
            // Twice as many of the linked one: a counter that both shared would show it.
            for (plugin, times) in [(&linked, 2), (&loaded, 1)] {
                for _ in 0..times {
                    println!("{} {}", plugin.descriptor().name, opened(plugin));
                }
            }
        }
        _ => match load::linked() {
            Ok(plugins) => println!("{} linked in", plugins.len()),
            Err(error) => println!("{error}"),
        },
    }
    ExitCode::SUCCESS
}

fn opened(plugin: &load::Plugin) -> u64 {
    let dir = std::env::temp_dir().join(format!("supervm-hostile-{}", std::process::id()));
    let storage = plugin.open_storage(&dir, "", OpenMode::Create).expect("opens");
    let stats = storage.stats().expect("stats");
    drop(storage);
    std::fs::remove_dir_all(&dir).expect("removes its directory");
    stats.backend["opened"]
}
