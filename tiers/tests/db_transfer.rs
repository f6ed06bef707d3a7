//! `supervm db export`, `import`, `convert`, `checkpoint`, `restore` and `diff`, from outside.

mod common;

use common::Place;
use common::chain::{Chain, open};
use supervm_engine::layout::HistoryMode;

const CHAIN: Chain = Chain { keys: 600, blocks: 30 };
const BACKENDS: [&str; 3] = ["lmdb", "memory", "sqlite"];

fn chain(backend: &str) -> Place {
    let place = Place::new();
    CHAIN.load(backend, &place.path().join("supervm-data"), CHAIN.blocks);
    place
}

fn digest(place: &Place, backend: &str, dir: &str) -> String {
    place.digest(&["--backend", backend, "--dir", dir])
}

#[test]
fn what_is_exported_from_one_backend_is_imported_into_every_other() {
    for from in BACKENDS {
        let place = chain(from);
        let expected = place.digest(&["--backend", from]);
        let report = place.json(&["db", "export", "chain.snapshot", "--backend", from]);
        assert_eq!(
            (&report["digest"], &report["dry_run"]),
            (&expected.clone().into(), &false.into())
        );
        assert_eq!(report["header"]["version"], 30);
        assert_eq!(report["counts"]["state"], CHAIN.state(30).len());
        for to in BACKENDS {
            let arguments = ["db", "import", "chain.snapshot", "--backend", to, "--dir", to];
            let imported = place.json(&arguments);
            assert_eq!(
                (&imported["digest"], &imported["backend"]),
                (&expected.clone().into(), &to.into())
            );
            assert_eq!(digest(&place, to, to), expected, "{from} to {to}");
            let sound = place.json(&["db", "verify", "--backend", to, "--dir", to]);
            assert_eq!(sound["sound"], true, "{sound}");
        }
    }
}

#[test]
fn an_export_at_a_block_has_the_state_of_the_block() {
    let place = chain("sqlite");
    let expected = place.digest(&["--at-block", "11"]);
    let report = place.json(&["db", "export", "early", "--at-block", "11"]);
    assert_eq!(
        (&report["digest"], &report["header"]["version"]),
        (&expected.clone().into(), &11.into())
    );
    place.json(&["db", "import", "early", "--backend", "lmdb", "--dir", "early-data"]);
    assert_eq!(digest(&place, "lmdb", "early-data"), expected);
    let blocks = place.json(&["db", "blocks", "--backend", "lmdb", "--dir", "early-data"]);
    assert_eq!(blocks["blocks"][0]["number"], 11);
}

#[test]
fn a_damaged_or_cut_file_is_refused_by_its_chunk_and_leaves_nothing() {
    let place = chain("sqlite");
    place.json(&["db", "export", "whole"]);
    let whole = std::fs::read(place.path().join("whole")).unwrap();
    let mut damaged = whole.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for (name, bytes) in [("damaged", &damaged[..]), ("cut", &whole[..middle])] {
        std::fs::write(place.path().join(name), bytes).unwrap();
        for dry_run in [&[][..], &["--dry-run"]] {
            let arguments = [&["db", "import", name, "--dir", "new", "--json"], dry_run].concat();
            let ran = place.run(&arguments);
            assert_eq!((ran.code, &ran.error()["kind"]), (1, &"corruption".into()), "{name}");
            let details = ran.error()["details"].to_string();
            assert!(details.contains("\"chunk\""), "{details}");
            assert!(!place.path().join("new").exists(), "{name}");
        }
    }
    place.file("text", "not a snapshot");
    let ran = place.run(&["db", "import", "text", "--dir", "new", "--json"]);
    assert_eq!((ran.code, &ran.error()["kind"]), (1, &"format-mismatch".into()));
    assert_eq!(place.run(&["db", "import", "missing", "--dir", "new"]).code, 1);
    assert!(!place.path().join("new").exists());
}

#[test]
fn a_file_is_held_against_the_digest_or_the_block_that_is_trusted() {
    let place = chain("sqlite");
    let report = place.json(&["db", "export", "file", "--at-block", "7"]);
    let digest = report["snapshot_digest"].as_str().unwrap().to_owned();
    let block = format!("7:{}", report["header"]["block"]["digest"].as_str().unwrap());
    let other = "07".repeat(32);
    let wrong_block = format!("7:{other}");
    for dry_run in [&["--dry-run"][..], &[]] {
        for (option, value) in [("--expect", &other), ("--expect-block", &wrong_block)] {
            let arguments = ["db", "import", "file", "--dir", "new", "--json", option, value];
            let ran = place.run(&[&arguments[..], dry_run].concat());
            assert_eq!((ran.code, &ran.error()["kind"]), (1, &"corruption".into()), "{option}");
            assert!(!place.path().join("new").exists(), "{option}");
        }
        let both = ["--expect", &digest, "--expect-block", &block, "--dir", "new"];
        let report = place.json(&[&["db", "import", "file"], &both[..], dry_run].concat());
        assert_eq!(report["snapshot_digest"], digest.as_str());
    }
    for (option, value) in [("--expect", "07"), ("--expect-block", "7"), ("--max-size", "much")] {
        assert_eq!(place.run(&["db", "import", "file", option, value]).code, 2, "{option}");
    }
}

#[test]
fn a_file_that_unpacks_to_more_than_is_allowed_is_refused_with_both_figures() {
    let place = chain("sqlite");
    place.json(&["db", "export", "file"]);
    let ran = place.run(&["db", "import", "file", "--dir", "new", "--max-size", "1KiB", "--json"]);
    assert_eq!((ran.code, &ran.error()["kind"]), (1, &"quota-full".into()));
    assert!(ran.error()["message"].as_str().unwrap().contains("1024"), "{}", ran.stderr);
    assert!(!place.path().join("new").exists());
}

#[test]
fn a_restored_checkpoint_is_held_against_the_digest_that_is_trusted() {
    let place = Place::new();
    let data = place.path().join("supervm-data");
    CHAIN.load_with("sqlite", &data, 1..=5, HistoryMode::Archive);
    place.json(&["db", "checkpoint", "one"]);
    CHAIN.load_with("sqlite", &data, 6..=9, HistoryMode::Archive);
    let report = place.json(&["db", "checkpoint", "two", "--parent", "one"]);
    let digest = report["snapshot_digest"].as_str().unwrap();
    let other = "07".repeat(32);
    let restore = ["db", "restore", "one", "two", "--dir", "new", "--expect"];
    let ran = place.run(&[&restore[..], &[&other, "--json"]].concat());
    assert_eq!((ran.code, &ran.error()["kind"]), (1, &"corruption".into()));
    assert!(!place.path().join("new").exists());
    let report = place.json(&[&restore[..], &[digest]].concat());
    assert_eq!(report["snapshot_digest"], digest);
}

#[test]
fn nothing_that_exists_is_overwritten() {
    let place = chain("sqlite");
    place.json(&["db", "export", "file"]);
    let bytes = std::fs::read(place.path().join("file")).unwrap();
    let commands: [&[&str]; 5] = [
        &["export", "file"],
        &["import", "file"],
        &["convert", "--to", "lmdb", "supervm-data"],
        &["checkpoint", "supervm-data"],
        &["restore", "supervm-data"],
    ];
    let before = place.digest(&[]);
    for command in commands {
        let ran = place.run(&[&["db"], command].concat());
        assert_eq!(ran.code, 1, "{command:?}: {}", ran.stdout);
        assert!(ran.stderr.contains("exists already"), "{command:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("nothing is overwritten"), "{command:?}: {}", ran.stderr);
    }
    assert_eq!(std::fs::read(place.path().join("file")).unwrap(), bytes);
    assert_eq!(place.digest(&[]), before);
}

#[test]
fn a_dry_run_makes_nothing() {
    let place = chain("sqlite");
    place.json(&["db", "export", "file"]);
    place.json(&["db", "checkpoint", "full"]);
    let commands: [&[&str]; 6] = [
        &["export", "new"],
        &["import", "file", "--dir", "new"],
        &["convert", "--to", "lmdb", "new"],
        &["checkpoint", "new"],
        &["checkpoint", "new", "--parent", "full"],
        &["restore", "full", "--dir", "new"],
    ];
    let names = || {
        let entries = std::fs::read_dir(place.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    for command in commands {
        let told = place.json(&[&["db"], command, &["--dry-run"]].concat());
        assert_eq!(told["dry_run"], true, "{command:?}");
        let text = place.run(&[&["db"], command, &["--dry-run"]].concat());
        assert!(text.stdout.contains("nothing was changed"), "{command:?}: {}", text.stdout);
        assert_eq!(names(), before, "{command:?}");
    }
}

#[test]
fn convert_takes_state_history_and_blocks_to_every_backend() {
    for from in BACKENDS {
        let place = chain(from);
        let blocks = place.json(&["db", "blocks", "--backend", from]);
        let raw = place.run(&["db", "digest", "--raw", "--backend", from]).stdout;
        for to in BACKENDS {
            let report = place.json(&["db", "convert", "--backend", from, "--to", to, to]);
            assert_eq!((&report["from"], &report["to"]), (&from.into(), &to.into()));
            assert_eq!(report["storage_digest"], raw.trim_end());
            assert_eq!(digest(&place, to, to), place.digest(&["--backend", from]));
            let arguments = ["--backend", to, "--dir", to, "--at-block", "7"];
            assert_eq!(
                place.digest(&arguments),
                place.digest(&["--backend", from, "--at-block", "7"])
            );
            assert_eq!(place.json(&["db", "blocks", "--backend", to, "--dir", to]), blocks);
            std::fs::remove_dir_all(place.path().join(to)).unwrap();
        }
        assert_eq!(place.run(&["db", "digest", "--raw", "--backend", from]).stdout, raw);
    }
}

#[test]
fn convert_names_a_wrong_backend_option_or_directory() {
    let place = chain("sqlite");
    let convert = |arguments: &[&str]| {
        let ran = place.run(&[&["db", "convert", "new"], arguments].concat());
        assert!(!place.path().join("new").exists(), "{arguments:?}");
        (ran.code, ran.stderr)
    };
    let (code, said) = convert(&["--to", "rockdb"]);
    assert!(code == 1 && said.contains("rockdb"), "{said}");
    let (code, said) = convert(&["--to", "lmdb", "--backend", "memory"]);
    assert!(code == 1 && said.contains("hint: name it: --backend sqlite"), "{said}");
    let (code, said) = convert(&["--to", "lmdb", "--dir", "nowhere"]);
    assert!(code == 1 && said.contains("there is no data directory nowhere"), "{said}");
    let (code, said) = convert(&["--to", "lmdb", "--to-option", "no_such=1"]);
    assert!(code == 1 && said.contains("no_such"), "{said}");
    assert_eq!(convert(&["--to", "lmdb", "--to-option", "nothing"]).0, 2);
    assert_eq!(convert(&[]).0, 2, "--to is missing");
    assert_eq!(
        place
            .run(&["db", "convert", "new", "--to", "lmdb", "--to-option", "map_bytes_max=1GiB"])
            .code,
        0
    );
}

#[test]
fn a_full_and_two_incremental_checkpoints_restore_each_of_their_states() {
    for backend in ["lmdb", "sqlite"] {
        let place = Place::new();
        let data = place.path().join("supervm-data");
        let add = |blocks| CHAIN.load_with(backend, &data, blocks, HistoryMode::Archive);
        let run = |arguments: &[&str]| {
            place.json(&[&["db"], arguments, &["--backend", backend]].concat())
        };
        add(1..=10);
        let full = run(&["checkpoint", "one"]);
        assert_eq!((&full["kind"], &full["version"]), (&"full".into(), &10.into()));
        add(11..=20);
        let second = run(&["checkpoint", "two", "--parent", "one"]);
        assert_eq!(
            (&second["kind"], &second["parent_version"]),
            (&"incremental".into(), &10.into())
        );
        add(21..=30);
        run(&["checkpoint", "three", "--parent", "two"]);

        for (links, block) in [(1, 10), (2, 20), (3, 30)] {
            let dir = format!("restored-{links}");
            let checkpoints = &["one", "two", "three"][..links];
            let report = run(&[&["restore"], checkpoints, &["--dir", &dir]].concat());
            assert_eq!((&report["version"], &report["last_block"]), (&block.into(), &block.into()));
            let at = block.to_string();
            let expected = place.digest(&["--backend", backend, "--at-block", &at]);
            assert_eq!(digest(&place, backend, &dir), expected, "{backend} {links}");
            let early = ["--backend", backend, "--dir", &dir, "--at-block", "5"];
            let of_source = place.digest(&["--backend", backend, "--at-block", "5"]);
            assert_eq!(place.digest(&early), of_source);
        }
        // The backend is the checkpoint's unless another one is named.
        place.json(&["db", "restore", "one", "two", "--dir", "same"]);
        assert!(place.run(&["db", "digest", "--backend", backend, "--dir", "same"]).code == 0);
        place.json(&["db", "restore", "one", "two", "--backend", "memory", "--dir", "other"]);
        assert_eq!(digest(&place, "memory", "other"), digest(&place, backend, "restored-2"));
    }
}

#[test]
fn checkpoints_that_are_missing_changed_or_out_of_order_are_refused() {
    let place = Place::new();
    let data = place.path().join("supervm-data");
    let add = |blocks| CHAIN.load_with("sqlite", &data, blocks, HistoryMode::Archive);
    for (blocks, arguments) in [
        (1..=5, &["one"][..]),
        (6..=10, &["two", "--parent", "one"]),
        (11..=15, &["three", "--parent", "two"]),
    ] {
        add(blocks);
        place.json(&[&["db", "checkpoint"], arguments].concat());
    }
    let restore = |checkpoints: &[&str]| {
        let ran = place.run(&[&["db", "restore"], checkpoints, &["--dir", "new"]].concat());
        assert!(!place.path().join("new").exists(), "{checkpoints:?}");
        (ran.code, ran.stderr)
    };
    assert_eq!(restore(&[]).0, 2);
    let (code, said) = restore(&["two"]);
    assert!(code == 2 && said.contains("two holds changes only"), "{said}");
    let (code, said) = restore(&["one", "three"]);
    assert!(code == 1 && said.contains("three"), "{said}");
    let (code, said) = restore(&["one", "three", "two"]);
    assert!(code == 1 && said.contains("three"), "{said}");
    let (code, said) = restore(&["one", "supervm-data"]);
    assert!(code == 2 && said.contains("supervm-data holds no"), "{said}");
    assert_eq!(restore(&["nowhere"]).0, 1);

    let file = place.path().join("two/changes.snapshot");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let (code, said) = restore(&["one", "two"]);
    assert!(code == 1 && said.contains("changes.snapshot"), "{said}");

    let missing = place.run(&["db", "checkpoint", "four", "--parent", "nowhere"]);
    assert_eq!(missing.code, 1);
    assert!(!place.path().join("four").exists());
}

#[test]
fn diff_lists_what_only_one_has_and_what_differs() {
    let place = chain("sqlite");
    place.json(&["db", "convert", "--to", "lmdb", "other"]);
    let same = place.json(&["db", "diff", "supervm-data", "other"]);
    assert_eq!((&same["equal"], &same["differences"]), (&true.into(), &serde_json::json!([])));
    let other = |arguments: &[&str]| {
        let ran =
            place.run(&[&["db"], arguments, &["--backend", "lmdb", "--dir", "other"]].concat());
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    };
    let present: Vec<_> = CHAIN.state(30).into_keys().take(2).collect();
    let names: Vec<_> = present.iter().map(|key| String::from_utf8(key.clone()).unwrap()).collect();
    other(&["put", &names[0], "changed"]);
    other(&["delete", &names[1]]);
    other(&["put", "new", "key"]);
    let ran = place.run(&["db", "diff", "supervm-data", "other"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert_eq!(lines.len(), 4, "{}", ran.stdout);
    assert!(lines[0].starts_with(&format!("! {}\t", names[0])) && lines[0].ends_with("\tchanged"));
    assert!(lines[1].starts_with(&format!("- {}\t", names[1])), "{}", lines[1]);
    assert_eq!(lines[2], "+ new\tkey");
    assert!(
        lines[3].ends_with("1 changed, 1 only in supervm-data, 1 only in other"),
        "{}",
        lines[3]
    );
    let told = place.run(&["db", "diff", "supervm-data", "other", "--limit", "1", "--json"]);
    let object = told.object();
    assert_eq!((told.code, object["differences"].as_array().unwrap().len()), (1, 1));
    assert_eq!(object["counts"]["only_first"], 1);
    assert_eq!(object["differences"][0]["key_text"], names[0].as_str());
    assert_eq!(place.run(&["db", "diff", "other", "./other"]).code, 2);
    assert_eq!(place.run(&["db", "diff", "other", "nowhere"]).code, 1);
}

#[test]
fn a_chain_id_that_the_configuration_names_is_held_against_the_file() {
    let place = chain("sqlite");
    place.json(&["db", "export", "file"]);
    let mut command = place.command(&["db", "import", "file", "--dir", "new", "--json"]);
    let ran = common::Ran::new(command.env("SUPERVM_STORAGE__CHAIN_ID", "7").output().unwrap());
    assert_eq!((ran.code, &ran.error()["kind"]), (1, &"invalid-argument".into()));
    assert!(ran.error()["message"].as_str().unwrap().contains("chain 7"), "{}", ran.stderr);
    assert!(!place.path().join("new").exists());
}

#[test]
fn contracts_go_along() {
    let place = Place::new();
    let ledger = common::contract("ledger.wat");
    place.json(&["run", &ledger, "mint", "1", "1000"]);
    place.json(&["db", "export", "file"]);
    place.json(&["db", "import", "file", "--backend", "lmdb", "--dir", "imported"]);
    let balance = ["run", "--backend", "lmdb", "--dir", "imported", &ledger, "balance", "1"];
    assert_eq!(place.json(&balance)["result"], 1000);
    let storage = open("lmdb", &place.path().join("imported"));
    assert_eq!(storage.scan(b"a/", 10).unwrap().len(), 1);
    storage.close().unwrap();
}
