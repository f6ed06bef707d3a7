//! Read-only openings after a writing process was killed, whatever it left of its log and of the log's index.

use crate::*;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const KILLS: u32 = 40;
const SEED: u64 = 0x5eed_0019;
/// Set in the process that writes: the storage and the file of acknowledgements.
const CHILD: [&str; 2] = ["SQLITE_TEST_CHILD_DIR", "SQLITE_TEST_CHILD_LOG"];
/// Batch `n` overwrites the key `n % SLOTS`.
const SLOTS: u64 = 100;
const LOG: &str = "storage.sqlite3-wal";
const INDEX: &str = "storage.sqlite3-shm";

#[test]
fn after_each_of_many_kills_a_read_only_open_sees_what_was_acknowledged_and_changes_nothing() {
    if let [Some(dir), Some(log)] = CHILD.map(std::env::var_os) {
        return write_until_killed(dir.as_ref(), log.as_ref());
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, log) = (dir.path().join("store"), dir.path().join("acknowledged"));
    println!("seed {SEED:#x}");
    let (mut random, mut logs_left, mut acknowledged) = (SEED, 0, 0);
    drop(open(&store));
    for kill in 0..KILLS {
        // Every other kill falls into the opening or the first writes.
        let longest = if kill % 2 == 0 { 60_000 } else { 8_000 };
        let delay = Duration::from_micros(next(&mut random) % longest);
        acknowledged = kill_a_writer(&store, &log, delay).max(acknowledged);
        let before = listing(&store);
        logs_left += u32::from(file(&store, LOG).is_some_and(|log| !log.is_empty()));
        let began = Instant::now();
        let first = open_with(&store, "", OpenMode::ReadOnly).unwrap();
        let content = entries(&*first);
        let second = open_with(&store, "", OpenMode::ReadOnly).unwrap();
        assert_eq!(entries(&*second), content);
        let took = began.elapsed();
        println!("kill {kill} after {delay:?}: {acknowledged} acknowledged, read in {took:?}");
        assert!(took < Duration::from_secs(3), "{took:?}");
        let batches = batches_in(&content);
        // The last batch may have been committed and not yet acknowledged.
        assert!(batches == acknowledged || batches == acknowledged + 1, "{batches}");
        assert_eq!(content, content_after(batches));
        assert!(listing(&store) == before, "while it is open");
        first.close().unwrap();
        drop((first, second));
        assert!(listing(&store) == before, "after it was closed");
        assert_eq!(entries(&*open_with(&store, "", OpenMode::MustExist).unwrap()), content);
        acknowledged = batches;
    }
    assert!(logs_left > KILLS / 3, "{logs_left} kills left a log");
}

#[test]
fn a_log_is_read_whatever_became_of_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 300, 20);
    let index = file(dir.path(), INDEX).unwrap();
    let mut halves_differ = index.clone();
    halves_differ[8] ^= 1;
    let damaged: [Option<Vec<u8>>; 6] = [
        None,
        Some(Vec::new()),
        Some(vec![0; index.len()]),
        Some(vec![0xa5; index.len()]),
        Some(index[..100].to_vec()),
        Some(halves_differ),
    ];
    for index in damaged {
        let killed = tempfile::tempdir().unwrap();
        kill_into(dir.path(), killed.path());
        match &index {
            Some(index) => fs::write(killed.path().join(INDEX), index).unwrap(),
            None => fs::remove_file(killed.path().join(INDEX)).unwrap(),
        }
        let before = listing(killed.path());
        let reader = open_with(killed.path(), "", OpenMode::ReadOnly).unwrap();
        assert_eq!(entries(&*reader), entries(&*storage));
        drop(reader);
        assert!(listing(killed.path()) == before, "the directory changed");
        assert_eq!(entries(&*open(killed.path())), entries(&*storage), "opened for writing");
    }
}

#[test]
fn a_log_that_ends_anywhere_is_read_as_far_as_an_open_for_writing_takes_it() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    fill(&*storage, 2000, 20);
    let log = file(dir.path(), LOG).unwrap();
    // Around the log's header of 32 bytes, and then wherever.
    for length in (1..40).chain((40..log.len()).step_by(9001)) {
        let killed = tempfile::tempdir().unwrap();
        kill_into(dir.path(), killed.path());
        fs::write(killed.path().join(LOG), &log[..length]).unwrap();
        let before = listing(killed.path());
        let reader = open_with(killed.path(), "", OpenMode::ReadOnly).unwrap();
        let content = entries(&*reader);
        drop(reader);
        assert!(listing(killed.path()) == before, "the directory changed");
        assert_eq!(entries(&*open(killed.path())), content, "{length} bytes");
    }
}

#[test]
fn every_kind_of_read_runs_at_once_on_a_log_that_was_left() {
    let (dir, killed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let copy = dir.path().join("copy");
    let storage = open(dir.path());
    fill(&*storage, 3000, 100);
    let mut content = entries(&*storage);
    kill_into(dir.path(), killed.path());
    let before = listing(killed.path());
    let reader = open_with(killed.path(), "", OpenMode::ReadOnly).unwrap();
    let snapshot = reader.snapshot().unwrap();
    let mut forward = reader.cursor(KeyRange::ALL, Direction::Forward).unwrap();
    let mut reverse = reader.cursor(KeyRange::ALL, Direction::Reverse).unwrap();
    let mut page = Page::new();
    assert_eq!(forward.next_page(&mut page).unwrap(), PageEnd::More);
    assert_eq!(value(&*reader, &[0; 4]), Some(vec![0; 100]));
    assert!(snapshot.get(&2999u32.to_be_bytes(), &mut ByteBuf::new()).unwrap());
    let mut in_reverse = drain(&mut *reverse);
    in_reverse.reverse();
    assert_eq!(in_reverse, content);
    let in_snapshot = drain(&mut *snapshot.cursor(KeyRange::ALL, Direction::Forward).unwrap());
    assert_eq!(in_snapshot, content);
    assert!(reader.verify().unwrap().problems.is_empty());
    reader.checkpoint(&copy).unwrap();
    assert!(listing(killed.path()) == before, "while it is open");
    drop((reader, snapshot, reverse));
    let rest = drain(&mut *forward);
    assert_eq!(rest, content.split_off(page.iter().count()), "a cursor that outlives its storage");
    drop(forward);
    assert!(listing(killed.path()) == before, "after it was closed");
    let copied = open_with(&copy, "", OpenMode::ReadOnly).unwrap();
    assert_eq!(entries(&*copied), entries(&*storage));
}

/// Logs a zero, opens the storage, goes on with the batch after the last, and logs how many there are when a write has returned.
fn write_until_killed(dir: &Path, log: &Path) {
    let mut log = fs::File::options().create(true).append(true).open(log).unwrap();
    log.write_all(&0u64.to_be_bytes()).unwrap();
    // A short log is moved into the database and begun anew many times before the kill.
    let storage = open_with(dir, "wal_bytes = \"64KiB\"", OpenMode::Create).unwrap();
    let first = batches_in(&entries(&*storage));
    for number in first.. {
        // A kill finds much of a synced write half done, but many more buffered ones.
        let is_synced = number == first || number % 16 == 0;
        let durability = if is_synced { Durability::Synced } else { Durability::Buffered };
        storage.write(&batch_of([entry(number)]), durability).unwrap();
        log.write_all(&(number + 1).to_be_bytes()).unwrap();
    }
}

/// Starts this test in another process, kills it `delay` after it began to open `store`, and returns what it logged last.
fn kill_a_writer(store: &Path, log: &Path, delay: Duration) -> u64 {
    fs::write(log, b"").unwrap();
    let name =
        "after_each_of_many_kills_a_read_only_open_sees_what_was_acknowledged_and_changes_nothing";
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("killed::{name}")])
        .envs([(CHILD[0], store), (CHILD[1], log)])
        .stdout(Stdio::null())
        .spawn();
    let writer = Writer(child.unwrap());
    let began = Instant::now();
    while fs::metadata(log).unwrap().len() == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "the writer never began");
        sleep(Duration::from_millis(1));
    }
    sleep(delay);
    drop(writer);
    let numbers = fs::read(log).unwrap();
    u64::from_be_bytes(*numbers.as_chunks().0.last().unwrap())
}

/// A process that ends by SIGKILL, also when the test fails.
struct Writer(Child);

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What batch `number` writes: its number, followed by up to three kilobytes.
fn entry(number: u64) -> (Vec<u8>, Vec<u8>) {
    let mut value = number.to_be_bytes().to_vec();
    value.resize(8 + (number * 37 % 3000) as usize, number as u8);
    ((number % SLOTS).to_be_bytes().to_vec(), value)
}

fn content_after(batches: u64) -> Entries {
    let mut content: Entries = (batches.saturating_sub(SLOTS)..batches).map(entry).collect();
    content.sort();
    content
}

fn batches_in(content: &Entries) -> u64 {
    let numbers =
        content.iter().map(|(_, value)| u64::from_be_bytes(value[..8].try_into().unwrap()));
    numbers.max().map_or(0, |last| last + 1)
}

fn file(dir: &Path, name: &str) -> Option<Vec<u8>> {
    fs::read(dir.join(name)).ok()
}

/// The next of a sequence of numbers that `state` begins (SplitMix64).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
