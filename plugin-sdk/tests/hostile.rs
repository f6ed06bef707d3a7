//! Libraries that are damaged, foreign, misplaced or malicious: each is refused with an error that says what to do, and the
//! process goes on.
#![cfg(feature = "host")]
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "hostile/elf.rs"]
mod elf;
#[path = "hostile/workshop.rs"]
mod workshop;

#[path = "hostile/probing.rs"]
mod probing;

use object::elf::*;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use supervm_plugin_sdk::load::{self, Outcome, Step};
use supervm_plugin_sdk::prelude::*;
use workshop::{Dir, built, replaced, set_mode};

/// Loads `path` and asserts that it is refused in `step`, with this kind and these words.
#[track_caller]
fn refused(dir: &Dir, path: &Path, step: Step, kind: ErrorKind, words: &[&str]) {
    let error = load::library(path, dir.root(), None).expect_err("refused");
    let text = error.to_string();
    assert_eq!(error.kind(), kind, "{text}");
    for word in words {
        assert!(text.contains(word), "\"{word}\" is missing in: {text}");
    }
    assert!(text.contains(&path.display().to_string()), "the path is missing in: {text}");
    let inspection = load::inspect(path, dir.root(), None);
    assert_eq!(inspection.failure().map(|report| report.step), Some(step), "{inspection:#?}");
}

#[track_caller]
fn refused_bytes(bytes: &[u8], words: &[&str]) {
    let dir = Dir::new();
    let path = dir.put("lib.so", bytes);
    refused(&dir, &path, Step::Elf, ErrorKind::AbiMismatch, words);
}

fn patched(bytes: &[u8], at: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + patch.len()].copy_from_slice(patch);
    bytes
}

mod files {
    use super::*;

    #[test]
    fn what_is_no_library_for_this_machine_is_refused() {
        let good = &built().plugin;
        refused_bytes(b"", &["the file is empty", "build it again"]);
        refused_bytes(b"#!/bin/sh\necho hello\n", &["no shared library", "lib*.so"]);
        refused_bytes(&good[..5], &["cut short"]);
        refused_bytes(&good[..64], &["cut short"]);
        refused_bytes(&patched(good, 4, &[1]), &["32-bit", "build it for"]);
        refused_bytes(&patched(good, 5, &[2]), &["big-endian", "build it for"]);
        refused_bytes(&patched(good, 18, &[0x28, 0]), &["another machine", "40", "build it for"]);
        refused_bytes(&patched(good, 16, &[2, 0]), &["no shared library", "cdylib"]);
    }

    #[test]
    fn a_library_that_is_cut_anywhere_is_refused() {
        let good = &built().plugin;
        let dir = Dir::new();
        for part in 0..50 {
            let path = dir.put("lib.so", &good[..good.len() * part / 50]);
            let error = load::library(&path, dir.root(), None).expect_err("cut");
            assert_eq!(error.kind(), ErrorKind::AbiMismatch, "at {part}/50: {error}");
            assert!(error.to_string().contains("build it again"), "at {part}/50: {error}");
        }
    }

    #[test]
    fn a_cut_library_without_section_headers_is_refused_too() {
        let stripped = elf::without_sections(&built().plugin);
        let loaded_bytes = elf::program_headers(&stripped)
            .map(|at| {
                u64::from_le_bytes(stripped[at + 8..at + 16].try_into().unwrap())
                    + u64::from_le_bytes(stripped[at + 32..at + 40].try_into().unwrap())
            })
            .max()
            .unwrap() as usize;
        for part in 0..50 {
            refused_bytes(&stripped[..loaded_bytes * part / 50], &["build it again"]);
        }
    }

    #[test]
    fn a_library_without_section_headers_is_accepted() {
        let dir = Dir::new();
        let path = dir.put("lib.so", &elf::without_sections(&built().plugin));
        let plugin = load::library(&path, dir.root(), None).unwrap();
        assert_eq!(plugin.descriptor().name, "well-behaved");
    }

    #[test]
    fn tables_that_lie_outside_of_the_file_are_refused() {
        let good = &built().plugin;
        let checked = [
            DT_STRTAB,
            DT_STRSZ,
            DT_SYMTAB,
            DT_GNU_HASH,
            DT_RELA,
            DT_RELASZ,
            DT_JMPREL,
            DT_INIT,
            DT_FINI,
            DT_INIT_ARRAY,
            DT_FINI_ARRAY,
            DT_VERSYM,
            DT_VERNEED,
            DT_NEEDED,
            DT_RELAENT,
            DT_SYMENT,
            DT_PLTREL,
            DT_RELACOUNT,
        ];
        let mut seen = 0;
        for (tag, at) in elf::dynamic(good).into_iter().filter(|(tag, _)| checked.contains(tag)) {
            for value in [0x7f_ffff_f000_u64, u64::MAX - 7] {
                refused_bytes(&patched(good, at, &value.to_le_bytes()), &["damaged"]);
            }
            seen += usize::from(tag != DT_NEEDED);
        }
        assert!(seen >= 12, "only {seen} tables were found");
    }

    #[test]
    fn impossible_segments_and_relocations_are_refused() {
        let good = &built().plugin;
        let segments = elf::program_headers(good);
        let load = segments.filter(|at| good[*at..*at + 4] == 1_u32.to_le_bytes()).last().unwrap();
        let huge = u64::MAX.to_le_bytes();
        for (field, value) in
            [(8, huge), (16, huge), (32, huge), (40, huge), (40, [0; 8]), (48, 3_u64.to_le_bytes())]
        {
            refused_bytes(&patched(good, load + field, &value), &["build it again"]);
        }
        refused_bytes(&patched(good, 56, &[0xff, 0xff]), &["too many segments"]);
        refused_bytes(&patched(good, 56, &[0xfe, 0]), &["build it again"]);
        let relocation = elf::first_relocation(good);
        refused_bytes(&patched(good, relocation, &[0; 8]), &["relocation", "writable"]);
        refused_bytes(&patched(good, relocation + 12, &[0xff; 4]), &["relocation", "symbol"]);
    }

    #[test]
    fn a_search_path_that_leads_to_the_working_directory_is_refused() {
        let dir = Dir::new();
        let relative = dir.compile("relative.so", &["-Wl,-rpath,plugins"]);
        let words = ["\"plugins\"", "absolute"];
        refused(&dir, &relative, Step::Elf, ErrorKind::AbiMismatch, &words);
        let beside = dir.compile("beside.so", &["-Wl,-rpath,$ORIGIN/lib"]);
        refused(&dir, &beside, Step::Elf, ErrorKind::AbiMismatch, &["$ORIGIN/lib", "statically"]);
    }
}

mod symbols {
    use super::*;

    #[test]
    fn a_library_that_exports_no_one_header_is_refused() {
        let dir = Dir::new();
        let kind = ErrorKind::AbiMismatch;
        let none = dir.compile("none.so", &["-DSYMBOL=other"]);
        refused(&dir, &none, Step::Elf, kind, &["exports no symbol", "export_plugin!"]);
        let small = dir.compile("small.so", &["-DSYMBOL_BYTES=16"]);
        refused(&dir, &small, Step::Elf, kind, &["supervm_plugin_foreign", "too small"]);
        let two = dir.compile("two.so", &["-DSECOND_SYMBOL=supervm_plugin_second"]);
        refused(&dir, &two, Step::Elf, kind, &["several plugins", "library of its own"]);
    }

    #[test]
    fn a_symbol_that_is_no_header_is_refused() {
        let dir = Dir::new();
        let path = dir.compile("foreign.so", &[]);
        let words = ["header is not one of this SDK", "rebuild the plugin"];
        refused(&dir, &path, Step::AbiVersion, ErrorKind::AbiMismatch, &words);
    }

    #[test]
    fn a_library_that_needs_what_is_missing_is_refused() {
        let dir = Dir::new();
        let path = dir.compile("unresolved.so", &["-DUNRESOLVED"]);
        let words = ["dynamic linker", "a_function_that_nobody_has", "install what it needs"];
        refused(&dir, &path, Step::Link, ErrorKind::AbiMismatch, &words);
    }

    #[test]
    fn another_abi_version_is_refused() {
        let good = &built().plugin;
        let at = elf::text_behind(good, "supervm_plugin_hostile", "1.0.0");
        let dir = Dir::new();
        let path = dir.put("lib.so", &patched(good, at, b"7.0.0"));
        let words = ["ABI 7.0.0", "this host has 1", "rebuild the plugin"];
        refused(&dir, &path, Step::AbiVersion, ErrorKind::AbiMismatch, &words);
    }

    #[test]
    fn another_layout_is_refused_in_at_most_twenty_lines() {
        let dir = Dir::new();
        let path = dir.put("lib.so", &replaced(&built().plugin, "size_on_disk", "size_on_disc"));
        let words = ["types differ", "rebuild the plugin against supervm-plugin-sdk"];
        refused(&dir, &path, Step::Layout, ErrorKind::AbiMismatch, &words);
        let inspection = load::inspect(&path, dir.root(), None);
        let Outcome::Failed { message, .. } = inspection.outcome(Step::Layout) else { panic!() };
        let lines = message.lines().count();
        assert!((3..=load::FAILURE_LINES_MAX).contains(&lines), "{lines} lines:\n{message}");
        assert!(message.contains("more lines; RUST_LOG="), "{message}");
        assert!(message.contains("size_on_disk") && message.contains("size_on_disc"), "{message}");
    }

    #[test]
    fn a_plugin_that_aborts_on_panic_is_refused() {
        let dir = Dir::new();
        let path = dir.put("lib.so", &built().aborting);
        let words = ["panic = \"abort\"", "build it with panic = \"unwind\""];
        refused(&dir, &path, Step::Panic, ErrorKind::AbiMismatch, &words);
    }

    #[test]
    fn a_name_with_a_slash_is_refused() {
        let dir = Dir::new();
        let path = dir.put("lib.so", &replaced(&built().plugin, "well-behaved", "well/behaved"));
        let words = ["invalid plugin name \"well/behaved\"", "a-z, 0-9 and -"];
        refused(&dir, &path, Step::Descriptor, ErrorKind::InvalidArgument, &words);
    }

    #[test]
    fn two_linked_plugins_of_one_name_are_refused() {
        let output = Command::new(&built().twice).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with("InvalidArgument"), "{text}");
        assert!(text.contains("two plugins are linked in under the name \"well-behaved\""));
    }
}

mod policy {
    use super::*;

    #[test]
    fn only_the_pinned_bytes_are_loaded() {
        let dir = Dir::new();
        let path = dir.put("lib.so", &built().plugin);
        let inspection = load::inspect(&path, dir.root(), None);
        let Outcome::Ok { found } = inspection.outcome(Step::Pin) else { panic!("{inspection:?}") };
        load::library(&path, dir.root(), Some(&found.to_uppercase())).unwrap();
        let wrong = "0".repeat(64);
        let error = load::library(&path, dir.root(), Some(&wrong)).expect_err("another hash");
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        let text = error.to_string();
        assert!(text.contains(found) && text.contains(&wrong), "{text}");
        assert!(text.contains("pin the new hash"), "{text}");
        let pinned = load::inspect(&path, dir.root(), Some(&wrong));
        assert_eq!(pinned.failure().unwrap().step, Step::Pin);
        assert_eq!(*pinned.outcome(Step::Elf), Outcome::NotReached);
    }

    #[test]
    fn what_others_can_write_is_refused() {
        let dir = Dir::new();
        let denied = |path: &Path, words: &[&str]| {
            refused(&dir, path, Step::Policy, ErrorKind::PermissionDenied, words);
        };
        let path = dir.put("lib.so", &built().plugin);
        set_mode(&path, 0o664);
        denied(&path, &["lib.so can be written by its group", "chmod go-w"]);
        set_mode(&path, 0o644);
        let below = dir.root().join("below");
        fs::create_dir(&below).unwrap();
        set_mode(&below, 0o757);
        let inner = dir.put("below/lib.so", &built().plugin);
        denied(&inner, &["below can be written", "chmod go-w"]);
        set_mode(&below, 0o755);
        set_mode(dir.root(), 0o775);
        denied(&path, &["chmod go-w", &dir.root().display().to_string()]);
        denied(&inner, &["chmod go-w", &dir.root().display().to_string()]);
        set_mode(dir.root(), 0o755);
        load::library(&inner, dir.root(), None).unwrap();
    }

    #[test]
    fn a_path_that_leads_out_of_the_directory_is_refused() {
        let (dir, elsewhere) = (Dir::new(), Dir::new());
        let target = elsewhere.put("lib.so", &built().plugin);
        let link = dir.root().join("lib.so");
        symlink(&target, &link).unwrap();
        let words =
            ["leads out of the plugin directory", target.to_str().unwrap(), "copy the library"];
        refused(&dir, &link, Step::Find, ErrorKind::PermissionDenied, &words);
        let dotted =
            dir.root().join("..").join(elsewhere.root().file_name().unwrap()).join("lib.so");
        refused(&dir, &dotted, Step::Find, ErrorKind::PermissionDenied, &["leads out"]);
        // A link that stays inside is only another name.
        dir.put("real.so", &built().plugin);
        let inside = dir.root().join("inside.so");
        symlink("real.so", &inside).unwrap();
        load::library(&inside, dir.root(), None).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let dir = Dir::new();
        let begun = Instant::now();
        let fifo = dir.root().join("fifo.so");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        let sub = dir.root().join("dir.so");
        fs::create_dir(&sub).unwrap();
        for path in [fifo, sub] {
            let words = ["no regular file", "name the plugin's shared library"];
            refused(&dir, &path, Step::Find, ErrorKind::InvalidArgument, &words);
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
        let missing = dir.root().join("missing.so");
        let words = ["missing.so cannot be reached", "name the plugin's shared library"];
        refused(&dir, &missing, Step::Find, ErrorKind::NotFound, &words);
    }
}

mod behaviour {
    use super::*;

    fn plugin() -> load::Plugin {
        let dir = Dir::new();
        let path = dir.put("lib.so", &built().plugin);
        load::library(&path, dir.root(), None).unwrap()
    }

    fn open(failure: &str, dir: &Dir) -> Result<Box<dyn StorageBackend>> {
        plugin().open_storage(dir.root(), &format!("failure = \"{failure}\""), OpenMode::Create)
    }

    fn write(storage: &dyn StorageBackend) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.put(b"key", b"value");
        storage.write(&batch, Durability::Buffered)
    }

    fn works() {
        let dir = Dir::new();
        let storage = open("none", &dir).unwrap();
        write(&*storage).unwrap();
        let mut value = ByteBuf::new();
        assert!(storage.get(b"key", &mut value).unwrap());
        assert_eq!(&*value, b"value");
        storage.close().unwrap();
    }

    #[test]
    fn an_error_from_open_arrives_as_it_is_and_leaves_the_directory_free() {
        let dir = Dir::new();
        let error = open("refuse-open", &dir).map(drop).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Corruption);
        assert!(error.to_string().contains("page 7 is not what was written"), "{error}");
        let error = open("panic-in-open", &dir).map(drop).expect_err("panics");
        assert_eq!(error.kind(), ErrorKind::PluginPanicked);
        assert!(error.to_string().contains("panicked in open"), "{error}");
        open("none", &dir).unwrap();
    }

    #[test]
    fn a_panic_anywhere_is_an_error_that_poisons_the_storage_and_no_other() {
        for (failure, place) in [
            ("panic-in-get", "panicked in get"),
            ("panic-in-write", "panicked in write"),
            ("panic-in-next-page", "panicked in next_page"),
        ] {
            let dir = Dir::new();
            let storage = open(failure, &dir).unwrap();
            let mut cursor = storage.cursor(KeyRange::ALL, Direction::Forward).unwrap();
            let mut value = ByteBuf::new();
            let mut outcomes = || {
                let (got, written) = (storage.get(b"key", &mut value).map(drop), write(&*storage));
                [got, written, cursor.next_page(&mut Page::new()).map(drop)]
            };
            let first: Vec<_> = outcomes().into_iter().filter_map(Result::err).collect();
            assert_eq!(first[0].kind(), ErrorKind::PluginPanicked, "{failure}");
            assert!(first[0].to_string().contains(place), "{}", first[0]);
            for outcome in outcomes() {
                let error = outcome.expect_err("poisoned");
                assert_eq!(error.kind(), ErrorKind::Poisoned, "{failure}: {error}");
            }
            works();
        }
    }

    #[test]
    fn a_panic_in_a_drop_is_survived_and_frees_the_directory() {
        let dir = Dir::new();
        drop(open("panic-in-drop", &dir).unwrap());
        open("none", &dir).unwrap();
        let storage = open("panic-in-cursor-drop", &Dir::new()).unwrap();
        drop(storage.cursor(KeyRange::ALL, Direction::Forward).unwrap());
        let error = write(&*storage).expect_err("the cursor's drop panicked");
        assert_eq!(error.kind(), ErrorKind::Poisoned);
        works();
    }

    #[test]
    fn one_crate_can_be_linked_in_and_loaded_in_one_process() {
        let dir = Dir::new();
        let path = dir.put("lib.so", &built().plugin);
        let output =
            Command::new(&built().host).arg("both").arg(&path).arg(dir.root()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let expected = ["well-behaved 1", "well-behaved 2", "well-behaved 1"];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "{errors}");
    }

    #[test]
    fn one_content_is_loaded_once_and_outlives_its_file() {
        let dir = Dir::new();
        let bytes = replaced(&built().plugin, "well-behaved", "outlives-its");
        let [first, second] = ["one.so", "two.so"].map(|name| dir.put(name, &bytes));
        let opened = |path: &Path| {
            let plugin = load::library(path, dir.root(), None).unwrap();
            // Cut the file: were it what is mapped, the next call would end the process.
            fs::write(path, b"").unwrap();
            let storage = plugin.open_storage(&dir.root().join("data"), "", OpenMode::Create);
            storage.unwrap().stats().unwrap().backend["opened"]
        };
        assert_eq!([opened(&first), opened(&second)], [1, 2]);
    }
}
