//! `examples/contracts/amm`, also against the same rules in numbers of 128 bits.

use crate::support::{ALICE, BOB, CAROL, Chain, Contract, join, le};
use proptest::prelude::*;
use supervm_plugin_sdk::host::Address;

const NO_SUCH_SIDE: i32 = 2;
const ZERO: i32 = 3;
const ABOVE_BALANCE: i32 = 4;
const ABOVE_SHARES: i32 = 5;
const EMPTY: i32 = 6;
const BELOW_MINIMUM: i32 = 7;
const OVERFLOW: i32 = 8;
const NOTHING: i32 = 9;

fn deposit(pool: &Contract<'_>, account: Address, side: u8, amount: u64) {
    pool.done(account, "deposit", &join(&[&[side], &le(amount)]));
}

fn liquidity(amount_0: u64, amount_1: u64, minimum: u64) -> Vec<u8> {
    join(&[&le(amount_0), &le(amount_1), &le(minimum)])
}

fn trade(side: u8, amount: u64, minimum: u64) -> Vec<u8> {
    join(&[&[side], &le(amount), &le(minimum)])
}

/// The numbers that bytes are, 8 each.
fn numbers<const N: usize>(bytes: &[u8]) -> [u64; N] {
    assert_eq!(bytes.len(), 8 * N);
    let (chunks, _) = bytes.as_chunks();
    std::array::from_fn(|index| u64::from_le_bytes(chunks[index]))
}

fn reserves(pool: &Contract<'_>) -> [u64; 2] {
    numbers(&pool.view("reserves", b""))
}

fn balances(pool: &Contract<'_>, account: Address) -> [u64; 2] {
    numbers(&pool.view("balance_of", &account))
}

/// A pool with the reserves `amounts`, all from Alice.
fn pool(chain: &Chain, amounts: [u64; 2]) -> Contract<'_> {
    let pool = chain.deploy("amm");
    deposit(&pool, ALICE, 0, amounts[0]);
    deposit(&pool, ALICE, 1, amounts[1]);
    pool.done(ALICE, "add_liquidity", &liquidity(amounts[0], amounts[1], 0));
    pool
}

#[test]
fn deposit_adds_to_one_side_of_the_callers_balance() {
    let chain = Chain::new();
    let pool = chain.deploy("amm");
    let done = pool.done(BOB, "deposit", &join(&[&[1], &le(258)]));
    assert_eq!(
        done.events,
        [(pool.address(), join(&[b"D", &BOB, &[1], &[2, 1, 0, 0, 0, 0, 0, 0]]))]
    );
    deposit(&pool, BOB, 0, 5);
    deposit(&pool, BOB, 1, 2);
    assert_eq!((balances(&pool, BOB), balances(&pool, ALICE)), ([5, 260], [0, 0]));
    pool.refuses(BOB, "deposit", &join(&[&[2], &le(1)]), NO_SUCH_SIDE);
    pool.refuses(BOB, "deposit", &join(&[&[0], &le(0)]), ZERO);
    pool.refuses(BOB, "deposit", &join(&[&[1], &le(u64::MAX - 259)]), OVERFLOW);
    deposit(&pool, BOB, 1, u64::MAX - 260);
    assert_eq!(balances(&pool, BOB), [5, u64::MAX]);
}

#[test]
fn the_first_liquidity_buys_the_root_of_the_product_in_shares() {
    let chain = Chain::new();
    let pool = chain.deploy("amm");
    deposit(&pool, ALICE, 0, 1_000);
    deposit(&pool, ALICE, 1, 5_000);
    let all = liquidity(1_000, 4_000, 0);
    pool.refuses(BOB, "add_liquidity", &all, ABOVE_BALANCE);
    pool.refuses(ALICE, "add_liquidity", &liquidity(1_001, 1, 0), ABOVE_BALANCE);
    pool.refuses(ALICE, "add_liquidity", &liquidity(1, 5_001, 0), ABOVE_BALANCE);
    pool.refuses(ALICE, "add_liquidity", &liquidity(0, 4_000, 0), ZERO);
    pool.refuses(ALICE, "add_liquidity", &liquidity(1_000, 0, 0), ZERO);
    pool.refuses(ALICE, "add_liquidity", &liquidity(1_000, 4_000, 2_001), BELOW_MINIMUM);
    let done = pool.done(ALICE, "add_liquidity", &liquidity(1_000, 4_000, 2_000));
    assert_eq!(numbers(&done.output), [1_000, 4_000, 2_000]);
    let event = join(&[b"L", &ALICE, &le(1_000), &le(4_000), &le(2_000)]);
    assert_eq!(done.events, [(pool.address(), event)]);
    assert_eq!((reserves(&pool), balances(&pool, ALICE)), ([1_000, 4_000], [0, 1_000]));
    assert_eq!(
        pool.state(),
        [
            (join(&[b"b", &ALICE, &[1]]), le(1_000).to_vec()),
            (join(&[b"l", &ALICE]), le(2_000).to_vec()),
            (b"r\0".to_vec(), le(1_000).to_vec()),
            (b"r\x01".to_vec(), le(4_000).to_vec()),
            (b"s".to_vec(), le(2_000).to_vec()),
        ]
    );
}

#[test]
fn later_liquidity_joins_in_the_pools_ratio_and_leaves_the_rest_with_the_caller() {
    let chain = Chain::new();
    let pool = pool(&chain, [1_000, 4_000]);
    deposit(&pool, BOB, 0, 500);
    deposit(&pool, BOB, 1, 1_001);
    pool.refuses(BOB, "add_liquidity", &liquidity(500, 1_001, 501), BELOW_MINIMUM);
    pool.refuses(BOB, "add_liquidity", &liquidity(500, 1, 0), NOTHING);
    // 1,001 of side 1 are worth 500 shares, which cost 250 and 1,000.
    let done = pool.done(BOB, "add_liquidity", &liquidity(500, 1_001, 500));
    assert_eq!(numbers(&done.output), [250, 1_000, 500]);
    assert_eq!(done.events[0].1, join(&[b"L", &BOB, &le(250), &le(1_000), &le(500)]));
    assert_eq!((reserves(&pool), balances(&pool, BOB)), ([1_250, 5_000], [250, 1]));
    assert_eq!((pool.number("shares_of", &BOB), pool.number("total_shares", b"")), (500, 2_500));
}

#[test]
fn what_shares_cost_is_rounded_up_and_what_they_bring_is_rounded_down() {
    let chain = Chain::new();
    let pool = pool(&chain, [3, 1_000]);
    // 54 shares of the pool; one more costs 3/54 and 1000/54: at least 1 and 19.
    deposit(&pool, BOB, 0, 10);
    deposit(&pool, BOB, 1, 19);
    let done = pool.done(BOB, "add_liquidity", &liquidity(10, 19, 1));
    assert_eq!(numbers(&done.output), [1, 19, 1]);
    pool.refuses(BOB, "remove_liquidity", &le(2), ABOVE_SHARES);
    pool.refuses(BOB, "remove_liquidity", &le(1), NOTHING);
}

#[test]
fn remove_liquidity_brings_the_shares_part_of_both_reserves() {
    let chain = Chain::new();
    let pool = pool(&chain, [1_000, 4_000]);
    pool.refuses(BOB, "remove_liquidity", &le(1), ABOVE_SHARES);
    pool.refuses(ALICE, "remove_liquidity", &le(2_001), ABOVE_SHARES);
    pool.refuses(ALICE, "remove_liquidity", &le(0), ZERO);
    let done = pool.done(ALICE, "remove_liquidity", &le(501));
    assert_eq!(numbers(&done.output), [250, 1_002]);
    let event = join(&[b"R", &ALICE, &le(250), &le(1_002), &le(501)]);
    assert_eq!(done.events, [(pool.address(), event)]);
    assert_eq!((reserves(&pool), balances(&pool, ALICE)), ([750, 2_998], [250, 1_002]));
    pool.done(ALICE, "remove_liquidity", &le(1_499));
    assert_eq!((reserves(&pool), balances(&pool, ALICE)), ([0, 0], [1_000, 4_000]));
    assert_eq!(pool.state().len(), 2, "nothing is left but Alice's balances");
    // And the pool begins anew.
    let done = pool.done(ALICE, "add_liquidity", &liquidity(9, 4, 6));
    assert_eq!(numbers(&done.output), [9, 4, 6]);
}

#[test]
fn swap_trades_along_the_curve_with_a_fee_in_both_directions() {
    let chain = Chain::new();
    let pool = pool(&chain, [1_000_000, 4_000_000]);
    deposit(&pool, BOB, 0, 10_000);
    // 10,000 less 30, into 1,009,970 of the one and out of 4,000,000 of the other.
    assert_eq!(pool.number("quote", &join(&[&[0], &le(10_000)])), 39_486);
    pool.refuses(BOB, "swap", &trade(0, 10_000, 39_487), BELOW_MINIMUM);
    pool.refuses(BOB, "swap", &trade(0, 10_001, 0), ABOVE_BALANCE);
    pool.refuses(BOB, "swap", &trade(1, 1_000, 0), ABOVE_BALANCE);
    pool.refuses(BOB, "swap", &trade(2, 1, 0), NO_SUCH_SIDE);
    pool.refuses(BOB, "swap", &trade(255, 1, 0), NO_SUCH_SIDE);
    pool.refuses(BOB, "swap", &trade(0, 0, 0), ZERO);
    pool.refuses(BOB, "swap", &trade(0, 1, 0), NOTHING);
    let done = pool.done(BOB, "swap", &trade(0, 10_000, 39_486));
    assert_eq!(done.output, le(39_486));
    let event = join(&[b"S", &BOB, &[0], &le(10_000), &le(39_486)]);
    assert_eq!(done.events, [(pool.address(), event)]);
    assert_eq!((reserves(&pool), balances(&pool, BOB)), ([1_010_000, 3_960_514], [0, 39_486]));
    let back = pool.done(BOB, "swap", &trade(1, 39_486, 1));
    assert_eq!(back.events[0].1, join(&[b"S", &BOB, &[1], &le(39_486), &back.output]));
    let [kept, nothing] = balances(&pool, BOB);
    assert!(nothing == 0 && (9_930..9_950).contains(&kept), "two fees are gone: {kept}");
}

#[test]
fn a_swap_touches_the_two_reserves_and_the_callers_two_balances() {
    let chain = Chain::new();
    let pool = pool(&chain, [1_000_000, 4_000_000]);
    deposit(&pool, BOB, 1, 10_000);
    let receipt = pool.receipt(BOB, "swap", &trade(1, 10_000, 0));
    assert_eq!(receipt.trap, None);
    let written: Vec<_> = receipt.writes.keys().map(|key| key.key.clone()).collect();
    let balance = |side| join(&[b"b", &BOB, &[side]]);
    assert_eq!(written, [balance(0), balance(1), b"r\0".to_vec(), b"r\x01".to_vec()]);
    assert_eq!(receipt.reads.len(), 4);
}

#[test]
fn an_empty_pool_trades_nothing() {
    let chain = Chain::new();
    let pool = chain.deploy("amm");
    deposit(&pool, BOB, 0, 10);
    pool.refuses(BOB, "swap", &trade(0, 10, 0), EMPTY);
    pool.refuses(BOB, "quote", &join(&[&[1], &le(10)]), EMPTY);
    pool.refuses(BOB, "quote", &join(&[&[2], &le(10)]), NO_SUCH_SIDE);
    pool.refuses(BOB, "quote", &join(&[&[0], &le(0)]), ZERO);
    assert_eq!((reserves(&pool), pool.number("total_shares", b"")), ([0, 0], 0));
}

#[test]
fn the_largest_numbers_come_out_right_or_are_refused() {
    const MAX: u64 = u64::MAX;
    let chain = Chain::new();
    let pool = pool(&chain, [MAX, MAX]);
    assert_eq!((reserves(&pool), pool.number("total_shares", b"")), ([MAX, MAX], MAX));
    for account in [BOB, CAROL] {
        deposit(&pool, account, 0, MAX);
        deposit(&pool, account, 1, MAX);
    }
    pool.refuses(BOB, "add_liquidity", &liquidity(MAX, MAX, 0), OVERFLOW);
    pool.refuses(BOB, "add_liquidity", &liquidity(1, 1, 0), OVERFLOW);
    pool.refuses(BOB, "swap", &trade(0, 1, 0), OVERFLOW);
    pool.refuses(BOB, "quote", &join(&[&[0], &le(MAX)]), OVERFLOW);
    let half = MAX / 2;
    let done = pool.done(ALICE, "remove_liquidity", &le(half));
    assert_eq!(numbers(&done.output), [half, half]);
    let rest = MAX - half;
    let out = bought(half, [rest, rest]);
    // Bob has all there can be of side 1 already.
    pool.refuses(BOB, "swap", &trade(0, half, 0), OVERFLOW);
    assert_eq!(pool.done(ALICE, "swap", &trade(0, half, out)).output, le(out));
    assert_eq!(reserves(&pool), [MAX, rest - out]);
}

/// What a trade brings, in numbers of 128 bits.
fn bought(amount: u64, [reserve_in, reserve_out]: [u64; 2]) -> u64 {
    let fee = (u128::from(amount) * 3).div_ceil(1_000);
    let net = u128::from(amount) - fee;
    (net * u128::from(reserve_out) / (u128::from(reserve_in) + net)) as u64
}

/// Amounts of every magnitude.
fn amount() -> impl Strategy<Value = u64> {
    (1..=u64::MAX, 0..63_u32).prop_map(|(bits, shift)| (bits >> shift).max(1))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn quote_agrees_with_numbers_of_128_bits(
        first in amount(), second in amount(), amount in amount(), side in 0..2_u8,
    ) {
        let chain = Chain::new();
        let pool = pool(&chain, [first, second]);
        let ordered = if side == 0 { [first, second] } else { [second, first] };
        let input = join(&[&[side], &le(amount)]);
        match (ordered[0].checked_add(amount), bought(amount, ordered)) {
            (None, _) => pool.refuses(BOB, "quote", &input, OVERFLOW),
            (_, 0) => pool.refuses(BOB, "quote", &input, NOTHING),
            (_, out) => prop_assert_eq!(pool.number("quote", &input), out),
        }
    }

    #[test]
    fn shares_agree_with_numbers_of_128_bits(
        reserves in [amount(), amount()], offered in [amount(), amount()],
    ) {
        let chain = Chain::new();
        let pool = pool(&chain, reserves);
        let root = (u128::from(reserves[0]) * u128::from(reserves[1])).isqrt() as u64;
        prop_assert_eq!(pool.number("total_shares", b""), root);
        deposit(&pool, BOB, 0, offered[0]);
        deposit(&pool, BOB, 1, offered[1]);
        let part = |side: usize| u128::from(offered[side]) * u128::from(root) / u128::from(reserves[side]);
        let shares = part(0).min(part(1));
        let cost = |side: usize| (shares * u128::from(reserves[side])).div_ceil(u128::from(root));
        let input = liquidity(offered[0], offered[1], 0);
        let fits = |number: u128| number <= u128::from(u64::MAX);
        if shares == 0 {
            pool.refuses(BOB, "add_liquidity", &input, NOTHING);
        } else if fits(shares + u128::from(root))
            && (0..2).all(|side| fits(u128::from(reserves[side]) + cost(side)))
        {
            let done = pool.done(BOB, "add_liquidity", &input);
            prop_assert_eq!(
                numbers(&done.output),
                [cost(0) as u64, cost(1) as u64, shares as u64]
            );
            prop_assert!(cost(0) <= u128::from(offered[0]) && cost(1) <= u128::from(offered[1]));
        } else {
            pool.refuses(BOB, "add_liquidity", &input, OVERFLOW);
        }
    }

    /// Nobody gains at the cost of those who stay: the product of the reserves for each square share never falls.
    #[test]
    fn no_sequence_of_calls_takes_more_out_than_went_in(
        steps in proptest::collection::vec((0..4_u8, 1..5_000_u64, 1..5_000_u64), 1..40),
    ) {
        let chain = Chain::new();
        let pool = pool(&chain, [10_000, 2_500]);
        deposit(&pool, BOB, 0, 20_000);
        deposit(&pool, BOB, 1, 20_000);
        let product = |pool: &Contract<'_>| {
            let [first, second] = reserves(pool);
            u128::from(first) * u128::from(second)
        };
        let (mut before, mut shares) = (product(&pool), pool.number("total_shares", b""));
        for (kind, first, second) in steps {
            let receipt = match kind {
                0 | 1 => pool.receipt(BOB, "swap", &trade(kind, first, 0)),
                2 => pool.receipt(BOB, "add_liquidity", &liquidity(first, second, 0)),
                _ => pool.receipt(BOB, "remove_liquidity", &le(first)),
            };
            if receipt.trap.is_none() {
                let durability = supervm_plugin_sdk::Durability::Buffered;
                chain.runtime.commit(&receipt, durability).unwrap();
            }
            let (after, total) = (product(&pool), pool.number("total_shares", b""));
            let square = |shares: u64| u128::from(shares) * u128::from(shares);
            prop_assert!(after * square(shares) >= before * square(total));
            (before, shares) = (after, total);
            let [bob_0, bob_1] = balances(&pool, BOB);
            let [pool_0, pool_1] = reserves(&pool);
            prop_assert_eq!((bob_0 + pool_0, bob_1 + pool_1), (30_000, 22_500));
        }
    }
}

#[test]
fn an_input_of_another_length_is_refused() {
    let chain = Chain::new();
    let pool = pool(&chain, [10_000, 10_000]);
    let lengths = [
        ("deposit", 9),
        ("add_liquidity", 24),
        ("remove_liquidity", 8),
        ("swap", 17),
        ("quote", 9),
        ("reserves", 0),
        ("balance_of", 20),
        ("shares_of", 20),
        ("total_shares", 0),
    ];
    for (function, len) in lengths {
        pool.takes(function, len);
    }
    assert_eq!(pool.module.exports().count(), lengths.len(), "each is in the list");
}

#[test]
fn each_refusal_says_why() {
    let chain = Chain::new();
    let empty = chain.deploy("amm");
    assert_eq!(empty.refusal(BOB, "swap", &trade(0, 1, 0)).1, "the pool is empty");
    let pool = pool(&chain, [u64::MAX, 10]);
    let said = |function, input: &[u8]| pool.refusal(BOB, function, input).1;
    assert_eq!(said("swap", b""), "the input has another length than the function takes");
    assert_eq!(said("swap", &trade(2, 1, 0)), "there are the sides 0 and 1");
    assert_eq!(said("swap", &trade(0, 0, 0)), "the amount is zero");
    assert_eq!(said("swap", &trade(0, 1, 0)), "a number would be above 64 bits");
    assert_eq!(said("swap", &trade(1, 10, 0)), "the amount is above the balance");
    assert_eq!(said("swap", &trade(1, 1, 0)), "the amount is too small to come to anything");
    let high = trade(1, 10, u64::MAX);
    assert_eq!(said("swap", &high), "less than the minimum that was asked for");
    assert_eq!(said("remove_liquidity", &le(1)), "more shares than the caller has");
}
