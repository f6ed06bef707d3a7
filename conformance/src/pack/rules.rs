//! The rules, and what becomes of each on each function.

use super::calls::{self, Call, Region};
use super::{Environment, Pack};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use supervm_plugin_sdk::host::{HostError, StateAccess, ValueType};
use supervm_plugin_sdk::load::PackFunction;

/// What a host pack owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Rule {
    /// Names, types and prices of the table.
    Table,
    /// No panic.
    Panic,
    /// Regions outside of memory.
    Bounds,
    /// Regions inside of memory.
    Inside,
    /// What a trap leaves.
    TrapChangesNothing,
    /// Where it writes.
    Writes,
    /// What it does to state.
    State,
    /// The same result again.
    Deterministic,
}

impl Rule {
    /// The rules that hold for each function, beside [`Rule::Table`].
    const OF_FUNCTIONS: [Self; 7] = [
        Self::Panic,
        Self::Bounds,
        Self::Inside,
        Self::TrapChangesNothing,
        Self::Writes,
        Self::State,
        Self::Deterministic,
    ];

    /// The rule in one sentence.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Table => "names can be imported, lengths are i32, and every function has a price",
            Self::Panic => "no arguments make the function panic or return a value of another type",
            Self::Bounds => "a region that is not inside of the contract's memory ends the call",
            Self::Inside => "regions inside of the contract's memory are not out of bounds",
            Self::TrapChangesNothing => {
                "a call that ends in a trap has changed neither memory nor state"
            }
            Self::Writes => "nothing is written outside of the regions that were given",
            Self::State => "the function does no more to state than its table says",
            Self::Deterministic => "the same call on the same state gives the same result and gas",
        }
    }
}

/// What became of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackCase {
    /// The rule.
    pub rule: Rule,
    /// The function; `None` for a rule of the whole table.
    pub function: Option<String>,
    /// What broke it first: the call and what differed. `None` when it is kept.
    pub failure: Option<String>,
}

impl fmt::Display for PackCase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let function = self.function.as_deref().unwrap_or("the table");
        match &self.failure {
            None => write!(f, "{function}: {}", self.rule.text()),
            Some(failure) => write!(f, "{function}: {failure}\n  rule: {}", self.rule.text()),
        }
    }
}

/// Checks what the table says by itself, one case a function.
pub(super) fn check_table(pack: &Pack) -> Vec<PackCase> {
    let module = pack.descriptor().module.as_deref().unwrap_or_default();
    let of_function = |function: &PackFunction| PackCase {
        rule: Rule::Table,
        function: Some(function.name().to_owned()),
        failure: table_problem(function),
    };
    let of_module = PackCase {
        rule: Rule::Table,
        function: None,
        failure: (!is_name(module)).then(|| format!("the module's name {module:?} {NAME}")),
    };
    std::iter::once(of_module).chain(pack.functions().iter().map(of_function)).collect()
}

const NAME: &str = "is not made of a-z, 0-9 and _, beginning with a letter";

fn is_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(known)
}

fn table_problem(function: &PackFunction) -> Option<String> {
    let names: BTreeSet<_> = function.params.iter().map(|(name, _)| name).collect();
    if !is_name(function.name()) {
        return Some(format!("the function's name {NAME}"));
    }
    if names.len() < function.params.len() {
        return Some("two parameters have one name".to_owned());
    }
    if function.gas_base == 0 {
        return Some("it costs nothing; give it a price with .gas(..)".to_owned());
    }
    let regions =
        Region::all(function).into_iter().flat_map(|region| [Some(region.ptr), region.len]);
    let mut addresses = regions.flatten().chain(function.gas_lengths.iter().copied());
    let wide = addresses.find(|index| function.params[*index].1 != ValueType::I32)?;
    Some(format!("{} is a pointer or a length and no i32", function.params[wide].0))
}

/// Tries one function and keeps the first failure of each rule.
pub(super) struct Checker<'a> {
    function: &'a PackFunction,
    regions: Vec<Region>,
    deterministic: bool,
    failures: BTreeMap<Rule, String>,
}

impl<'a> Checker<'a> {
    pub(super) fn new(function: &'a PackFunction, deterministic: bool) -> Self {
        let regions = Region::all(function);
        Self { function, regions, deterministic, failures: BTreeMap::new() }
    }

    pub(super) fn check(mut self, seed: u64) -> Vec<PackCase> {
        // The regions of a malformed row cannot be told.
        if table_problem(self.function).is_none() {
            calls::all(self.function, seed).into_iter().for_each(|call| self.try_call(call));
        }
        let case = |rule| PackCase {
            rule,
            function: Some(self.function.name().to_owned()),
            failure: self.failures.get(&rule).cloned(),
        };
        let applies = |rule: &Rule| self.deterministic || *rule != Rule::Deterministic;
        Rule::OF_FUNCTIONS.into_iter().filter(applies).map(case).collect()
    }

    fn try_call(&mut self, call: Call) {
        let Call { environment: before, arguments } = call;
        if before.read_only && self.function.state == StateAccess::Write {
            return;
        }
        let mut after = before.clone();
        let outcome = self.function.call(&mut after, &arguments);
        self.check_outcome(&before, &after, &arguments, &outcome);
        if self.deterministic {
            let mut again = before;
            let repeated = self.function.call(&mut again, &arguments);
            let is_same = format!("{outcome:?}") == format!("{repeated:?}")
                && again.is_same_but_gas(&after)
                && again.gas_used == after.gas_used;
            self.require(Rule::Deterministic, is_same, &arguments, || {
                format!("gave {outcome:?}, and then {repeated:?} or other changes")
            });
        }
    }

    fn check_outcome(
        &mut self,
        before: &Environment,
        after: &Environment,
        arguments: &[u64],
        outcome: &Result<u64, HostError>,
    ) {
        let memory = before.memory.len();
        let inside = self.regions.iter().all(|region| region.is_inside(arguments, memory));
        let sized = self.regions.iter().all(|region| region.len.is_some());
        match outcome {
            Err(HostError::Internal(why)) => self.fail(Rule::Panic, arguments, why.clone()),
            Err(error) => {
                let refused = matches!(error, HostError::OutOfBounds { .. });
                self.require(Rule::Inside, !(inside && sized && refused), arguments, || {
                    format!("is inside, yet {error}")
                });
                let unchanged = after.is_same_but_gas(before);
                self.require(Rule::TrapChangesNothing, unchanged, arguments, || {
                    format!("changed something before it ended with: {error}")
                });
            }
            Ok(_) => {
                self.require(Rule::Bounds, inside, arguments, || {
                    format!("reaches outside of {memory} bytes of memory and did not end the call")
                });
                let stray = self.stray_write(before, after, arguments);
                self.require(Rule::Writes, !sized || stray.is_none(), arguments, || {
                    format!("changed the byte at {}", stray.unwrap_or_default())
                });
            }
        }
        let declared = self.function.state;
        let kept = after.touched as u8 <= declared as u8;
        self.require(Rule::State, kept, arguments, || {
            format!("is declared as {declared:?} and does a {:?}", after.touched)
        });
    }

    /// The first byte that was changed outside of every region.
    fn stray_write(
        &self,
        before: &Environment,
        after: &Environment,
        arguments: &[u64],
    ) -> Option<usize> {
        let is_given = |at: usize| {
            self.regions.iter().any(|region| {
                let start = arguments[region.ptr] as u32 as usize;
                let bytes = region.len.map_or(0, |len| arguments[len] as u32 as usize);
                (start..start + bytes).contains(&at)
            })
        };
        let changed = |at: &usize| before.memory.get(*at) != after.memory.get(*at);
        (0..before.memory.len()).filter(changed).find(|at| !is_given(*at))
    }

    fn require(
        &mut self,
        rule: Rule,
        kept: bool,
        arguments: &[u64],
        what: impl FnOnce() -> String,
    ) {
        if !kept {
            self.fail(rule, arguments, what());
        }
    }

    fn fail(&mut self, rule: Rule, arguments: &[u64], what: String) {
        let shown: Vec<_> = arguments.iter().map(u64::to_string).collect();
        let failure = format!("{}({}) {what}", self.function.name(), shown.join(", "));
        self.failures.entry(rule).or_insert(failure);
    }
}
