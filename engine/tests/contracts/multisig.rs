//! `examples/contracts/multisig`, with signatures made here.

use crate::support::{ALICE, BOB, CAROL, Chain, Contract, WRONG_LENGTH, join, le};
use k256::ecdsa::SigningKey;
use sha3::{Digest, Keccak256};
use supervm_plugin_sdk::host::Address;

const SET_ALREADY: i32 = 2;
const NOT_SET: i32 = 3;
const BAD_OWNERS: i32 = 4;
const BAD_THRESHOLD: i32 = 5;
const TOO_FEW: i32 = 6;
const MALFORMED: i32 = 7;
const NOT_AN_OWNER: i32 = 8;
const OUT_OF_ORDER: i32 = 9;
const CALL_FAILED: i32 = 10;
const LONG_OUTPUT: i32 = 11;

const DOMAIN: [u8; 32] = [0xd0; 32];

/// Somebody who signs.
#[derive(Clone)]
struct Signer {
    key: SigningKey,
    address: Address,
}

impl Signer {
    /// From the secret key that is this number.
    fn new(secret: u8) -> Self {
        let mut bytes = [0; 32];
        bytes[31] = secret;
        let key = SigningKey::from_slice(&bytes).unwrap();
        let point = key.verifying_key().to_sec1_point(false);
        let hash = Keccak256::digest(&point.as_bytes()[1..]);
        Self { key, address: hash[12..].try_into().unwrap() }
    }

    fn sign(&self, digest: &[u8]) -> Vec<u8> {
        let (signature, recovery) = self.key.sign_prehash_recoverable(digest);
        join(&[&signature.to_bytes(), &[27 + recovery.to_byte()]])
    }
}

/// Signers of the secrets 1 to `count`, in ascending order of their addresses.
fn signers(count: u8) -> Vec<Signer> {
    let mut signers: Vec<_> = (1..=count).map(Signer::new).collect();
    signers.sort_by_key(|signer| signer.address);
    signers
}

fn setup(threshold: u8, owners: &[Address]) -> Vec<u8> {
    join(&[&DOMAIN, &[threshold], owners.as_flattened()])
}

fn addresses(signers: &[Signer]) -> Vec<Address> {
    signers.iter().map(|signer| signer.address).collect()
}

/// A multisig of which `owners` own `threshold` are needed.
fn multisig<'chain>(chain: &'chain Chain, threshold: u8, owners: &[Signer]) -> Contract<'chain> {
    let multisig = chain.deploy("multisig");
    multisig.done(CAROL, "init", &setup(threshold, &addresses(owners)));
    multisig
}

/// The part of an input that says what is called.
fn order(target: Address, function: &str, input: &[u8]) -> Vec<u8> {
    let input_len = (input.len() as u32).to_le_bytes();
    join(&[&target, &[function.len() as u8], function.as_bytes(), &input_len, input])
}

/// What the owners sign, put together here.
fn digest(multisig: &Contract<'_>, nonce: u64, order: &[u8]) -> Vec<u8> {
    let parts: [&[u8]; 5] = [b"SuperVM multisig", &DOMAIN, &multisig.address(), &le(nonce), order];
    Keccak256::digest(join(&parts)).to_vec()
}

fn signed(multisig: &Contract<'_>, nonce: u64, order: &[u8], by: &[Signer]) -> Vec<u8> {
    let digest = digest(multisig, nonce, order);
    let signatures: Vec<_> = by.iter().flat_map(|signer| signer.sign(&digest)).collect();
    join(&[order, &signatures])
}

#[test]
fn init_takes_ascending_owners_and_a_threshold_once() {
    let chain = Chain::new();
    let multisig = chain.deploy("multisig");
    let refuses = |threshold, owners: &[Address], code| {
        multisig.refuses(ALICE, "init", &setup(threshold, owners), code);
    };
    refuses(0, &[ALICE], BAD_THRESHOLD);
    refuses(2, &[ALICE], BAD_THRESHOLD);
    refuses(255, &[ALICE, BOB], BAD_THRESHOLD);
    refuses(1, &[BOB, ALICE], BAD_OWNERS);
    refuses(1, &[ALICE, ALICE], BAD_OWNERS);
    refuses(1, &[ALICE, BOB, ALICE], BAD_OWNERS);
    refuses(1, &[[0; 20], ALICE], BAD_OWNERS);
    refuses(1, &[], WRONG_LENGTH);
    let many: Vec<Address> = (1..=33).map(|byte| [byte; 20]).collect();
    refuses(1, &many, WRONG_LENGTH);
    refuses(1, &[many.clone(), many.clone()].concat(), WRONG_LENGTH);
    for len in [0, 1, 52, 54, 72, 74, 100_000] {
        multisig.refuses(ALICE, "init", &vec![1; len], WRONG_LENGTH);
    }
    multisig.refuses(ALICE, "nonce", b"1", WRONG_LENGTH);
    multisig.refuses(ALICE, "settings", b"", NOT_SET);
    multisig.refuses(ALICE, "settings", b"1", WRONG_LENGTH);
    multisig.refuses(ALICE, "digest", &order(ALICE, "f", b""), NOT_SET);
    multisig.refuses(ALICE, "execute", &order(ALICE, "f", b""), NOT_SET);

    multisig.done(CAROL, "init", &setup(32, &many[..32]));
    assert_eq!(multisig.view("settings", b""), setup(32, &many[..32]));
    assert_eq!(multisig.state(), [(b"s".to_vec(), setup(32, &many[..32]))]);
    refuses(32, &many[..32], SET_ALREADY);
    refuses(1, &[ALICE], SET_ALREADY);
    assert_eq!(multisig.number("nonce", b""), 0);
}

/// Owners that differ in one byte only, wherever it is, are in the order of that byte.
#[test]
fn owners_are_compared_byte_by_byte() {
    let chain = Chain::new();
    let multisig = chain.deploy("multisig");
    for byte in 0..20 {
        let (mut less, mut greater) = ([0x7f; 20], [0x7f; 20]);
        less[byte] = 0x01;
        greater[byte] = 0xfe;
        let ascending = multisig.receipt(ALICE, "init", &setup(1, &[less, greater]));
        assert_eq!(ascending.trap, None, "{byte}");
        multisig.refuses(ALICE, "init", &setup(1, &[greater, less]), BAD_OWNERS);
    }
}

#[test]
fn execute_calls_the_target_when_enough_owners_signed() {
    let chain = Chain::new();
    let owners = signers(3);
    let (multisig, token) = (multisig(&chain, 2, &owners), chain.deploy("token"));
    let init = order(token.address(), "init", b"");
    assert_eq!(multisig.view("digest", &init), digest(&multisig, 0, &init));
    let done = multisig.done(BOB, "execute", &signed(&multisig, 0, &init, &owners[..2]));
    let event = join(&[b"E", &le(0), &digest(&multisig, 0, &init), &token.address(), b"init"]);
    assert_eq!(done.events, [(multisig.address(), event)]);
    assert_eq!(multisig.number("nonce", b""), 1);
    assert_eq!(token.state()[0].1, multisig.address(), "the token's minter is the multisig");

    let mint = order(token.address(), "mint", &join(&[&ALICE, &le(5)]));
    assert_eq!(multisig.view("digest", &mint), digest(&multisig, 1, &mint));
    let done = multisig.done(BOB, "execute", &signed(&multisig, 1, &mint, &owners));
    assert_eq!(done.events[0], (token.address(), join(&[b"M", &ALICE, &le(5)])));
    assert_eq!(done.events[1].1[..9], join(&[b"E", &le(1)]));
    assert_eq!((token.number("balance_of", &ALICE), multisig.number("nonce", b"")), (5, 2));

    let ask = order(token.address(), "balance_of", &ALICE);
    let pair = [owners[0].clone(), owners[2].clone()];
    let done = multisig.done(BOB, "execute", &signed(&multisig, 2, &ask, &pair));
    assert_eq!(done.output, le(5), "the target's output is passed on");
    assert_eq!(multisig.state()[0], (b"n".to_vec(), le(3).to_vec()));
}

#[test]
fn a_signature_holds_for_one_nonce_one_call_and_one_contract() {
    let chain = Chain::new();
    let owners = signers(2);
    let (multisig, token) = (multisig(&chain, 2, &owners), chain.deploy("token"));
    let init = order(token.address(), "init", b"");
    let ask = order(token.address(), "total_supply", b"");
    let first = signed(&multisig, 0, &ask, &owners);
    multisig.done(ALICE, "execute", &first);
    multisig.refuses(ALICE, "execute", &first, NOT_AN_OWNER);
    multisig.refuses(ALICE, "execute", &signed(&multisig, 2, &ask, &owners), NOT_AN_OWNER);

    let signatures = signed(&multisig, 1, &init, &owners)[init.len()..].to_vec();
    let others = [
        order([9; 20], "init", b""),
        order(token.address(), "mint", b""),
        order(token.address(), "init", b"x"),
        order(token.address(), "ini", b"t"),
    ];
    for other in others {
        let input = join(&[&other, &signatures]);
        multisig.refuses(ALICE, "execute", &input, NOT_AN_OWNER);
    }
    // The same code with a letter more is another contract.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/contracts/multisig/multisig.wat");
    let code =
        std::fs::read_to_string(path).unwrap().replace("the call failed", "the call failed!");
    let elsewhere = chain.deploy_code(code.as_bytes());
    elsewhere.done(ALICE, "init", &setup(2, &addresses(&owners)));
    assert_ne!(elsewhere.address(), multisig.address());
    elsewhere.refuses(ALICE, "execute", &first, NOT_AN_OWNER);
    elsewhere.done(ALICE, "execute", &signed(&elsewhere, 0, &ask, &owners));

    multisig.done(ALICE, "execute", &join(&[&init, &signatures]));
}

#[test]
fn a_signature_does_not_hold_under_another_domain() {
    let chain = Chain::new();
    let owners = signers(1);
    let multisig = chain.deploy("multisig");
    multisig.done(ALICE, "init", &join(&[&[7; 32], &[1], &owners[0].address]));
    let ask = order(multisig.address(), "nonce", b"");
    let refused = signed(&multisig, 0, &ask, &owners);
    multisig.refuses(ALICE, "execute", &refused, NOT_AN_OWNER);
}

#[test]
fn signatures_are_of_owners_in_ascending_order() {
    let chain = Chain::new();
    let all = signers(5);
    let (owners, stranger) = (&all[1..4], all[0].clone());
    let (multisig, token) = (multisig(&chain, 2, owners), chain.deploy("token"));
    let ask = order(token.address(), "total_supply", b"");
    let by = |who: &[&Signer]| {
        let who: Vec<_> = who.iter().map(|&signer| signer.clone()).collect();
        signed(&multisig, 0, &ask, &who)
    };
    let [a, b, c] = [&owners[0], &owners[1], &owners[2]];
    for (input, code) in [
        (by(&[]), TOO_FEW),
        (by(&[a]), TOO_FEW),
        (by(&[&stranger, a]), NOT_AN_OWNER),
        (by(&[a, &all[4]]), NOT_AN_OWNER),
        (by(&[a, b, &all[4]]), NOT_AN_OWNER),
        (by(&[b, a]), OUT_OF_ORDER),
        (by(&[a, a]), OUT_OF_ORDER),
        (by(&[a, c, b]), OUT_OF_ORDER),
        (by(&[a, b, c, c]), OUT_OF_ORDER),
    ] {
        multisig.refuses(BOB, "execute", &input, code);
    }
    for good in [by(&[a, b]), by(&[a, c]), by(&[b, c]), by(&[a, b, c])] {
        assert_eq!(multisig.receipt(BOB, "execute", &good).trap, None);
    }
}

#[test]
fn a_malformed_signature_is_refused() {
    let chain = Chain::new();
    let owners = signers(1);
    let (multisig, token) = (multisig(&chain, 1, &owners), chain.deploy("token"));
    let ask = order(token.address(), "total_supply", b"");
    let good = signed(&multisig, 0, &ask, &owners);
    let with = |offset: usize, bytes: &[u8]| {
        let mut input = good.clone();
        input[ask.len() + offset..][..bytes.len()].copy_from_slice(bytes);
        input
    };
    for v in [2, 26, 29, 255] {
        multisig.refuses(BOB, "execute", &with(64, &[v]), MALFORMED);
    }
    multisig.refuses(BOB, "execute", &with(0, &[0; 32]), MALFORMED);
    multisig.refuses(BOB, "execute", &with(32, &[0; 32]), MALFORMED);
    multisig.refuses(BOB, "execute", &with(32, &[0xff; 32]), MALFORMED);
    let v = good[ask.len() + 64];
    assert_eq!(multisig.receipt(BOB, "execute", &with(64, &[v - 27])).trap, None);
    multisig.refuses(BOB, "execute", &with(64, &[55 - v]), NOT_AN_OWNER);
}

#[test]
fn a_failing_call_leaves_nothing_and_keeps_the_nonce() {
    let chain = Chain::new();
    let owners = signers(2);
    let (multisig, token) = (multisig(&chain, 1, &owners), chain.deploy("token"));
    let failing = [
        order(token.address(), "mint", &join(&[&ALICE, &le(5)])),
        order(token.address(), "nothing", b""),
        order([9; 20], "init", b""),
        order(multisig.address(), "nonce", b""),
        order(token.address(), "", b""),
    ];
    for order in &failing {
        let input = signed(&multisig, 0, order, &owners[..1]);
        multisig.refuses(BOB, "execute", &input, CALL_FAILED);
    }
    assert_eq!(multisig.number("nonce", b""), 0);
    // Once the call can succeed, the signatures still hold.
    let init = order(token.address(), "init", b"");
    let mint = signed(&multisig, 1, &failing[0], &owners[..1]);
    multisig.done(BOB, "execute", &signed(&multisig, 0, &init, &owners[..1]));
    multisig.done(BOB, "execute", &mint);
    assert_eq!(token.number("balance_of", &ALICE), 5);
}

#[test]
fn an_input_that_does_not_add_up_is_refused() {
    let chain = Chain::new();
    let owners = signers(1);
    let multisig = multisig(&chain, 1, &owners);
    let ask = order(ALICE, "function", b"input");
    let good = signed(&multisig, 0, &ask, &owners);
    for len in (0..ask.len()).chain(ask.len() + 1..good.len()) {
        multisig.refuses(BOB, "execute", &good[..len], WRONG_LENGTH);
    }
    multisig.refuses(BOB, "execute", &join(&[&good, b"!"]), WRONG_LENGTH);
    for input_len in [32_769, 1 << 31, u32::MAX] {
        let mut input = good.clone();
        input[29..33].copy_from_slice(&u32::to_le_bytes(input_len));
        multisig.refuses(BOB, "execute", &input, WRONG_LENGTH);
        multisig.refuses(BOB, "digest", &input[..ask.len()], WRONG_LENGTH);
    }
    multisig.refuses(BOB, "digest", &good, WRONG_LENGTH);
    multisig.refuses(BOB, "digest", &ask[..24], WRONG_LENGTH);
    multisig.refuses(BOB, "execute", &vec![0; 100_000], WRONG_LENGTH);
}

/// A contract that answers with its input, and `long` with more than the multisig passes on.
const ECHO: &str = r#"(module
    (import "chain_api" "input" (func $input (param i32 i32) (result i32)))
    (import "chain_api" "output" (func $output (param i32 i32) (result i32)))
    (memory (export "memory") 2)
    (func (export "echo") (drop (call $output (i32.const 0) (call $input (i32.const 0) (i32.const 65536)))))
    (func (export "most") (drop (call $output (i32.const 0) (i32.const 65536))))
    (func (export "long") (drop (call $output (i32.const 0) (i32.const 65537)))))"#;

#[test]
fn the_largest_call_of_all_owners_fits() {
    let chain = Chain::new();
    let owners = signers(32);
    let multisig = multisig(&chain, 32, &owners);
    let echo = chain.deploy_code(ECHO.as_bytes());
    let input: Vec<_> = (0..32_768_u32).map(|index| (index * 7) as u8).collect();
    let ask = order(echo.address(), "echo", &input);
    let done = multisig.done(BOB, "execute", &signed(&multisig, 0, &ask, &owners));
    assert_eq!(done.output, input);
    let more = order(echo.address(), "echo", &vec![1; 32_769]);
    multisig.refuses(BOB, "execute", &signed(&multisig, 1, &more, &owners), WRONG_LENGTH);

    let most = order(echo.address(), "most", b"");
    let done = multisig.done(BOB, "execute", &signed(&multisig, 1, &most, &owners));
    assert_eq!(done.output.len(), 65_536);
    let long = order(echo.address(), "long", b"");
    multisig.refuses(BOB, "execute", &signed(&multisig, 2, &long, &owners), LONG_OUTPUT);
}

/// The page's domain is its own; its owners have the secrets 1 and 2.
#[test]
fn the_page_shows_the_signatures_of_its_owners() {
    let chain = Chain::new();
    let (multisig, token) = (chain.deploy("multisig"), chain.deploy("token"));
    let mut domain = [0; 32];
    domain[..13].copy_from_slice(b"example chain");
    let owners = signers(2);
    let addresses = addresses(&owners);
    multisig.done(ALICE, "init", &join(&[&domain, &[2], addresses.as_flattened()]));
    let digest = multisig.view("digest", &order(token.address(), "init", b""));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/contracts/multisig/README.md");
    let page = std::fs::read_to_string(path).unwrap();
    for (name, owner) in ["first", "second"].iter().zip(&owners) {
        let hex =
            |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("$ {name}={}", hex(owner.sign(&digest)));
        assert!(page.contains(&line), "{line}");
    }
}

#[test]
fn each_refusal_says_why() {
    let chain = Chain::new();
    let owners = signers(2);
    let empty = chain.deploy("multisig");
    let said = |function, input: &[u8]| empty.refusal(ALICE, function, input).1;
    assert_eq!(said("init", b""), "the input has another length than the function takes");
    assert_eq!(said("settings", b""), "the owners are not set yet: call init");
    let order_of_owners = "owners are in ascending order, none of them zero";
    assert_eq!(said("init", &setup(1, &[[0; 20]])), order_of_owners);
    assert_eq!(said("init", &setup(2, &[ALICE])), "the threshold is 1 to the number of owners");
    let multisig = multisig(&chain, 1, &owners[..1]);
    let said = |function, input: &[u8]| multisig.refusal(ALICE, function, input).1;
    assert_eq!(said("init", &setup(1, &[ALICE])), "the owners are set already");
    let ask = order(ALICE, "f", b"");
    let by = |who: &[Signer]| said("execute", &signed(&multisig, 0, &ask, who));
    assert_eq!(by(&[]), "fewer signatures than the threshold");
    assert_eq!(by(&owners[1..]), "a signature is not by an owner");
    let twice = [owners[0].clone(), owners[0].clone()];
    assert_eq!(by(&twice), "the signatures are not in ascending order of their owners");
    assert_eq!(by(&owners[..1]), "the call failed");
    let zeros = join(&[&ask, &[0; 65]]);
    assert_eq!(said("execute", &zeros), "a signature is malformed");
    let echo = chain.deploy_code(ECHO.as_bytes());
    let long = order(echo.address(), "long", b"");
    let long = signed(&multisig, 0, &long, &owners[..1]);
    assert_eq!(said("execute", &long), "the call's output is above 65536 bytes");
}
