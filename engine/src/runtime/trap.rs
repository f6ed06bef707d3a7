//! Why a contract's call ended without a result.

use serde::Serialize;
use std::fmt;

/// Why a contract's call ended without a result. A trap is part of the receipt and the same on every node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Trap {
    /// The call's gas is used up.
    OutOfGas,
    /// The contract's code accessed memory outside of its bounds, or a data segment does not fit into it.
    MemoryOutOfBounds,
    /// A pointer and length that the contract gave to a host function are not inside its memory.
    OutOfBounds {
        /// Where the access begins.
        ptr: u32,
        /// How many bytes it has.
        len: u32,
    },
    /// The contract's functions are nested too deeply.
    StackOverflow,
    /// The contract reached an `unreachable` instruction: it gave up, or its language's panic ended there.
    Unreachable,
    /// An integer result does not fit its type.
    IntegerOverflow,
    /// An integer was divided by zero.
    DivisionByZero,
    /// A float has no integer of the type it was converted to.
    BadConversion,
    /// An access outside of the contract's table.
    TableOutOfBounds,
    /// An indirect call of a table element that holds no function.
    IndirectCallToNull,
    /// An indirect call of a function that has another type.
    IndirectCallTypeMismatch,
    /// A write or an event in a read-only call.
    ReadOnlyCall,
    /// A bound of the call is exceeded.
    LimitExceeded {
        /// Which one, and what it is.
        what: String,
    },
    /// The contract gave up by a host function, or used one against its rules.
    Abort {
        /// The code.
        code: i32,
        /// For the contract's author.
        message: String,
    },
    /// No contract is deployed at the address.
    MissingContract {
        /// The address, in hexadecimal digits.
        address: String,
    },
    /// The contract has no such function that can be called.
    MissingExport {
        /// The function's name.
        function: String,
    },
    /// The arguments do not fit the function.
    BadArguments {
        /// What was given, and what would be accepted.
        what: String,
    },
}

impl Trap {
    /// The name of this kind of trap, `kebab-case`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OutOfGas => "out-of-gas",
            Self::MemoryOutOfBounds => "memory-out-of-bounds",
            Self::OutOfBounds { .. } => "out-of-bounds",
            Self::StackOverflow => "stack-overflow",
            Self::Unreachable => "unreachable",
            Self::IntegerOverflow => "integer-overflow",
            Self::DivisionByZero => "division-by-zero",
            Self::BadConversion => "bad-conversion",
            Self::TableOutOfBounds => "table-out-of-bounds",
            Self::IndirectCallToNull => "indirect-call-to-null",
            Self::IndirectCallTypeMismatch => "indirect-call-type-mismatch",
            Self::ReadOnlyCall => "read-only-call",
            Self::LimitExceeded { .. } => "limit-exceeded",
            Self::Abort { .. } => "abort",
            Self::MissingContract { .. } => "missing-contract",
            Self::MissingExport { .. } => "missing-export",
            Self::BadArguments { .. } => "bad-arguments",
        }
    }

    /// Is the gas that is left given back? Only where the host ended the call on the contract's or the caller's word, since
    /// the gas used until an instruction traps depends on how the code was compiled.
    pub fn refunds_gas(&self) -> bool {
        matches!(
            self,
            Self::Abort { .. }
                | Self::MissingContract { .. }
                | Self::MissingExport { .. }
                | Self::BadArguments { .. }
        )
    }

    /// The trap that an instruction raised; `None` for those that the enabled instructions cannot raise.
    pub(super) fn from_instruction(trap: wasmtime::Trap) -> Option<Self> {
        Some(match trap {
            wasmtime::Trap::OutOfFuel => Self::OutOfGas,
            wasmtime::Trap::MemoryOutOfBounds => Self::MemoryOutOfBounds,
            wasmtime::Trap::StackOverflow => Self::StackOverflow,
            wasmtime::Trap::UnreachableCodeReached => Self::Unreachable,
            wasmtime::Trap::IntegerOverflow => Self::IntegerOverflow,
            wasmtime::Trap::IntegerDivisionByZero => Self::DivisionByZero,
            wasmtime::Trap::BadConversionToInteger => Self::BadConversion,
            wasmtime::Trap::TableOutOfBounds => Self::TableOutOfBounds,
            wasmtime::Trap::IndirectCallToNull => Self::IndirectCallToNull,
            wasmtime::Trap::BadSignature => Self::IndirectCallTypeMismatch,
            _ => return None,
        })
    }
}

impl fmt::Display for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfGas => f.write_str("the call's gas is used up"),
            Self::MemoryOutOfBounds => f.write_str("memory access out of bounds"),
            Self::OutOfBounds { ptr, len } => {
                write!(f, "{len} bytes at {ptr} are outside of the contract's memory")
            }
            Self::StackOverflow => f.write_str("the contract's functions are nested too deeply"),
            Self::Unreachable => f.write_str("the contract reached an unreachable instruction"),
            Self::IntegerOverflow => f.write_str("an integer result does not fit its type"),
            Self::DivisionByZero => f.write_str("an integer was divided by zero"),
            Self::BadConversion => f.write_str("a float has no integer it could be converted to"),
            Self::TableOutOfBounds => f.write_str("table access out of bounds"),
            Self::IndirectCallToNull => {
                f.write_str("an indirect call of a table element without a function")
            }
            Self::IndirectCallTypeMismatch => {
                f.write_str("an indirect call of a function of another type")
            }
            Self::ReadOnlyCall => f.write_str("a write in a read-only call"),
            Self::LimitExceeded { what } => write!(f, "limit exceeded: {what}"),
            Self::Abort { code, message } => write!(f, "aborted with code {code}: {message}"),
            Self::MissingContract { address } => {
                write!(f, "no contract is deployed at {address}")
            }
            Self::MissingExport { function } => {
                write!(f, "the contract has no function \"{function}\" that can be called")
            }
            Self::BadArguments { what } => write!(f, "bad arguments: {what}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_serialised_name_is_the_name() {
        let named = |trap: Trap| {
            let json = serde_json::to_value(&trap).expect("serialises");
            assert_eq!(json["name"], trap.name());
        };
        for trap in [
            Trap::OutOfGas,
            Trap::MemoryOutOfBounds,
            Trap::OutOfBounds { ptr: 1, len: 2 },
            Trap::StackOverflow,
            Trap::Unreachable,
            Trap::IntegerOverflow,
            Trap::DivisionByZero,
            Trap::BadConversion,
            Trap::TableOutOfBounds,
            Trap::IndirectCallToNull,
            Trap::IndirectCallTypeMismatch,
            Trap::ReadOnlyCall,
            Trap::LimitExceeded { what: "events".into() },
            Trap::Abort { code: 1, message: "no".into() },
            Trap::MissingContract { address: "07".into() },
            Trap::MissingExport { function: "f".into() },
            Trap::BadArguments { what: "two".into() },
        ] {
            named(trap);
        }
    }
}
