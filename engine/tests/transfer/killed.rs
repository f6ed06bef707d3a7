//! Transfers whose process is killed half-way, and run again.
//!
//! The child is this program, started again. It says when it has come as far as it was told, and waits there for its end.

use crate::Rule;
use crate::support::{BACKENDS, digest, find, kind, large, names, open, past, place, try_open};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio, exit};
use std::thread::park;
use supervm_engine::history::{History, PruneOptions, PruneTarget};
use supervm_engine::storage::unfinished;
use supervm_engine::transfer::{
    ExportAt, ExportOptions, ImportOptions, Phase, Progress, Resumed, convert, export, import,
    verify,
};
use supervm_plugin_sdk::load::Plugin;
use supervm_plugin_sdk::{ErrorKind, OpenMode};

/// `operation|backend|bytes`; the directory is the working directory.
const CHILD_VARIABLE: &str = "SUPERVM_TRANSFER_CHILD";
const REACHED: &str = "reached";

pub(crate) const RULES: &[Rule] = &[
    ("a_killed_export_is_finished_by_running_it_again", exporting),
    ("a_killed_import_is_finished_by_running_it_again", importing),
    ("a_killed_conversion_is_finished_by_running_it_again", converting),
    ("a_conversion_begins_anew_when_its_source_moved_on", moved_on),
];

/// In a child: does what it was told, and ends the process.
pub(crate) fn take_over_if_child() {
    let Ok(task) = std::env::var(CHILD_VARIABLE) else { return };
    let [operation, backend, bytes] = task.split('|').collect::<Vec<_>>()[..] else {
        panic!("{task}")
    };
    let name = BACKENDS.into_iter().find(|name| *name == backend).unwrap();
    let (plugin, bytes): (_, u64) = (find(name).unwrap(), bytes.parse().unwrap());
    let mut stop = |progress: &Progress| {
        if progress.phase == Phase::Copying && progress.bytes >= bytes {
            println!("{REACHED}");
            std::io::stdout().flush().unwrap();
            loop {
                park();
            }
        }
    };
    run(operation, &plugin, Path::new("."), &mut stop);
    exit(0);
}

fn run(operation: &str, plugin: &Plugin, dir: &Path, stop: &mut dyn FnMut(&Progress)) -> Resumed {
    let (source, target, file) = (dir.join("source"), dir.join("target"), dir.join("file"));
    match operation {
        "export" => {
            let storage = open(plugin, &source);
            let options = ExportOptions::default();
            let report = export(&storage, ExportAt::Latest, &file, &options, stop).unwrap();
            storage.close().unwrap();
            report.resumed
        }
        "import" => {
            let options = ImportOptions::default();
            import(&file, place(plugin, &target), &options, stop).unwrap().resumed
        }
        "convert" => convert(place(plugin, &source), place(plugin, &target), stop).unwrap().resumed,
        other => panic!("{other}"),
    }
}

/// Starts a child and kills it when it has done so many bytes.
fn kill(operation: &str, plugin: &Plugin, dir: &Path, bytes: u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(CHILD_VARIABLE, format!("{operation}|{}|{bytes}", plugin.descriptor().name))
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // On Unix this is SIGKILL.
    child.kill().unwrap();
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(line.trim(), REACHED, "{status}: {said}");
    assert_eq!(status.code(), None, "it was killed");
}

fn finish(operation: &str, plugin: &Plugin, dir: &Path) -> Resumed {
    run(operation, plugin, dir, &mut |_| {})
}

/// A backend that keeps everything in memory has nothing on disk yet.
fn forgets(plugin: &Plugin) -> bool {
    plugin.descriptor().name == "memory"
}

fn check_resumed(plugin: &Plugin, resumed: &Resumed) {
    match resumed {
        Resumed::Resumed { entries } => assert!(*entries > 0),
        Resumed::BeganAnew { .. } => assert!(forgets(plugin), "{resumed:?}"),
        Resumed::Fresh => panic!("it does not know of the killed run"),
    }
}

const MIB: u64 = 1 << 20;

fn exporting(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    large(plugin, &dir.path().join("source"));
    for bytes in [12 * MIB, 30 * MIB] {
        kill("export", plugin, dir.path(), bytes);
        assert_eq!(names(dir.path()), [".file.partial", "source"], "no file by half");
    }
    let resumed = finish("export", plugin, dir.path());
    assert!(matches!(resumed, Resumed::Resumed { entries: 1.. }), "{resumed:?}");
    assert_eq!(names(dir.path()), ["file", "source"]);
    let verified = verify(&dir.path().join("file"), &mut |_| {}).unwrap();
    assert_eq!(verified.full_digest.to_string(), digest(plugin, &dir.path().join("source")));
}

fn importing(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, target, file) =
        (dir.path().join("source"), dir.path().join("target"), dir.path().join("file"));
    large(plugin, &source);
    let storage = open(plugin, &source);
    let options = ExportOptions::default();
    export(&storage, ExportAt::Latest, &file, &options, &mut |_| {}).unwrap();
    storage.close().unwrap();
    drop(storage);
    kill("import", plugin, dir.path(), 55 * MIB);
    assert_eq!(
        unfinished(&target).unwrap().unwrap(),
        format!("import of {}", file.canonicalize().unwrap().display())
    );
    let refused = try_open(plugin, &target, OpenMode::Create);
    assert_eq!(kind(&refused), ErrorKind::FormatMismatch, "no node opens it");
    check_resumed(plugin, &finish("import", plugin, dir.path()));
    assert_eq!(digest(plugin, &target), digest(plugin, &source));
    assert_eq!(unfinished(&target).unwrap(), None);
    // A file that is refused on the way takes with it what an earlier run wrote.
    std::fs::remove_dir_all(&target).unwrap();
    kill("import", plugin, dir.path(), 55 * MIB);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 10 * 9]).unwrap();
    let options = ImportOptions::default();
    let refused = import(&file, place(plugin, &target), &options, &mut |_| {});
    assert_eq!(kind(&refused), ErrorKind::Corruption);
    assert!(!target.exists(), "nothing half-imported is left");
}

fn converting(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    large(plugin, &source);
    let before = past(plugin, &source);
    kill("convert", plugin, dir.path(), 55 * MIB);
    assert_eq!(
        unfinished(&target).unwrap().unwrap(),
        format!("conversion of {}", source.canonicalize().unwrap().display())
    );
    check_resumed(plugin, &finish("convert", plugin, dir.path()));
    assert_eq!(past(plugin, &target), before);
    assert_eq!(names(dir.path()), ["source", "target"]);
}

fn moved_on(plugin: &Plugin) {
    let dir = tempfile::tempdir().unwrap();
    let (source, target) = (dir.path().join("source"), dir.path().join("target"));
    large(plugin, &source);
    kill("convert", plugin, dir.path(), 55 * MIB);
    // Pruning changes no state, and yet what there is to be copied.
    let storage = open(plugin, &source);
    let history = History::new(storage.clone()).unwrap();
    history.prune(PruneTarget::Block(4), PruneOptions::default(), &mut |_| {}).unwrap();
    drop(history);
    storage.close().unwrap();
    drop(storage);
    match finish("convert", plugin, dir.path()) {
        Resumed::BeganAnew { reason } => {
            assert!(forgets(plugin) || reason.contains("not what it was"), "{reason}");
        }
        unexpected => panic!("{unexpected:?}"),
    }
    assert_eq!(past(plugin, &target), past(plugin, &source));
}
