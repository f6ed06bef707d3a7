//! One function of a pack: its row of the table, its arguments and its result.

use super::{HostContext, HostError};
use std::fmt;

/// One function of a pack: its type, its price, what it does to state, and its body.
///
/// # Examples
/// ```
/// use supervm_plugin_sdk::prelude::*;
/// const BLOCK_NUMBER: HostFunction = HostFunction::new("block_number", &[], Some(ValueType::I64))
///     .gas(10)
///     .body(|context, _| Ok(HostValue::I64(context.block_number() as i64)));
/// assert_eq!(BLOCK_NUMBER.name, "block_number");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct HostFunction {
    /// The name that contracts import.
    pub name: &'static str,
    /// The parameters, in order.
    pub params: &'static [Parameter],
    /// The result's type.
    pub result: Option<ValueType>,
    /// Gas charged for each call.
    pub gas_base: u64,
    /// Gas charged for each unit of [`gas_length`](Self::gas_length).
    pub gas_per_byte: u64,
    /// The length parameters, by name, whose sum is charged with [`gas_per_byte`](Self::gas_per_byte).
    pub gas_length: &'static [&'static str],
    /// What it does to contract state.
    pub state: StateAccess,
    /// One sentence for the contract author.
    pub doc: &'static str,
    pub(crate) body: Body,
}

/// The body of a [`HostFunction`].
pub type Body = fn(&mut HostContext<'_>, Arguments<'_>) -> Result<HostValue, HostError>;

impl HostFunction {
    /// A function that costs nothing, touches no state, and aborts until [`body`](Self::body) gives it one.
    pub const fn new(
        name: &'static str,
        params: &'static [Parameter],
        result: Option<ValueType>,
    ) -> Self {
        Self {
            name,
            params,
            result,
            gas_base: 0,
            gas_per_byte: 0,
            gas_length: &[],
            state: StateAccess::None,
            doc: "",
            body: |_, _| Err(HostError::Internal("the function has no body".into())),
        }
    }

    /// Charges `base` gas for each call.
    #[must_use]
    pub const fn gas(mut self, base: u64) -> Self {
        self.gas_base = base;
        self
    }

    /// Charges `per_byte` gas for each unit of the named length parameters.
    #[must_use]
    pub const fn gas_per_byte(mut self, per_byte: u64, lengths: &'static [&'static str]) -> Self {
        self.gas_per_byte = per_byte;
        self.gas_length = lengths;
        self
    }

    /// States what it does to contract state.
    #[must_use]
    pub const fn state(mut self, state: StateAccess) -> Self {
        self.state = state;
        self
    }

    /// One sentence for the contract author.
    #[must_use]
    pub const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// What it does.
    #[must_use]
    pub const fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }
}

/// The type of a parameter or result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ValueType {
    /// 32 bits; pointers and lengths are unsigned.
    I32 = 1,
    /// 64 bits.
    I64 = 2,
}

impl ValueType {
    #[cfg(feature = "host")]
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::I32, Self::I64].into_iter().find(|kind| *kind as u8 == code)
    }
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
        })
    }
}

/// What a function does to contract state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StateAccess {
    /// Neither reads nor writes it.
    None = 0,
    /// Reads it.
    Read = 1,
    /// Changes it or emits an event; refused in a read-only call.
    Write = 2,
}

impl StateAccess {
    #[cfg(feature = "host")]
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        [Self::None, Self::Read, Self::Write].into_iter().find(|access| *access as u8 == code)
    }
}

/// A named parameter. A name that ends in `_ptr` is a pointer into guest memory; a `_len` of the same stem is its length.
pub type Parameter = (&'static str, ValueType);

/// The arguments of a call, in the order of the parameters.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a>(pub(crate) &'a [u64]);

impl Arguments<'_> {
    /// Argument `index` as 32 bits, signed.
    ///
    /// # Panics
    /// When there is no such parameter: a defect of the pack, contained at the boundary.
    #[inline]
    pub fn i32(&self, index: usize) -> i32 {
        self.0[index] as u32 as i32
    }

    /// Argument `index` as 32 bits, unsigned: a pointer or a length.
    ///
    /// # Panics
    /// As [`i32`](Self::i32).
    #[inline]
    pub fn u32(&self, index: usize) -> u32 {
        self.0[index] as u32
    }

    /// Argument `index` as 64 bits, signed.
    ///
    /// # Panics
    /// As [`i32`](Self::i32).
    #[inline]
    pub fn i64(&self, index: usize) -> i64 {
        self.0[index] as i64
    }
}

/// What a host function returns; its type is the one that the table states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostValue {
    /// No result.
    None,
    /// A 32-bit result.
    I32(i32),
    /// A 64-bit result.
    I64(i64),
}

impl HostValue {
    pub(crate) fn to_bits(self) -> u64 {
        match self {
            Self::None => 0,
            Self::I32(value) => u64::from(value as u32),
            Self::I64(value) => value as u64,
        }
    }

    pub(crate) fn value_type(self) -> Option<ValueType> {
        match self {
            Self::None => None,
            Self::I32(_) => Some(ValueType::I32),
            Self::I64(_) => Some(ValueType::I64),
        }
    }
}
