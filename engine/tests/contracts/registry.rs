//! `examples/contracts/registry`.

use crate::support::{ALICE, BOB, CAROL, Chain, Contract, join};
use supervm_engine::mvcc::Txn;
use supervm_engine::runtime::{CallArguments, CallContext};
use supervm_engine::state::StateKey;
use supervm_plugin_sdk::host::Address;

const TOO_SHORT: i32 = 1;
const BAD_NAME: i32 = 2;
const TAKEN: i32 = 3;
const LONG_VALUE: i32 = 4;
const NOT_REGISTERED: i32 = 5;
const NOT_OWNER: i32 = 6;
const BAD_LIMIT: i32 = 7;
const BAD_DIRECTION: i32 = 8;
const NO_NUMBER_LEFT: i32 = 9;
const BAD_PREFIX: i32 = 10;

const ASCENDING: u8 = 0;
const DESCENDING: u8 = 1;

fn entry(name: &str, value: &[u8]) -> Vec<u8> {
    join(&[&[name.len() as u8], name.as_bytes(), value])
}

fn page(limit: u32, direction: u8, prefix: &str) -> Vec<u8> {
    join(&[&limit.to_le_bytes(), &[direction], prefix.as_bytes()])
}

/// The names, owners and values of a list.
fn list(registry: &Contract<'_>, input: &[u8]) -> Vec<(String, Address, Vec<u8>)> {
    let output = registry.view("list", input);
    let (mut rest, mut entries) = (output.as_slice(), Vec::new());
    while let Some((&name_len, after)) = rest.split_first() {
        let (name, after) = after.split_at(name_len.into());
        let (owner, after) = after.split_first_chunk::<20>().unwrap();
        let (value_len, after) = after.split_first_chunk::<2>().unwrap();
        let (value, after) = after.split_at(u16::from_le_bytes(*value_len).into());
        entries.push((String::from_utf8(name.to_vec()).unwrap(), *owner, value.to_vec()));
        rest = after;
    }
    entries
}

fn names(registry: &Contract<'_>, limit: u32, direction: u8, prefix: &str) -> Vec<String> {
    let entries = list(registry, &page(limit, direction, prefix)).into_iter();
    entries.map(|(name, _, _)| name).collect()
}

fn next(registry: &Contract<'_>, prefix: &str) -> String {
    let done = registry.done(ALICE, "register_next", &entry(prefix, b""));
    String::from_utf8(done.output).unwrap()
}

#[test]
fn register_gives_a_free_name_to_the_caller() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    assert_eq!(registry.view("lookup", b"home"), b"", "not yet");
    let done = registry.done(ALICE, "register", &entry("home", b"10.0.0.1"));
    let event = join(&[b"R", &ALICE, &[4], b"home10.0.0.1"]);
    assert_eq!(done.events, [(registry.address(), event)]);
    assert_eq!(registry.view("lookup", b"home"), join(&[&ALICE, b"10.0.0.1"]));
    assert_eq!(registry.state(), [(b"nhome".to_vec(), join(&[&ALICE, b"10.0.0.1"]))]);
    registry.refuses(BOB, "register", &entry("home", b""), TAKEN);
    registry.refuses(ALICE, "register", &entry("home", b""), TAKEN);
    registry.done(BOB, "register", &entry("homer", b""));
    assert_eq!(registry.view("lookup", b"homer"), BOB, "a value may be empty");
    assert_eq!(registry.view("lookup", b"hom"), b"");
}

#[test]
fn update_is_for_the_owner() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    registry.refuses(ALICE, "update", &entry("home", b"x"), NOT_REGISTERED);
    registry.done(ALICE, "register", &entry("home", b"a longer value"));
    registry.refuses(BOB, "update", &entry("home", b"x"), NOT_OWNER);
    for byte in 0..20 {
        let mut other = ALICE;
        other[byte] ^= 0x80;
        registry.refuses(other, "update", &entry("home", b"x"), NOT_OWNER);
    }
    let done = registry.done(ALICE, "update", &entry("home", b"new"));
    assert_eq!(done.events[0].1, join(&[b"U", &ALICE, &[4], b"homenew"]));
    assert_eq!(registry.view("lookup", b"home"), join(&[&ALICE, b"new"]));
    registry.done(ALICE, "update", &entry("home", b""));
    assert_eq!(registry.view("lookup", b"home"), ALICE);
}

#[test]
fn release_deletes_and_makes_the_name_free() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    registry.refuses(ALICE, "release", b"home", NOT_REGISTERED);
    registry.done(ALICE, "register", &entry("home", b"1"));
    registry.refuses(BOB, "release", b"home", NOT_OWNER);
    let done = registry.done(ALICE, "release", b"home");
    assert_eq!(done.events, [(registry.address(), join(&[b"X", &ALICE, &[4], b"home"]))]);
    assert_eq!((registry.view("lookup", b"home"), registry.state()), (vec![], vec![]));
    registry.refuses(ALICE, "release", b"home", NOT_REGISTERED);
    registry.done(BOB, "register", &entry("home", b"2"));
    assert_eq!(registry.view("lookup", b"home"), join(&[&BOB, b"2"]));
}

#[test]
fn names_and_values_have_bounds() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    let longest = "n".repeat(64);
    let value = vec![7; 1024];
    registry.done(ALICE, "register", &entry(&longest, &value));
    assert_eq!(registry.view("lookup", longest.as_bytes()), join(&[&ALICE, &value]));
    let too_long = "n".repeat(65);
    for function in ["register", "update"] {
        registry.refuses(ALICE, function, &entry("", b"v"), BAD_NAME);
        registry.refuses(ALICE, function, &entry(&too_long, b"v"), BAD_NAME);
        registry.refuses(ALICE, function, &entry(&"n".repeat(255), b"v"), BAD_NAME);
        registry.refuses(ALICE, function, &entry(&longest, &[7; 1025]), LONG_VALUE);
        registry.refuses(ALICE, function, &entry("m", &[7; 100_000]), LONG_VALUE);
        registry.refuses(ALICE, function, b"", TOO_SHORT);
        registry.refuses(ALICE, function, b"\x05home", TOO_SHORT);
    }
    for function in ["release", "lookup"] {
        registry.refuses(ALICE, function, b"", BAD_NAME);
        registry.refuses(ALICE, function, too_long.as_bytes(), BAD_NAME);
    }
    registry.refuses(ALICE, "register_next", b"", TOO_SHORT);
    registry.refuses(ALICE, "register_next", b"\x05home", TOO_SHORT);
    registry.refuses(ALICE, "register_next", &entry("m", &[7; 1025]), LONG_VALUE);
}

#[test]
fn a_name_has_visible_ascii_and_no_number_sign() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    for byte in 0..=255_u8 {
        for name in [vec![byte], vec![b'a', byte], vec![byte, b'a']] {
            let input = join(&[&[name.len() as u8], &name]);
            if (0x21..=0x7e).contains(&byte) && byte != b'#' {
                assert_eq!(registry.receipt(ALICE, "register", &input).trap, None, "{byte}");
                assert_eq!(registry.receipt(ALICE, "register_next", &input).trap, None, "{byte}");
            } else {
                registry.refuses(ALICE, "register", &input, BAD_NAME);
                registry.refuses(ALICE, "register_next", &input, BAD_NAME);
            }
        }
    }
}

#[test]
fn list_scans_a_prefix_in_both_directions_up_to_a_limit() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    for (owner, name) in [(ALICE, "b1"), (BOB, "b22"), (CAROL, "b3"), (ALICE, "a"), (BOB, "c")] {
        registry.done(owner, "register", &entry(name, name.as_bytes()));
    }
    let entries = list(&registry, &page(100, ASCENDING, "b"));
    assert_eq!(
        entries,
        [
            ("b1".to_owned(), ALICE, b"b1".to_vec()),
            ("b22".to_owned(), BOB, b"b22".to_vec()),
            ("b3".to_owned(), CAROL, b"b3".to_vec()),
        ]
    );
    let raw = registry.view("list", &page(1, ASCENDING, "b2"));
    assert_eq!(raw, join(&[&[3], b"b22", &BOB, &[3, 0], b"b22"]));
    assert_eq!(names(&registry, 100, DESCENDING, "b"), ["b3", "b22", "b1"]);
    assert_eq!(names(&registry, 2, ASCENDING, "b"), ["b1", "b22"]);
    assert_eq!(names(&registry, 2, DESCENDING, "b"), ["b3", "b22"]);
    assert_eq!(names(&registry, 100, ASCENDING, ""), ["a", "b1", "b22", "b3", "c"]);
    assert_eq!(names(&registry, 1, DESCENDING, ""), ["c"]);
    assert_eq!(names(&registry, 100, ASCENDING, "b22"), ["b22"]);
    assert_eq!(names(&registry, 100, ASCENDING, "b222"), [""; 0]);
    registry.done(BOB, "release", b"b22");
    assert_eq!(names(&registry, 100, DESCENDING, "b"), ["b3", "b1"]);
}

#[test]
fn list_refuses_what_it_cannot_do() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    for limit in [0, 101, u32::MAX, 1 << 31] {
        registry.refuses(ALICE, "list", &page(limit, ASCENDING, "b"), BAD_LIMIT);
    }
    for direction in [2, 255] {
        registry.refuses(ALICE, "list", &page(1, direction, "b"), BAD_DIRECTION);
    }
    for len in 0..5 {
        registry.refuses(ALICE, "list", &vec![1; len], TOO_SHORT);
    }
    registry.refuses(ALICE, "list", &page(1, ASCENDING, &"p".repeat(65)), BAD_PREFIX);
    registry.refuses(ALICE, "list", &page(1, ASCENDING, &"p".repeat(10_000)), BAD_PREFIX);
    assert_eq!(names(&registry, 1, ASCENDING, &"p".repeat(64)), [""; 0]);
}

#[test]
fn the_longest_list_of_the_largest_entries_fits() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    let name = |number: usize| format!("{number:064}");
    for number in 0..101 {
        registry.done(ALICE, "register", &entry(&name(number), &[number as u8; 1024]));
    }
    for direction in [ASCENDING, DESCENDING] {
        let entries = list(&registry, &page(100, direction, "0"));
        assert_eq!(entries.len(), 100);
        for (index, (found, owner, value)) in entries.into_iter().enumerate() {
            let number = if direction == ASCENDING { index } else { 100 - index };
            assert_eq!((found, owner), (name(number), ALICE));
            assert_eq!(value, [number as u8; 1024]);
        }
    }
}

#[test]
fn register_next_registers_the_number_after_the_greatest() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    let done = registry.done(BOB, "register_next", &entry("bill", b"paid"));
    assert_eq!(done.output, b"bill#0000000001");
    let event = join(&[b"R", &BOB, &[15], b"bill#0000000001paid"]);
    assert_eq!(done.events, [(registry.address(), event)]);
    assert_eq!(registry.view("lookup", b"bill#0000000001"), join(&[&BOB, b"paid"]));
    for number in 2..=12 {
        assert_eq!(next(&registry, "bill"), format!("bill#{number:010}"));
    }
    assert_eq!(next(&registry, "bil"), "bil#0000000001", "another prefix counts for itself");
    assert_eq!(next(&registry, "bill2"), "bill2#0000000001");
    registry.done(ALICE, "register", &entry("bill~", b""));
    assert_eq!(next(&registry, "bill"), "bill#0000000013", "names beside numbers do not count");
    registry.done(ALICE, "release", b"bill#0000000013");
    registry.done(ALICE, "release", b"bill#0000000007");
    assert_eq!(next(&registry, "bill"), "bill#0000000013", "gaps are not filled");
    registry.refuses(ALICE, "release", b"bill#0000000001", NOT_OWNER);
    registry.done(BOB, "update", &entry("bill#0000000001", b"refunded"));
    assert_eq!(names(&registry, 2, DESCENDING, "bill#"), ["bill#0000000013", "bill#0000000012"]);
}

#[test]
fn register_next_takes_prefixes_that_leave_room_for_a_number_and_the_longest_value() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    let longest = "p".repeat(53);
    let value: Vec<_> = (0..1024).map(|index| index as u8).collect();
    let done = registry.done(ALICE, "register_next", &entry(&longest, &value));
    let name = format!("{longest}#0000000001");
    assert_eq!(done.output, name.as_bytes());
    assert_eq!(done.events[0].1, join(&[b"R", &ALICE, &[64], name.as_bytes(), &value]));
    assert_eq!(registry.view("lookup", name.as_bytes()), join(&[&ALICE, &value]));
    registry.refuses(ALICE, "register_next", &entry(&"p".repeat(54), b""), BAD_PREFIX);
    registry.refuses(ALICE, "register_next", &entry("", b"value"), BAD_PREFIX);
}

#[test]
fn register_next_ends_with_the_last_number_of_ten_digits() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    // Nobody can wait for so many calls: the state of just before the end is put down directly.
    let key = |number: &str| StateKey {
        contract: registry.address(),
        key: format!("nbill#{number}").into_bytes(),
    };
    let mut txn = chain.runtime.store().begin();
    txn.write(&key("9999999998").to_bytes(), &ALICE).unwrap();
    txn.commit().unwrap();
    assert_eq!(next(&registry, "bill"), "bill#9999999999");
    registry.refuses(ALICE, "register_next", &entry("bill", b""), NO_NUMBER_LEFT);
}

/// Each number depends on a scan: two calls that saw the same greatest number would give the same name.
#[test]
fn calls_beside_each_other_get_different_numbers() {
    const THREADS: usize = 4;
    const CALLS: usize = 50;
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    let call = || {
        let input = CallArguments::Input(entry("seat", b""));
        let context = CallContext::default();
        let module = &registry.module;
        let receipt =
            chain.runtime.transact(module, "register_next", &input, &context, Txn::commit).unwrap();
        assert_eq!(receipt.trap, None);
        String::from_utf8(receipt.output).unwrap()
    };
    let mut found: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| scope.spawn(|| (0..CALLS).map(|_| call()).collect::<Vec<_>>()))
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    found.sort_unstable();
    let all: Vec<_> = (1..=THREADS * CALLS).map(|number| format!("seat#{number:010}")).collect();
    assert_eq!(found, all);
}

#[test]
fn each_refusal_says_why() {
    let chain = Chain::new();
    let registry = chain.deploy("registry");
    registry.done(ALICE, "register", &entry("home", b""));
    let said = |function, input: &[u8]| registry.refusal(BOB, function, input).1;
    assert_eq!(said("register", b""), "the input is too short");
    let bad = "a name has 1 to 64 bytes from ! to ~, none of them #";
    assert_eq!(said("register", &entry("a b", b"")), bad);
    assert_eq!(said("register", &entry("home", b"")), "the name is registered already");
    assert_eq!(said("register", &entry("h", &[0; 1025])), "a value has at most 1024 bytes");
    assert_eq!(said("release", b"h"), "the name is not registered");
    assert_eq!(said("release", b"home"), "the caller is not the owner");
    assert_eq!(said("list", &page(0, 0, "")), "the limit is 1 to 100");
    assert_eq!(said("list", &page(1, 2, "")), "the direction is 0 or 1");
    let prefix = "a prefix has at most 64 bytes, and 1 to 53 when numbers go behind it";
    assert_eq!(said("register_next", &entry("", b"")), prefix);
}
