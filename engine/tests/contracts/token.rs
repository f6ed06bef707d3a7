//! `examples/contracts/token`.

use crate::support::{ALICE, BOB, CAROL, Chain, Contract, join, le};
use supervm_engine::runtime::{CallArguments, CallContext, Trap};

const HAS_MINTER: i32 = 2;
const NO_MINTER: i32 = 3;
const NOT_MINTER: i32 = 4;
const ABOVE_BALANCE: i32 = 5;
const ABOVE_ALLOWANCE: i32 = 6;
const SUPPLY_OVERFLOW: i32 = 7;

/// A token whose minter is Alice, who has `amount`.
fn token(chain: &Chain, amount: u64) -> Contract<'_> {
    let token = chain.deploy("token");
    token.done(ALICE, "init", b"");
    token.done(ALICE, "mint", &join(&[&ALICE, &le(amount)]));
    token
}

fn balances(token: &Contract<'_>) -> [u64; 3] {
    [ALICE, BOB, CAROL].map(|account| token.number("balance_of", &account))
}

#[test]
fn the_first_caller_of_init_is_the_minter_and_there_is_no_second() {
    let chain = Chain::new();
    let token = chain.deploy("token");
    let mint = join(&[&BOB, &le(5)]);
    token.refuses(ALICE, "mint", &mint, NO_MINTER);
    assert_eq!(token.done(ALICE, "init", b"").events, []);
    assert_eq!(token.state(), [(b"m".to_vec(), ALICE.to_vec())]);
    token.refuses(ALICE, "init", b"", HAS_MINTER);
    token.refuses(BOB, "init", b"", HAS_MINTER);
    token.refuses(BOB, "mint", &mint, NOT_MINTER);
    // Every byte of the minter's address counts.
    for byte in 0..20 {
        let mut other = ALICE;
        other[byte] ^= 1;
        token.refuses(other, "mint", &mint, NOT_MINTER);
    }
    token.done(ALICE, "mint", &mint);
}

#[test]
fn mint_adds_to_a_balance_and_to_the_supply() {
    let chain = Chain::new();
    let token = token(&chain, 7);
    let minted = token.done(ALICE, "mint", &join(&[&BOB, &le(0x0102_0304_0506_0708)]));
    let event = join(&[b"M", &BOB, &[8, 7, 6, 5, 4, 3, 2, 1]]);
    assert_eq!(minted.events, [(token.address(), event)]);
    assert_eq!(minted.output, b"");
    assert_eq!(balances(&token), [7, 0x0102_0304_0506_0708, 0]);
    assert_eq!(token.number("total_supply", b""), 0x0102_0304_0506_070f);
    let nothing = token.done(ALICE, "mint", &join(&[&CAROL, &le(0)]));
    assert_eq!(nothing.events[0].1, join(&[b"M", &CAROL, &le(0)]));
    assert_eq!(balances(&token)[2], 0);
}

#[test]
fn transfer_moves_an_amount_from_the_caller() {
    let chain = Chain::new();
    let token = token(&chain, 100);
    let moved = token.done(ALICE, "transfer", &join(&[&BOB, &le(30)]));
    assert_eq!(moved.events, [(token.address(), join(&[b"T", &ALICE, &BOB, &le(30)]))]);
    assert_eq!(balances(&token), [70, 30, 0]);
    token.refuses(BOB, "transfer", &join(&[&CAROL, &le(31)]), ABOVE_BALANCE);
    token.refuses(CAROL, "transfer", &join(&[&ALICE, &le(1)]), ABOVE_BALANCE);
    token.done(BOB, "transfer", &join(&[&CAROL, &le(30)]));
    assert_eq!(balances(&token), [70, 0, 30]);
    assert_eq!(token.number("total_supply", b""), 100);
}

#[test]
fn the_state_has_one_entry_for_each_number_above_zero() {
    let chain = Chain::new();
    let token = token(&chain, 100);
    token.done(ALICE, "transfer", &join(&[&BOB, &le(100)]));
    token.done(BOB, "approve", &join(&[&CAROL, &le(9)]));
    assert_eq!(
        token.state(),
        [
            (join(&[b"a", &BOB, &CAROL]), le(9).to_vec()),
            (join(&[b"b", &BOB]), le(100).to_vec()),
            (b"m".to_vec(), ALICE.to_vec()),
            (b"s".to_vec(), le(100).to_vec()),
        ]
    );
    token.done(CAROL, "transfer_from", &join(&[&BOB, &CAROL, &le(9)]));
    token.done(BOB, "approve", &join(&[&CAROL, &le(0)]));
    assert_eq!(token.state().len(), 4, "no allowance, and Carol's balance");
}

#[test]
fn a_transfer_to_oneself_changes_no_balance() {
    let chain = Chain::new();
    let token = token(&chain, 100);
    for amount in [0, 40, 100] {
        let moved = token.done(ALICE, "transfer", &join(&[&ALICE, &le(amount)]));
        assert_eq!(moved.events[0].1, join(&[b"T", &ALICE, &ALICE, &le(amount)]));
        assert_eq!(token.number("balance_of", &ALICE), 100, "{amount}");
    }
    token.refuses(ALICE, "transfer", &join(&[&ALICE, &le(101)]), ABOVE_BALANCE);
}

#[test]
fn a_transfer_of_nothing_is_a_transfer() {
    let chain = Chain::new();
    let token = token(&chain, 100);
    let before = token.state();
    let moved = token.done(CAROL, "transfer", &join(&[&BOB, &le(0)]));
    assert_eq!(moved.events[0].1, join(&[b"T", &CAROL, &BOB, &le(0)]));
    assert_eq!(token.state(), before);
}

#[test]
fn a_transfer_has_two_reads_two_writes_and_one_event() {
    let chain = Chain::new();
    let token = token(&chain, 100);
    let receipt = token.receipt(ALICE, "transfer", &join(&[&BOB, &le(1)]));
    let counts = (receipt.reads.len(), receipt.writes.len(), receipt.events.len());
    assert_eq!((receipt.trap, counts), (None, (2, 2, 1)));
}

#[test]
fn approve_sets_the_allowance_and_transfer_from_uses_it_up() {
    let chain = Chain::new();
    let token = token(&chain, 100);
    let approved = token.done(ALICE, "approve", &join(&[&BOB, &le(60)]));
    assert_eq!(approved.events, [(token.address(), join(&[b"A", &ALICE, &BOB, &le(60)]))]);
    assert_eq!(token.number("allowance", &join(&[&ALICE, &BOB])), 60);
    assert_eq!(token.number("allowance", &join(&[&BOB, &ALICE])), 0);

    let moved = token.done(BOB, "transfer_from", &join(&[&ALICE, &CAROL, &le(40)]));
    assert_eq!(moved.events, [(token.address(), join(&[b"T", &ALICE, &CAROL, &le(40)]))]);
    assert_eq!(token.number("allowance", &join(&[&ALICE, &BOB])), 20);
    assert_eq!(balances(&token), [60, 0, 40]);
    token.refuses(BOB, "transfer_from", &join(&[&ALICE, &BOB, &le(21)]), ABOVE_ALLOWANCE);
    token.refuses(CAROL, "transfer_from", &join(&[&ALICE, &CAROL, &le(1)]), ABOVE_ALLOWANCE);

    token.done(ALICE, "approve", &join(&[&BOB, &le(1_000)]));
    token.refuses(BOB, "transfer_from", &join(&[&ALICE, &BOB, &le(61)]), ABOVE_BALANCE);
    assert_eq!(token.number("allowance", &join(&[&ALICE, &BOB])), 1_000, "replaced, not used");
    token.done(BOB, "transfer_from", &join(&[&ALICE, &ALICE, &le(60)]));
    assert_eq!(balances(&token), [60, 0, 40], "from Alice to Alice");
    assert_eq!(token.number("allowance", &join(&[&ALICE, &BOB])), 940);
}

#[test]
fn ones_own_balance_needs_an_allowance_too_in_transfer_from() {
    let chain = Chain::new();
    let token = token(&chain, 100);
    let input = join(&[&ALICE, &BOB, &le(1)]);
    token.refuses(ALICE, "transfer_from", &input, ABOVE_ALLOWANCE);
    token.done(ALICE, "approve", &join(&[&ALICE, &le(1)]));
    token.done(ALICE, "transfer_from", &input);
    assert_eq!(balances(&token), [99, 1, 0]);
}

#[test]
fn amounts_are_unsigned_and_the_supply_fits_64_bits() {
    let chain = Chain::new();
    let token = token(&chain, u64::MAX - 1);
    token.refuses(ALICE, "mint", &join(&[&BOB, &le(2)]), SUPPLY_OVERFLOW);
    token.refuses(ALICE, "mint", &join(&[&BOB, &le(u64::MAX)]), SUPPLY_OVERFLOW);
    token.done(ALICE, "mint", &join(&[&BOB, &le(1)]));
    token.refuses(ALICE, "mint", &join(&[&ALICE, &le(1)]), SUPPLY_OVERFLOW);
    token.refuses(BOB, "transfer", &join(&[&ALICE, &le(u64::MAX)]), ABOVE_BALANCE);
    token.done(ALICE, "transfer", &join(&[&BOB, &le(u64::MAX - 1)]));
    assert_eq!(balances(&token), [0, u64::MAX, 0]);
    token.done(BOB, "approve", &join(&[&CAROL, &le(u64::MAX)]));
    token.done(CAROL, "transfer_from", &join(&[&BOB, &BOB, &le(u64::MAX)]));
    assert_eq!(balances(&token), [0, u64::MAX, 0]);
    assert_eq!(token.number("allowance", &join(&[&BOB, &CAROL])), 0);
}

#[test]
fn an_input_of_another_length_is_refused() {
    let chain = Chain::new();
    let token = token(&chain, 5);
    let lengths = [
        ("init", 0),
        ("mint", 28),
        ("transfer", 28),
        ("approve", 28),
        ("transfer_from", 48),
        ("balance_of", 20),
        ("allowance", 40),
        ("total_supply", 0),
    ];
    for (function, len) in lengths {
        token.takes(function, len);
    }
    let exports: Vec<_> = token.module.exports().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(exports.len(), lengths.len(), "each is in the list: {exports:?}");
    let (_, message) = token.refusal(ALICE, "transfer", b"");
    assert_eq!(message, "the input has another length than the function takes");
}

#[test]
fn what_changes_state_is_refused_in_a_call_that_only_reads() {
    let chain = Chain::new();
    let token = token(&chain, 5);
    let context = CallContext { caller: ALICE, read_only: true, ..CallContext::default() };
    for function in ["mint", "transfer", "approve"] {
        let input = CallArguments::Input(join(&[&BOB, &le(1)]));
        let receipt = chain.runtime.call(&token.module, function, &input, &context).unwrap();
        assert_eq!(receipt.trap, Some(Trap::ReadOnlyCall), "{function}");
    }
}

#[test]
fn each_refusal_says_why() {
    let chain = Chain::new();
    let empty = chain.deploy("token");
    let one = join(&[&BOB, &le(1)]);
    assert_eq!(empty.refusal(ALICE, "mint", &one).1, "the token has no minter yet: call init");
    let token = token(&chain, u64::MAX);
    let said = |caller, function, input: &[u8]| token.refusal(caller, function, input).1;
    assert_eq!(said(ALICE, "init", b""), "the token has a minter already");
    assert_eq!(said(BOB, "mint", &one), "the caller is not the minter");
    assert_eq!(said(ALICE, "mint", &one), "the total supply would be above 64 bits");
    assert_eq!(said(BOB, "transfer", &one), "the amount is above the balance");
    let from = join(&[&ALICE, &BOB, &le(1)]);
    assert_eq!(said(BOB, "transfer_from", &from), "the amount is above the allowance");
}
