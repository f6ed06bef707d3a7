//! An estimate of the work to compile a function, made from its instructions alone.
//!
//! The compiler turns locals into single assignments, and a function into basic blocks. Its time and memory follow five things:
//! the instructions; the blocks; how many values are live in each block; where values of several branches meet (a *phi*); and how
//! many branches lead to one place. Each of the last three is at most the product of two numbers that a function chooses freely,
//! so that a short function can take minutes. The estimate counts all five while the function's instructions pass by once:
//!
//! - A local is live from the block of its first access to the block of its last one. It is live from the beginning of the function
//!   unless its first access sets it and all others come before the end of the construct that this happens in. It is live to the end
//!   of each loop that contains the last access and not the first one.
//! - A construct has a phi for each local that is set within it, and for each value that its label takes. Each branch to it carries
//!   an argument for each phi.
//!
//! For example `(loop (local.set 0 (i32.add (local.get 0) (i32.const 1))) (br_if 0 (local.get 1)))` has one phi, whose argument
//! two branches carry: the way in and the `br_if`. The locals 0 and 1 are live in all of its blocks.
//!
//! The estimate depends on nothing but the code and the weights below, so every node makes the same. One unit is about a
//! microsecond of one processor where the weights were measured (`engine/tests/compile_cost`).

use wasmparser::Operator;

/// Changes with every change of a bound or a weight in this file.
pub(super) const VERSION: u32 = 1;
/// Units of work to compile one function.
pub(super) const FUNCTION_UNITS_MAX: u64 = 400_000;
/// Units of work to compile all functions of a contract.
pub(super) const MODULE_UNITS_MAX: u64 = 3_000_000;
/// Constructs (blocks, loops, ifs) within each other.
const NESTING_MAX: usize = 512;
/// Loops within each other; the compiler's time grows with the square of them.
const LOOP_NESTING_MAX: usize = 64;

/// A function, however small.
const FUNCTION: u64 = 50;
/// A basic block.
const BLOCK: u64 = 10;
/// Blocks in which a local is live, for each unit.
const LIVE_PER_UNIT: u64 = 8;
/// Blocks in which a value on the stack is live, for each unit.
const STACKED_PER_UNIT: u64 = 2;
/// An argument of a phi of a local.
const PHI_ARGUMENT: u64 = 6;
/// An argument of a label.
const LABEL_ARGUMENT: u64 = 30;
/// Instructions times locals, for each unit: with many locals at hand most have to be moved to the stack and back.
const PRESSURE_PER_UNIT: u64 = 80;
/// Constructs around a construct that cost nothing.
const NESTING_FREE: usize = 64;
/// Square of the further ones, for each unit.
const NESTING_PER_UNIT: u64 = 128;
/// Pairs of branches to one place, for each unit.
const BRANCH_PAIRS_PER_UNIT: u64 = 100;
/// Pairs of floating-point constants of one function, for each unit.
const CONSTANT_PAIRS_PER_UNIT: u64 = 20;

/// The estimate for one function, while its instructions pass by.
pub(super) struct FunctionCost {
    locals: Vec<Option<Range>>,
    constructs: Vec<Construct>,
    /// The open loops, the outermost first.
    loops: Vec<OpenLoop>,
    /// The block that each loop ended in, by its number.
    loop_ends: Vec<u64>,
    instructions: u64,
    blocks: u64,
    constants: u64,
    /// Work that was counted as it came.
    units: u64,
    /// Values on the stack, added up over the blocks.
    stacked: u64,
}

/// Where a local is live.
#[derive(Clone, Copy)]
struct Range {
    /// Instructions before its first access.
    first: u64,
    begin: u64,
    end: u64,
    /// The loop to whose end it is live.
    to_loop: Option<usize>,
    /// How deep the construct lies that the first access sets it in; `None` when it is live from the beginning.
    scope: Option<usize>,
    /// Instructions before it was last set.
    last_set: Option<u64>,
}

struct OpenLoop {
    /// Instructions before it.
    opened: u64,
    number: usize,
}

struct Construct {
    /// Instructions before it, or before the arm that is open.
    opened: u64,
    is_loop: bool,
    /// Values that it takes, and that it leaves.
    params: u64,
    results: u64,
    phis: u64,
    branches: u64,
}

/// A limit, and what exceeds it.
#[derive(Debug)]
pub(super) struct Exceeded {
    pub(super) what: &'static str,
    pub(super) found: u64,
    pub(super) most: u64,
}

impl FunctionCost {
    /// The estimate for a function with as many locals, parameters included.
    pub(super) fn new(locals: u32) -> Self {
        let body = Construct::new(0, false, (0, 0));
        Self {
            locals: vec![None; locals as usize],
            constructs: vec![body],
            loops: Vec::new(),
            loop_ends: Vec::new(),
            instructions: 0,
            blocks: 3,
            constants: 0,
            units: FUNCTION + u64::from(locals) / 4,
            stacked: 0,
        }
    }

    /// Counts an instruction. `height` is the number of values on the stack at most, before it and after it; `arity` the numbers of
    /// values that the construct which it begins, or the function that it calls, takes and leaves.
    ///
    /// # Errors
    /// The limit that the function exceeds. What is counted afterwards means nothing.
    pub(super) fn instruction(
        &mut self,
        operator: &Operator<'_>,
        height: u64,
        arity: (u64, u64),
    ) -> Result<(), Exceeded> {
        let (units, blocks) = weight(operator, arity);
        self.instructions += 1;
        self.blocks += blocks;
        self.stacked += blocks * height;
        self.units += units;
        match operator {
            Operator::LocalGet { local_index } => self.access(*local_index, false),
            Operator::LocalSet { local_index } | Operator::LocalTee { local_index } => {
                self.access(*local_index, true);
            }
            Operator::F32Const { .. } | Operator::F64Const { .. } => self.constants += 1,
            Operator::Block { .. } => self.open(false, arity)?,
            Operator::If { .. } => {
                self.open(false, arity)?;
                // The way past the first arm.
                self.branch(0);
            }
            Operator::Loop { .. } => self.open(true, arity)?,
            Operator::Else => {
                let at = self.instructions;
                if let Some(construct) = self.constructs.last_mut() {
                    construct.opened = at;
                }
            }
            Operator::End => self.close(),
            Operator::Br { relative_depth } | Operator::BrIf { relative_depth } => {
                self.branch(*relative_depth);
            }
            Operator::BrTable { targets } => {
                self.branch(targets.default());
                targets.targets().flatten().for_each(|depth| self.branch(depth));
            }
            _ => {}
        }
        at_most("units of work to compile", self.so_far(), FUNCTION_UNITS_MAX)
    }

    /// Units of work to compile the function, all of whose instructions have passed by.
    pub(super) fn units(&self) -> u64 {
        let ranges = self.locals.iter().flatten().map(|range| {
            let end = range.to_loop.and_then(|number| self.loop_ends.get(number).copied());
            end.unwrap_or(range.end).max(range.end) + 1 - range.begin
        });
        let touched = ranges.clone().count() as u64;
        // The compiler has a place for each local in each block, used or not.
        let places = touched * self.blocks / 16;
        let pressure = self.instructions * touched / PRESSURE_PER_UNIT;
        self.so_far() + pressure + (ranges.sum::<u64>() + places) / LIVE_PER_UNIT
    }

    fn so_far(&self) -> u64 {
        let constants = self.constants * self.constants / CONSTANT_PAIRS_PER_UNIT;
        self.units + self.blocks * BLOCK + self.stacked / STACKED_PER_UNIT + constants
    }

    fn open(&mut self, is_loop: bool, arity: (u64, u64)) -> Result<(), Exceeded> {
        let opened = self.instructions;
        let deep = self.constructs.len().saturating_sub(NESTING_FREE) as u64;
        self.units += deep.pow(2) / NESTING_PER_UNIT;
        self.constructs.push(Construct::new(opened, is_loop, arity));
        if is_loop {
            self.loops.push(OpenLoop { opened, number: self.loop_ends.len() });
            self.loop_ends.push(0);
        }
        at_most("constructs within each other", self.constructs.len() as u64, NESTING_MAX as u64)?;
        at_most("loops within each other", self.loops.len() as u64, LOOP_NESTING_MAX as u64)
    }

    fn close(&mut self) {
        let Some(construct) = self.constructs.pop() else { return };
        if construct.is_loop
            && let Some(ended) = self.loops.pop()
        {
            self.loop_ends[ended.number] = self.blocks;
        }
        let branches = construct.branches + 1;
        let label = if construct.is_loop { construct.params } else { construct.results };
        self.units += branches * construct.phis * PHI_ARGUMENT
            + (branches * label + construct.params + construct.results) * LABEL_ARGUMENT
            + branches * branches / BRANCH_PAIRS_PER_UNIT;
    }

    fn branch(&mut self, depth: u32) {
        let at = self.constructs.len().checked_sub(1 + depth as usize);
        if let Some(construct) = at.and_then(|at| self.constructs.get_mut(at)) {
            construct.branches += 1;
        }
    }

    fn access(&mut self, local: u32, is_set: bool) {
        let (now, block, depth) = (self.instructions, self.blocks, self.constructs.len());
        let Some(place) = self.locals.get_mut(local as usize) else { return };
        let range = place.get_or_insert_with(|| Range {
            first: now,
            begin: if is_set { block } else { 0 },
            end: block,
            to_loop: None,
            scope: is_set.then_some(depth),
            last_set: None,
        });
        // The construct of the first access has ended, or its other arm has begun.
        if range.scope.is_some_and(|scope| {
            self.constructs.get(scope - 1).is_none_or(|construct| construct.opened > range.first)
        }) {
            (range.begin, range.scope) = (0, None);
        }
        let first = range.scope.map_or(0, |_| range.first);
        let outside = self.loops.partition_point(|open| open.opened <= first);
        range.to_loop = self.loops.get(outside).map(|open| open.number);
        range.end = block;
        if is_set {
            let last = range.last_set.replace(now).unwrap_or(0);
            // Constructs that were open when it was last set have their phi.
            let new = match last {
                0 => 0,
                last => self.constructs.partition_point(|construct| construct.opened <= last),
            };
            self.constructs[new..].iter_mut().for_each(|construct| construct.phis += 1);
            self.units += (depth - new) as u64;
        }
    }
}

impl Construct {
    fn new(opened: u64, is_loop: bool, (params, results): (u64, u64)) -> Self {
        Self { opened, is_loop, params, results, phis: 0, branches: 0 }
    }
}

/// Units of an instruction, and the basic blocks that it makes.
fn weight(operator: &Operator<'_>, (params, results): (u64, u64)) -> (u64, u64) {
    use Operator as O;
    match operator {
        O::LocalGet { .. } | O::LocalSet { .. } | O::LocalTee { .. } | O::Drop | O::Nop => (1, 0),
        O::I32Const { .. } | O::I64Const { .. } | O::F32Const { .. } | O::F64Const { .. } => (1, 0),
        O::End | O::Br { .. } => (1, 0),
        O::Block { .. } => (2, 1),
        O::Return | O::Unreachable => (20, 1),
        O::BrIf { .. } => (10, 1),
        // The head of a loop looks whether gas is left.
        O::Loop { .. } => (90, 4),
        O::If { .. } => (8, 2),
        O::Else => (1, 1),
        O::BrTable { targets } => (10 + u64::from(targets.len()), 1),
        O::Call { .. } => (10 + params + 2 * results, 0),
        O::CallIndirect { .. } => (95 + params + 2 * results, 2),
        O::MemoryGrow { .. } => (40, 4),
        O::MemoryCopy { .. } | O::MemoryFill { .. } | O::MemoryInit { .. } => (90, 4),
        O::TableGet { .. } | O::TableSet { .. } => (60, 3),
        O::TableGrow { .. } | O::TableFill { .. } | O::TableCopy { .. } | O::TableInit { .. } => {
            (250, 12)
        }
        O::RefFunc { .. } | O::DataDrop { .. } | O::ElemDrop { .. } => (20, 0),
        O::I32DivS | O::I32DivU | O::I32RemS | O::I32RemU => (35, 0),
        O::I64DivS | O::I64DivU | O::I64RemS | O::I64RemU => (35, 0),
        _ if makes_nan(operator) => (26, 0),
        _ if is_load(operator) => (6, 0),
        _ => (3, 0),
    }
}

/// Whether the result is a number whose NaN is made canonical, or is converted with checks.
fn makes_nan(operator: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::F32Add
            | O::F32Sub
            | O::F32Mul
            | O::F32Div
            | O::F32Min
            | O::F32Max
            | O::F32Sqrt
            | O::F32Ceil
            | O::F32Floor
            | O::F32Trunc
            | O::F32Nearest
            | O::F32DemoteF64
            | O::F64Add
            | O::F64Sub
            | O::F64Mul
            | O::F64Div
            | O::F64Min
            | O::F64Max
            | O::F64Sqrt
            | O::F64Ceil
            | O::F64Floor
            | O::F64Trunc
            | O::F64Nearest
            | O::F64PromoteF32
            | O::I32TruncF32S
            | O::I32TruncF32U
            | O::I32TruncF64S
            | O::I32TruncF64U
            | O::I64TruncF32S
            | O::I64TruncF32U
            | O::I64TruncF64S
            | O::I64TruncF64U
            | O::I32TruncSatF32S
            | O::I32TruncSatF32U
            | O::I32TruncSatF64S
            | O::I32TruncSatF64U
            | O::I64TruncSatF32S
            | O::I64TruncSatF32U
            | O::I64TruncSatF64S
            | O::I64TruncSatF64U
            | O::F32ConvertI64U
            | O::F64ConvertI64U
    )
}

fn is_load(operator: &Operator<'_>) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::I32Load { .. }
            | O::I64Load { .. }
            | O::F32Load { .. }
            | O::F64Load { .. }
            | O::I32Load8S { .. }
            | O::I32Load8U { .. }
            | O::I32Load16S { .. }
            | O::I32Load16U { .. }
            | O::I64Load8S { .. }
            | O::I64Load8U { .. }
            | O::I64Load16S { .. }
            | O::I64Load16U { .. }
            | O::I64Load32S { .. }
            | O::I64Load32U { .. }
    )
}

/// Errors when more is found than is accepted.
pub(super) fn at_most(what: &'static str, found: u64, most: u64) -> Result<(), Exceeded> {
    if found <= most { Ok(()) } else { Err(Exceeded { what, found, most }) }
}
