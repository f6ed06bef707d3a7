//! `examples/contracts/payments` over the token, and over tokens that misbehave.

use crate::support::{ALICE, BOB, CAROL, Chain, Contract, WRONG_LENGTH, join, le};
use supervm_engine::runtime::Trap;
use supervm_plugin_sdk::host::Address;

const SET_ALREADY: i32 = 2;
const NOT_SET: i32 = 3;
const NOT_OWNER: i32 = 4;
const NO_SUCH_SOURCE: i32 = 5;
const ZERO: i32 = 6;
const PAYMENT_FAILED: i32 = 7;

/// Out of the contract's own balance, out of the caller's.
const OWN: u8 = 0;
const CALLERS: u8 = 1;

const DAVE: Address = [0xda; 20];

/// Statuses of a payment in an output and in an event.
const PAID: u8 = 0;
const NOT_FOUND: u8 = 2;
const FAILED: u8 = 3;

fn round(source: u8, payments: &[(Address, u64)]) -> Vec<u8> {
    let payment = |(to, amount): &(Address, u64)| join(&[to, &le(*amount)]);
    join(&[&[source], &payments.iter().flat_map(payment).collect::<Vec<_>>()])
}

/// The token and the contract that pays with it. Alice owns both; she has 1,000 and the contract 100.
fn setup(chain: &Chain) -> (Contract<'_>, Contract<'_>) {
    let (token, payments) = (chain.deploy("token"), chain.deploy("payments"));
    token.done(ALICE, "init", b"");
    token.done(ALICE, "mint", &join(&[&ALICE, &le(1_000)]));
    token.done(ALICE, "mint", &join(&[&payments.address(), &le(100)]));
    payments.done(ALICE, "init", &token.address());
    (token, payments)
}

/// Does the contract know of so many rounds begun and done?
fn has_rounds(payments: &Contract<'_>, begun: u64, done: u64) -> bool {
    payments.view("rounds", b"") == join(&[&le(begun), &le(done)])
}

fn balances<const N: usize>(token: &Contract<'_>, accounts: [Address; N]) -> [u64; N] {
    accounts.map(|account| token.number("balance_of", &account))
}

#[test]
fn init_sets_owner_and_token_once() {
    let chain = Chain::new();
    let payments = chain.deploy("payments");
    for function in ["pay", "try_pay"] {
        payments.refuses(ALICE, function, &round(OWN, &[(BOB, 1)]), NOT_SET);
    }
    payments.done(ALICE, "init", &CAROL);
    assert_eq!(
        payments.state(),
        [(b"o".to_vec(), ALICE.to_vec()), (b"t".to_vec(), CAROL.to_vec())]
    );
    payments.refuses(ALICE, "init", &CAROL, SET_ALREADY);
    payments.refuses(BOB, "init", &BOB, SET_ALREADY);
}

#[test]
fn pay_pays_everybody_out_of_the_contracts_own_balance() {
    let chain = Chain::new();
    let (token, payments) = setup(&chain);
    let input = round(OWN, &[(BOB, 10), (CAROL, 20), (BOB, 30)]);
    let done = payments.done(ALICE, "pay", &input);
    let own = payments.address();
    let transfer = |to: &Address, amount| (token.address(), join(&[b"T", &own, to, &le(amount)]));
    let paid = |to: &Address, amount| (own, join(&[b"P", &le(1), to, &le(amount)]));
    assert_eq!(
        done.events,
        [
            transfer(&BOB, 10),
            paid(&BOB, 10),
            transfer(&CAROL, 20),
            paid(&CAROL, 20),
            transfer(&BOB, 30),
            paid(&BOB, 30),
        ]
    );
    assert_eq!(done.output, b"");
    assert_eq!(balances(&token, [own, BOB, CAROL, ALICE]), [40, 40, 20, 1_000]);
    assert_eq!((payments.number("paid_to", &BOB), payments.number("paid_to", &CAROL)), (2, 1));
    assert!(has_rounds(&payments, 1, 1));
    let entry = |key: &[u8], value: u64| (key.to_vec(), le(value).to_vec());
    assert_eq!(
        payments.state(),
        [
            entry(b"b", 1),
            entry(b"d", 1),
            (b"o".to_vec(), ALICE.to_vec()),
            entry(&join(&[b"p", &BOB]), 2),
            entry(&join(&[b"p", &CAROL]), 1),
            (b"t".to_vec(), token.address().to_vec()),
        ]
    );
}

#[test]
fn only_the_owner_spends_what_is_the_contracts() {
    let chain = Chain::new();
    let (_, payments) = setup(&chain);
    for function in ["pay", "try_pay"] {
        payments.refuses(BOB, function, &round(OWN, &[(BOB, 1)]), NOT_OWNER);
        for byte in 0..20 {
            let mut other = ALICE;
            other[byte] ^= 4;
            payments.refuses(other, function, &round(OWN, &[(BOB, 1)]), NOT_OWNER);
        }
        for source in [2, 255] {
            payments.refuses(ALICE, function, &round(source, &[(BOB, 1)]), NO_SUCH_SOURCE);
        }
    }
}

#[test]
fn anybody_pays_out_of_what_he_approved_and_nobody_out_of_anothers() {
    let chain = Chain::new();
    let (token, payments) = setup(&chain);
    token.done(ALICE, "transfer", &join(&[&BOB, &le(500)]));
    token.done(ALICE, "approve", &join(&[&payments.address(), &le(100)]));
    payments.refuses(BOB, "pay", &round(CALLERS, &[(CAROL, 1)]), PAYMENT_FAILED);
    token.done(BOB, "approve", &join(&[&payments.address(), &le(60)]));
    let done = payments.done(BOB, "pay", &round(CALLERS, &[(CAROL, 20), (DAVE, 30)]));
    assert_eq!(done.events[0], (token.address(), join(&[b"T", &BOB, &CAROL, &le(20)])));
    assert_eq!(balances(&token, [ALICE, BOB, CAROL, DAVE]), [500, 450, 20, 30]);
    assert_eq!(balances(&token, [payments.address()]), [100]);
    let left = |owner: Address| token.number("allowance", &join(&[&owner, &payments.address()]));
    assert_eq!((left(ALICE), left(BOB)), (100, 10));
    payments.refuses(BOB, "pay", &round(CALLERS, &[(CAROL, 10), (DAVE, 1)]), PAYMENT_FAILED);
    assert_eq!(left(BOB), 10, "the payment that went well is gone, too");
}

#[test]
fn a_payment_that_fails_in_pay_undoes_everything() {
    let chain = Chain::new();
    let (token, payments) = setup(&chain);
    let before = (token.state(), payments.state());
    let receipt = payments.receipt(ALICE, "pay", &round(OWN, &[(BOB, 60), (CAROL, 60), (DAVE, 1)]));
    assert!(matches!(receipt.trap, Some(Trap::Abort { code: PAYMENT_FAILED, .. })));
    assert_eq!((receipt.events.len(), receipt.writes.len()), (0, 0));
    assert_eq!((token.state(), payments.state()), before);
    assert!(has_rounds(&payments, 0, 0));
    payments.done(ALICE, "pay", &round(OWN, &[(BOB, 60), (CAROL, 40)]));
    assert!(has_rounds(&payments, 1, 1));
}

#[test]
fn a_payment_that_fails_in_try_pay_is_reported_and_the_rest_goes_on() {
    let chain = Chain::new();
    let (token, payments) = setup(&chain);
    let input = round(OWN, &[(BOB, 60), (CAROL, 60), (DAVE, 40), (BOB, 1)]);
    let done = payments.done(ALICE, "try_pay", &input);
    assert_eq!(done.output, [PAID, FAILED, PAID, FAILED]);
    let own = payments.address();
    let transfer = |to: &Address, amount| (token.address(), join(&[b"T", &own, to, &le(amount)]));
    let paid = |to: &Address, amount| (own, join(&[b"P", &le(1), to, &le(amount)]));
    let failed = |to: &Address, amount| (own, join(&[b"F", &le(1), to, &le(amount), &[FAILED]]));
    assert_eq!(
        done.events,
        [
            transfer(&BOB, 60),
            paid(&BOB, 60),
            failed(&CAROL, 60),
            transfer(&DAVE, 40),
            paid(&DAVE, 40),
            failed(&BOB, 1),
        ]
    );
    assert_eq!(balances(&token, [own, BOB, CAROL, DAVE]), [0, 60, 0, 40]);
    let counts = [BOB, CAROL, DAVE].map(|account| payments.number("paid_to", &account));
    assert_eq!(counts, [1, 0, 1]);
    assert!(has_rounds(&payments, 1, 1));

    let none = payments.done(ALICE, "try_pay", &round(OWN, &[(BOB, 1), (CAROL, 2)]));
    assert_eq!(none.output, [FAILED, FAILED]);
    assert_eq!(none.events[1].1, join(&[b"F", &le(2), &CAROL, &le(2), &[FAILED]]));
    assert!(has_rounds(&payments, 2, 2), "a round in which nothing was paid is a round");
}

#[test]
fn try_pay_out_of_the_callers_balance_stops_at_the_allowance() {
    let chain = Chain::new();
    let (token, payments) = setup(&chain);
    token.done(ALICE, "approve", &join(&[&payments.address(), &le(50)]));
    let input = round(CALLERS, &[(BOB, 40), (CAROL, 40), (DAVE, 10)]);
    assert_eq!(payments.done(ALICE, "try_pay", &input).output, [PAID, FAILED, PAID]);
    assert_eq!(balances(&token, [ALICE, BOB, CAROL, DAVE]), [950, 40, 0, 10]);
    assert_eq!(token.number("allowance", &join(&[&ALICE, &payments.address()])), 0);
}

/// A token that notes each transfer and tells of it before it looks at the recipient: to 0x01.. it gives up, to 0x02.. it traps,
/// to 0x03.. it never ends.
const RECKLESS: &str = r#"(module
    (import "storage_api" "storage_set" (func $set (param i32 i32 i32 i32) (result i32)))
    (import "chain_api" "input" (func $input (param i32 i32) (result i32)))
    (import "chain_api" "emit_event" (func $emit (param i32 i32) (result i32)))
    (import "chain_api" "abort" (func $abort (param i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "transfer")
        (drop (call $input (i32.const 0) (i32.const 28)))
        (drop (call $set (i32.const 0) (i32.const 20) (i32.const 20) (i32.const 8)))
        (drop (call $emit (i32.const 0) (i32.const 20)))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 1))
            (then (call $abort (i32.const 9) (i32.const 0) (i32.const 0))))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 2)) (then unreachable))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 3)) (then (loop $on (br $on))))))"#;

#[test]
fn what_a_failing_token_wrote_and_told_is_gone_and_what_the_caller_wrote_stays() {
    let chain = Chain::new();
    let (token, payments) = (chain.deploy_code(RECKLESS.as_bytes()), chain.deploy("payments"));
    payments.done(ALICE, "init", &token.address());
    let to = |kind: u8| ([kind; 20], 5);
    let input = round(OWN, &[to(1), to(7), to(2), to(3), to(8)]);
    let done = payments.done(ALICE, "try_pay", &input);
    assert_eq!(done.output, [FAILED, PAID, FAILED, FAILED, PAID]);
    assert_eq!(token.state(), [(vec![7; 20], le(5).to_vec()), (vec![8; 20], le(5).to_vec())]);
    let of_token = done.events.iter().filter(|(contract, _)| *contract == token.address());
    let told: Vec<_> = of_token.map(|(_, data)| data[0]).collect();
    assert_eq!(told, [7, 8]);
    assert!(has_rounds(&payments, 1, 1));
    for kind in [1, 2, 3] {
        payments.refuses(ALICE, "pay", &round(OWN, &[to(7), to(kind)]), PAYMENT_FAILED);
    }
    // It has no transfer_from.
    let input = round(CALLERS, &[to(7)]);
    assert_eq!(payments.done(BOB, "try_pay", &input).output, [NOT_FOUND]);
}

#[test]
fn a_token_that_is_not_there_or_is_the_contract_itself_pays_nobody() {
    let chain = Chain::new();
    let payments = chain.deploy("payments");
    payments.done(ALICE, "init", &CAROL);
    let done = payments.done(ALICE, "try_pay", &round(OWN, &[(BOB, 1)]));
    assert_eq!(done.output, [NOT_FOUND]);
    payments.refuses(ALICE, "pay", &round(OWN, &[(BOB, 1)]), PAYMENT_FAILED);

    let chain = Chain::new();
    let payments = chain.deploy("payments");
    payments.done(ALICE, "init", &payments.address());
    let done = payments.done(ALICE, "try_pay", &round(OWN, &[(BOB, 1)]));
    assert_ne!(done.output, [PAID]);
}

#[test]
fn the_largest_round_fits_the_gas_of_a_call_even_when_every_payment_burns_its_own() {
    let chain = Chain::new();
    let (token, payments) = (chain.deploy_code(RECKLESS.as_bytes()), chain.deploy("payments"));
    payments.done(ALICE, "init", &token.address());
    let input = round(OWN, &[([3; 20], 5); 32]);
    assert_eq!(payments.done(ALICE, "try_pay", &input).output, [FAILED; 32]);
    let input = round(OWN, &(101..133).map(|to| ([to; 20], 5)).collect::<Vec<_>>());
    assert_eq!(payments.done(ALICE, "try_pay", &input).output, [PAID; 32]);
    assert_eq!(token.state().len(), 32);
}

#[test]
fn a_payment_of_nothing_is_refused() {
    let chain = Chain::new();
    let (token, payments) = setup(&chain);
    let before = token.state();
    for function in ["pay", "try_pay"] {
        payments.refuses(ALICE, function, &round(OWN, &[(BOB, 1), (CAROL, 0)]), ZERO);
    }
    assert_eq!(token.state(), before);
}

#[test]
fn an_input_of_another_length_is_refused() {
    let chain = Chain::new();
    let (_, payments) = setup(&chain);
    for function in ["pay", "try_pay"] {
        for len in [0, 1, 2, 28, 30, 56, 58, 1 + 28 * 32 - 1, 1 + 28 * 32 + 1, 1 + 28 * 33, 50_000]
        {
            payments.refuses(ALICE, function, &vec![0; len], WRONG_LENGTH);
        }
        payments.refuses(ALICE, function, &round(OWN, &[]), WRONG_LENGTH);
    }
    payments.takes("init", 20);
    payments.takes("paid_to", 20);
    payments.takes("rounds", 0);
    assert_eq!(payments.module.exports().count(), 5, "each is here");
}

#[test]
fn each_refusal_says_why() {
    let chain = Chain::new();
    let empty = chain.deploy("payments");
    let one = round(OWN, &[(BOB, 1)]);
    let lengths = "the input is a source and 1 to 32 payments of 28 bytes, or one address";
    assert_eq!(empty.refusal(ALICE, "pay", b"").1, lengths);
    assert_eq!(empty.refusal(ALICE, "pay", &one).1, "the token is not set yet: call init");
    let (_, payments) = setup(&chain);
    let said = |caller, function, input: &[u8]| payments.refusal(caller, function, input).1;
    assert_eq!(said(ALICE, "init", &BOB), "the token is set already");
    assert_eq!(said(BOB, "pay", &one), "the caller is not the owner");
    assert_eq!(said(ALICE, "pay", &round(2, &[(BOB, 1)])), "the source is 0 or 1");
    assert_eq!(said(ALICE, "pay", &round(OWN, &[(BOB, 0)])), "the amount is zero");
    let above = round(OWN, &[(BOB, 101)]);
    assert_eq!(said(ALICE, "pay", &above), "a payment failed, so none is made");
}
