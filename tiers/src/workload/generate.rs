//! Blocks that are made up.

use super::line::{BlockLine, CallLine, Line};
use super::random::{Random, Zipf};
use std::fmt;
use std::str::FromStr;
use supervm_engine::block::BLOCK_TRANSACTIONS_MAX;
use supervm_engine::runtime::contract_address;
use supervm_plugin_sdk::host::Address;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

const TOKEN: &str = include_str!("../../../examples/contracts/token/token.wat");
const AMM: &str = include_str!("../../../examples/contracts/amm/amm.wat");
const PAYMENTS: &str = include_str!("../../../examples/contracts/payments/payments.wat");
const REGISTRY: &str = include_str!("../../../examples/contracts/registry/registry.wat");

/// Exponent of Zipf's distribution.
const ZIPF_EXPONENT: f64 = 0.99;
/// The time of the first block; one a second follows.
const GENESIS_SECONDS: u64 = 1_704_067_200;
/// What each account has at first.
const BALANCE: u64 = 1_000_000_000;
/// Less gas than a transfer needs.
const GAS_TOO_LITTLE: u64 = 18_000;
/// Most accounts.
const ACCOUNTS_MAX: u64 = 1 << 24;
/// Different names that the registry sees.
const NAMES: u64 = 64;
/// Who may mint tokens, and owns the contract that pays.
const MINTER: Address = [0xad; 20];

/// A kind of blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Workload {
    /// Token transfers between accounts that all come alike.
    Transfer,
    /// Token transfers between accounts of which few come often.
    Zipf,
    /// Token transfers, each by whom the one before paid.
    Chain,
    /// Swaps of one pool, whose reserves each of them changes.
    Amm,
    /// Some of all: transfers, allowances, swaps, names that come and go, scans, calls between contracts, and calls that abort or run out
    /// of gas.
    Mixed,
}

impl Workload {
    /// All kinds.
    pub const ALL: [Self; 5] = [Self::Transfer, Self::Zipf, Self::Chain, Self::Amm, Self::Mixed];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Zipf => "zipf",
            Self::Chain => "chain",
            Self::Amm => "amm",
            Self::Mixed => "mixed",
        }
    }

    fn uses_pool(self) -> bool {
        matches!(self, Self::Amm | Self::Mixed)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let found = Self::ALL.into_iter().find(|workload| workload.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no workload \"{text}\"; expected one of {names}")
        })
    }
}

/// How many of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The kind of blocks.
    pub workload: Workload,
    /// Accounts, 2 to 16777216.
    pub accounts: u64,
    /// Blocks, besides those that fund the accounts.
    pub blocks: u64,
    /// Transactions of each block, 1 to 65536.
    pub transactions: usize,
    /// Decides everything that is left to chance.
    pub seed: u64,
}

/// The lines of a file for an empty state: contracts, blocks that fund the accounts, and the plan's blocks. The same plan gives the same lines.
///
/// # Errors
/// `InvalidArgument` for a number out of its bounds.
pub fn generate(plan: Plan) -> Result<impl Iterator<Item = Line>> {
    let refused = |message: String| Error::new(ErrorKind::InvalidArgument, "generate", message);
    if !(2..=ACCOUNTS_MAX).contains(&plan.accounts) {
        return Err(refused(format!("{} accounts; expected 2 to {ACCOUNTS_MAX}", plan.accounts)));
    }
    if !(1..=BLOCK_TRANSACTIONS_MAX).contains(&plan.transactions) {
        let found = plan.transactions;
        return Err(refused(format!(
            "{found} transactions a block; expected 1 to {BLOCK_TRANSACTIONS_MAX}"
        )));
    }
    let mut maker = Maker {
        plan,
        random: Random::new(plan.seed),
        zipf: (plan.workload == Workload::Zipf).then(|| Zipf::new(plan.accounts, ZIPF_EXPONENT)),
        payer: 0,
    };
    let fundings = funding(plan);
    let first = 1 + fundings.len() as u64;
    let blocks = (0..plan.blocks).map(move |nth| {
        let transactions = (0..plan.transactions).map(|_| maker.call()).collect();
        block(first + nth, transactions)
    });
    let deployed = contracts(plan.workload)
        .into_iter()
        .map(|(name, code)| Line::Deploy { name: name.to_owned(), code: code.to_owned() });
    Ok(deployed.chain(fundings).chain(blocks))
}

fn contracts(workload: Workload) -> Vec<(&'static str, &'static str)> {
    match workload {
        Workload::Amm => vec![("amm", AMM)],
        Workload::Mixed => {
            vec![("token", TOKEN), ("amm", AMM), ("registry", REGISTRY), ("payments", PAYMENTS)]
        }
        _ => vec![("token", TOKEN)],
    }
}

fn block(number: u64, transactions: Vec<CallLine>) -> Line {
    Line::Block(BlockLine { number, timestamp: GENESIS_SECONDS + number, transactions })
}

fn call(contract: &str, function: &str, sender: Address, input: &[&[u8]]) -> CallLine {
    CallLine {
        contract: contract.to_owned(),
        function: function.to_owned(),
        sender,
        input: Some(input.concat()),
        ..CallLine::default()
    }
}

fn account(number: u64) -> Address {
    let mut address = [0xac; 20];
    address[12..].copy_from_slice(&number.to_be_bytes());
    address
}

/// The blocks that give every account what it pays with.
fn funding(plan: Plan) -> Vec<Line> {
    let amount = BALANCE.to_le_bytes();
    let mut calls = Vec::new();
    if plan.workload != Workload::Amm {
        calls.push(call("token", "init", MINTER, &[]));
        let mint = |number| call("token", "mint", MINTER, &[&account(number), &amount]);
        calls.extend((0..plan.accounts).map(mint));
    }
    if plan.workload == Workload::Mixed {
        let [token, payments] = [TOKEN, PAYMENTS]
            .map(|code| contract_address(code.as_bytes()).expect("the example is a contract"));
        calls.push(call("payments", "init", MINTER, &[&token]));
        calls.push(call("token", "mint", MINTER, &[&payments, &amount]));
    }
    if plan.workload.uses_pool() {
        let deposit = |number, side| call("amm", "deposit", account(number), &[&[side], &amount]);
        let deposits =
            (0..plan.accounts).flat_map(|number| [0, 1].map(|side| deposit(number, side)));
        calls.extend(deposits);
        let half = (BALANCE / 2).to_le_bytes();
        calls.push(call("amm", "add_liquidity", account(0), &[&half, &half, &[0; 8]]));
    }
    let blocks = calls.chunks(plan.transactions).zip(1..);
    blocks.map(|(calls, number)| block(number, calls.to_vec())).collect()
}

/// Makes up calls.
struct Maker {
    plan: Plan,
    random: Random,
    zipf: Option<Zipf>,
    /// Who was paid last.
    payer: u64,
}

impl Maker {
    fn call(&mut self) -> CallLine {
        match self.plan.workload {
            Workload::Transfer | Workload::Zipf => self.transfer(),
            Workload::Chain => {
                let from = self.payer;
                self.payer = (from + 1) % self.plan.accounts;
                let amount = self.amount();
                call("token", "transfer", account(from), &[&account(self.payer), &amount])
            }
            Workload::Amm => self.swap(),
            Workload::Mixed => self.any(),
        }
    }

    fn any(&mut self) -> CallLine {
        match self.random.below(20) {
            0..=7 => self.transfer(),
            8..=10 => self.swap(),
            11 => self.payments(),
            12 => {
                let (owner, spender, amount) = (self.account(), self.account(), self.amount());
                call("token", "approve", owner, &[&spender, &amount])
            }
            13 => {
                let (spender, owner, to) = (self.account(), self.account(), self.account());
                call("token", "transfer_from", spender, &[&owner, &to, &1_u64.to_le_bytes()])
            }
            14 => {
                let (owner, name) = (self.account(), self.name());
                call("registry", "register", owner, &[&[name.len() as u8], &name, b"value"])
            }
            15 => {
                let owner = self.account();
                let prefix = [b'p', b'0' + self.random.below(4) as u8];
                call("registry", "register_next", owner, &[&[2], &prefix, b"value"])
            }
            16 => {
                let (owner, name) = (self.account(), self.name());
                call("registry", "release", owner, &[&name])
            }
            17 => {
                let (reader, direction) = (self.account(), self.random.below(2) as u8);
                let limit = (1 + self.random.below(8) as u32).to_le_bytes();
                call("registry", "list", reader, &[&limit, &[direction], b"n"])
            }
            18 => {
                let (from, to) = (self.account(), self.account());
                call("token", "transfer", from, &[&to, &u64::MAX.to_le_bytes()])
            }
            _ => CallLine { gas: Some(GAS_TOO_LITTLE), ..self.transfer() },
        }
    }

    fn transfer(&mut self) -> CallLine {
        let (from, to, amount) = (self.account(), self.account(), self.amount());
        call("token", "transfer", from, &[&to, &amount])
    }

    fn swap(&mut self) -> CallLine {
        let (trader, amount) = (self.account(), self.amount());
        let side = self.random.below(2) as u8;
        call("amm", "swap", trader, &[&[side], &amount, &[0; 8]])
    }

    /// Up to three payments, of which one in four is more than there is.
    fn payments(&mut self) -> CallLine {
        let function = ["pay", "try_pay"][self.random.below(2) as usize];
        let mut input = vec![0];
        for _ in 0..1 + self.random.below(3) {
            input.extend(self.account());
            let amount = match self.random.below(4) {
                0 => u64::MAX.to_le_bytes(),
                _ => self.amount(),
            };
            input.extend(amount);
        }
        call("payments", function, MINTER, &[&input])
    }

    fn account(&mut self) -> Address {
        account(match &self.zipf {
            Some(zipf) => zipf.draw(&mut self.random),
            None => self.random.below(self.plan.accounts),
        })
    }

    fn amount(&mut self) -> [u8; 8] {
        (10 + self.random.below(90)).to_le_bytes()
    }

    fn name(&mut self) -> Vec<u8> {
        format!("n{}", self.random.below(NAMES)).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(workload: Workload) -> Plan {
        Plan { workload, accounts: 20, blocks: 3, transactions: 16, seed: 7 }
    }

    #[test]
    fn the_same_plan_gives_the_same_lines_and_another_seed_others() {
        for workload in Workload::ALL {
            let lines = |plan| generate(plan).expect("within bounds").collect::<Vec<_>>();
            let plan = plan(workload);
            assert_eq!(lines(plan), lines(plan));
            let is_chance = lines(plan) != lines(Plan { seed: 8, ..plan });
            assert!(is_chance, "{workload}");
        }
    }

    #[test]
    fn blocks_follow_each_other_and_have_what_was_asked_for() {
        for workload in Workload::ALL {
            let lines = generate(plan(workload)).expect("within bounds");
            let blocks: Vec<_> = lines
                .filter_map(|line| match line {
                    Line::Block(block) => Some(block),
                    Line::Deploy { .. } => None,
                })
                .collect();
            assert!(blocks.iter().zip(1..).all(|(block, number)| block.number == number));
            let made = &blocks[blocks.len() - 3..];
            assert!(made.iter().all(|block| block.transactions.len() == 16), "{workload}");
        }
    }

    #[test]
    fn a_number_out_of_its_bounds_is_refused_with_what_would_be_accepted() {
        let refused = |plan| generate(plan).err().expect("refused").message().to_owned();
        let plan = plan(Workload::Transfer);
        assert!(refused(Plan { accounts: 1, ..plan }).contains("expected 2 to 16777216"));
        assert!(refused(Plan { transactions: 0, ..plan }).contains("expected 1 to 65536"));
    }
}
