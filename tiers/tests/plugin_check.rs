//! `supervm plugin check`, from outside.

mod common;

use common::{Place, storage_library};

#[test]
fn a_selection_of_cases_gives_a_verdict_and_no_certificate() {
    let place = Place::new();
    let library = place.path().join("libsupervm_storage_lmdb.so");
    std::fs::copy(storage_library("lmdb"), &library).expect("the library is there");
    let path = library.to_str().expect("a temporary path is text");
    let arguments =
        ["plugin", "check", path, "--case", "point.", "--case", "batch.", "--seed", "7"];
    let ran = place.run(&[&arguments[..], &["--report", "report.md"]].concat());
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    for line in
        ["ok      descriptor      lmdb", "seed 7", "B point operations", "verdict      passed"]
    {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains("only a whole run gives one"), "{}", ran.stdout);
    assert!(!library.with_extension("conformance.json").exists());
    let report = std::fs::read_to_string(place.path().join("report.md")).expect("a report");
    assert!(report.starts_with("# Conformance of lmdb"), "{report}");
    let object = place.json(&arguments);
    assert_eq!(object["passed"], true);
    assert_eq!(object["report"]["certificate"]["complete"], false);
    assert_eq!(object["inspection"]["descriptor"]["name"], "lmdb");
}

#[test]
fn wrong_arguments_are_told_from_a_failed_check() {
    let place = Place::new();
    place.file("libtext.so", "no library");
    let lmdb = storage_library("lmdb");
    for (arguments, code, said) in [
        (&["libtext.so"][..], 1, "the step \"ELF file\" failed"),
        (&["libmissing.so"], 1, "the step \"find\" failed"),
        (&[&lmdb, "--case", "nothing."], 2, "no case begins with \"nothing.\""),
        (&[&lmdb, "--report", "report.txt"], 2, "ends in .json, .xml or .md"),
        (&[&lmdb, "--options", "missing.toml"], 2, "cannot read the options"),
        (&[&lmdb, "--profile", "wild"], 2, "wild"),
    ] {
        let ran = place.run(&[&["plugin", "check"], arguments].concat());
        assert_eq!(ran.code, code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    }
    let object = place.run(&["plugin", "check", "libtext.so", "--json"]).object();
    assert_eq!(object["passed"], false);
}

#[test]
fn options_that_the_backend_refuses_end_the_check() {
    let place = Place::new();
    place.file("options.toml", "map_byte = 1\n");
    let lmdb = storage_library("lmdb");
    let ran =
        place.run(&["plugin", "check", &lmdb, "--options", "options.toml", "--case", "point."]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(ran.stderr.contains("map_byte"), "{}", ran.stderr);
}
