//! The gas schedule: what everything costs, and the hash that names it.
//!
//! Gas is wasmtime's fuel. One unit is about the work of one simple instruction. A function pays for its instructions block by
//! block, and whether it can still pay is looked at where it is entered, at the head of each loop, before each operation whose
//! work depends on an operand, and wherever it calls the host.

use super::compile_cost;
use super::link::PackRow;
use sha2::{Digest, Sha256};
use wasmtime::{OperatorCost, VariableOperatorCost};

/// Changes with every change of a price in this file.
const SCHEDULE_VERSION: u32 = 2;

/// An instance of a contract, whatever its size: part of the price of each call, the first one and those between contracts.
pub(super) const INSTANCE: u64 = 10_000;
/// Opening a scan, for each own write, deletes included, that it has to merge.
pub(super) const SCAN_PENDING_ENTRY: u64 = 100;
/// A step of a scan, for each key on its way that earlier transactions of the same block removed.
pub(super) const SCAN_REMOVED_KEY: u64 = 300;
/// A call from a host function back into the contract.
pub(super) const GUEST_CALL: u64 = 100;
/// A unit of work to compile a contract, which is about a microsecond.
const COMPILE_UNIT: u64 = 100;

macro_rules! operator_costs {
    ($($cost:literal: $($operator:ident)*;)*) => {
        /// Every instruction that a contract can use, with its price.
        const OPERATORS: &[(&str, u8)] = &[$($((stringify!($operator), $cost),)*)*];

        fn set_operators(costs: &mut OperatorCost) {
            $($(costs.$operator = $cost;)*)*
        }
    };
}

operator_costs! {
    // No code is generated for these.
    0: Nop Drop Block Loop Else End Unreachable Return;
    1: If Br BrIf LocalGet LocalSet LocalTee GlobalGet GlobalSet Select TypedSelect TypedSelectMulti
       I32Const I64Const F32Const F64Const RefNull RefIsNull RefFunc
       I32Load I64Load F32Load F64Load I32Load8S I32Load8U I32Load16S I32Load16U
       I64Load8S I64Load8U I64Load16S I64Load16U I64Load32S I64Load32U
       I32Store I64Store F32Store F64Store I32Store8 I32Store16 I64Store8 I64Store16 I64Store32
       I32Eqz I32Eq I32Ne I32LtS I32LtU I32GtS I32GtU I32LeS I32LeU I32GeS I32GeU
       I64Eqz I64Eq I64Ne I64LtS I64LtU I64GtS I64GtU I64LeS I64LeU I64GeS I64GeU
       F32Eq F32Ne F32Lt F32Gt F32Le F32Ge F64Eq F64Ne F64Lt F64Gt F64Le F64Ge
       I32Clz I32Ctz I32Popcnt I64Clz I64Ctz I64Popcnt
       I32Add I32Sub I32Mul I32And I32Or I32Xor I32Shl I32ShrS I32ShrU I32Rotl I32Rotr
       I64Add I64Sub I64Mul I64And I64Or I64Xor I64Shl I64ShrS I64ShrU I64Rotl I64Rotr
       I32WrapI64 I64ExtendI32S I64ExtendI32U
       I32Extend8S I32Extend16S I64Extend8S I64Extend16S I64Extend32S
       I32ReinterpretF32 I64ReinterpretF64 F32ReinterpretI32 F64ReinterpretI64
       F32Abs F32Neg F32Copysign F64Abs F64Neg F64Copysign
       MemorySize TableSize DataDrop ElemDrop;
    2: BrTable Call TableGet TableSet
       F32Add F32Sub F32Mul F32Min F32Max F32Ceil F32Floor F32Trunc F32Nearest
       F64Add F64Sub F64Mul F64Min F64Max F64Ceil F64Floor F64Trunc F64Nearest
       I32TruncF32S I32TruncF32U I32TruncF64S I32TruncF64U
       I64TruncF32S I64TruncF32U I64TruncF64S I64TruncF64U
       I32TruncSatF32S I32TruncSatF32U I32TruncSatF64S I32TruncSatF64U
       I64TruncSatF32S I64TruncSatF32U I64TruncSatF64S I64TruncSatF64U
       F32ConvertI32S F32ConvertI32U F32ConvertI64S F32ConvertI64U F32DemoteF64
       F64ConvertI32S F64ConvertI32U F64ConvertI64S F64ConvertI64U F64PromoteF32;
    4: CallIndirect;
    8: I32DivS I32DivU I32RemS I32RemU F32Div F32Sqrt F64Div F64Sqrt;
    16: I64DivS I64DivU I64RemS I64RemU;
    // Calls into the runtime, before what they cost by size.
    50: MemoryCopy MemoryFill MemoryInit TableCopy TableFill TableInit TableGrow;
    250: MemoryGrow;
}

/// Prices by size; instructions of other proposals are refused before they could be priced.
const VARIABLE: VariableOperatorCost = VariableOperatorCost {
    memory_copy_per_byte: 1,
    memory_fill_per_byte: 1,
    memory_init_per_byte: 1,
    // A page is 64 KiB that the system has to clear; no higher price fits.
    memory_grow_per_page: u8::MAX,
    table_copy_per_element: 1,
    table_fill_per_element: 1,
    table_init_per_element: 2,
    table_grow_per_element: 2,
    ..VariableOperatorCost::new()
};

/// The price of an instance whose memory begins with so many pages.
pub(super) fn instance(pages: u64) -> u64 {
    INSTANCE + pages * u64::from(VARIABLE.memory_grow_per_page)
}

/// The price of compiling a contract of so many units of work.
pub(super) fn compile(units: u64) -> u64 {
    units * COMPILE_UNIT
}

/// The price of each instruction, for the compiler.
pub(super) fn operator_costs() -> OperatorCost {
    let mut costs = OperatorCost::new();
    set_operators(&mut costs);
    costs.variable = VARIABLE;
    costs
}

/// The price of a call of a host function; `None` when no gas limit could pay for it.
#[inline]
pub(super) fn host_call(row: &PackRow, arguments: &[u64]) -> Option<u64> {
    let function = &row.function;
    if function.gas_per_byte == 0 {
        return Some(function.gas_base);
    }
    // Lengths are 32 or 64 bits; those of 32 bits come in zero-extended.
    let lengths = function
        .gas_lengths
        .iter()
        .try_fold(0_u64, |sum, &index| sum.checked_add(arguments[index]))?;
    lengths.checked_mul(function.gas_per_byte)?.checked_add(function.gas_base)
}

/// The hash of everything that decides the gas of a call: the prices of this file and every row of every host pack.
pub(super) fn schedule_hash<'a>(rows: impl Iterator<Item = &'a PackRow>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"supervm gas schedule");
    hash.update(SCHEDULE_VERSION.to_le_bytes());
    for (name, cost) in OPERATORS {
        text(&mut hash, name);
        hash.update([*cost]);
    }
    hash.update([
        VARIABLE.memory_copy_per_byte,
        VARIABLE.memory_fill_per_byte,
        VARIABLE.memory_init_per_byte,
        VARIABLE.memory_grow_per_page,
        VARIABLE.table_copy_per_element,
        VARIABLE.table_fill_per_element,
        VARIABLE.table_init_per_element,
        VARIABLE.table_grow_per_element,
    ]);
    for price in [INSTANCE, SCAN_PENDING_ENTRY, SCAN_REMOVED_KEY, GUEST_CALL] {
        hash.update(price.to_le_bytes());
    }
    hash.update(compile_cost::VERSION.to_le_bytes());
    hash.update(COMPILE_UNIT.to_le_bytes());
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|row| (&row.module, row.function.name()));
    rows.into_iter().for_each(|row| pack_row(&mut hash, row));
    hash.finalize().into()
}

fn pack_row(hash: &mut Sha256, row: &PackRow) {
    let function = &row.function;
    text(hash, &row.module);
    text(hash, function.name());
    hash.update((function.params.len() as u64).to_le_bytes());
    for (name, kind) in &function.params {
        text(hash, name);
        hash.update([*kind as u8]);
    }
    hash.update([function.result.map_or(0, |kind| kind as u8), function.state as u8]);
    hash.update(function.gas_base.to_le_bytes());
    hash.update(function.gas_per_byte.to_le_bytes());
    hash.update((function.gas_lengths.len() as u64).to_le_bytes());
    for index in &function.gas_lengths {
        hash.update((*index as u64).to_le_bytes());
    }
}

/// With its length, so that no two sequences of texts are hashed alike.
fn text(hash: &mut Sha256, text: &str) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The instructions of the proposals that contracts may use, from the parser's own list.
    macro_rules! enabled_operators {
        ($(@$proposal:ident $operator:ident $({ $($argument:tt)* })? => $visit:ident ($($annotation:tt)*))*) => {
            [$((stringify!($proposal), stringify!($operator)),)*]
        };
    }

    #[test]
    fn every_instruction_of_the_enabled_proposals_has_a_price() {
        const ENABLED: [&str; 5] =
            ["mvp", "sign_extension", "saturating_float_to_int", "bulk_memory", "reference_types"];
        let listed = wasmparser::for_each_operator!(enabled_operators);
        let enabled: BTreeSet<_> = listed
            .into_iter()
            .filter(|(proposal, _)| ENABLED.contains(proposal))
            .map(|(_, operator)| operator)
            .collect();
        let priced: BTreeSet<_> = OPERATORS.iter().map(|(name, _)| *name).collect();
        assert_eq!(priced.len(), OPERATORS.len(), "one price each");
        assert_eq!(priced.symmetric_difference(&enabled).collect::<Vec<_>>(), [&""; 0]);
    }

    #[test]
    fn the_hash_of_the_engines_own_prices_is_pinned() {
        let engine_only = schedule_hash(std::iter::empty());
        assert_eq!(
            hex::encode(engine_only),
            "57ce43a9dfcabb98850c1ac9a6608fdad82ef07837a871a8a433b86d00cff63f",
            "a new schedule needs a new SCHEDULE_VERSION"
        );
    }
}
