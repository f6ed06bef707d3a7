//! Modules that are small to write and expensive to compile, each by a family and a number of units.

use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, DataSection, ElementSection, Elements, ExportKind,
    ExportSection, Function, FunctionSection, GlobalSection, GlobalType, InstructionSink, MemArg,
    MemorySection, MemoryType, Module, RefType, TableSection, TableType, TypeSection, ValType,
};

thread_local! {
    /// Units of a function at most.
    static EACH: std::cell::Cell<usize> = const { std::cell::Cell::new(usize::MAX) };
}

/// Bytes that a function's units may take; what stands before and after them fits into the rest.
const UNIT_BYTES: usize = 216 << 10;

/// A kind of module, scaled by how many units of it there are.
#[derive(Clone)]
pub(crate) struct Family {
    pub(crate) name: String,
    make: std::sync::Arc<dyn Fn(usize) -> Vec<u8> + Send + Sync>,
}

impl Family {
    /// A module of as many units, and at most `each` of them in a function.
    pub(crate) fn module(&self, units: usize, each: usize) -> Vec<u8> {
        EACH.set(each);
        (self.make)(units)
    }

    fn new(
        name: impl Into<String>,
        make: impl Fn(usize) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self { name: name.into(), make: std::sync::Arc::new(make) }
    }
}

/// The parts of a module around its functions.
pub(crate) struct Shell {
    pub(crate) params: Vec<ValType>,
    pub(crate) results: Vec<ValType>,
    pub(crate) locals: Vec<(u32, ValType)>,
    /// Types besides that of the functions; type 1 is the first of them.
    pub(crate) types: Vec<(Vec<ValType>, Vec<ValType>)>,
}

impl Shell {
    pub(crate) fn of_locals(count: u32, kind: ValType) -> Self {
        Self { params: vec![], results: vec![], locals: vec![(count, kind)], types: vec![] }
    }

    /// A module of these function bodies.
    pub(crate) fn module(&self, bodies: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function(self.params.iter().copied(), self.results.iter().copied());
        for (params, results) in &self.types {
            types.ty().function(params.iter().copied(), results.iter().copied());
        }
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        for body in bodies {
            functions.function(0);
            let mut function = Function::new(self.locals.iter().copied());
            function.raw(body);
            function.instructions().end();
            code.function(&function);
        }
        let mut tables = TableSection::new();
        tables.table(TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: 4,
            maximum: None,
            shared: false,
        });
        let mut memories = MemorySection::new();
        memories.memory(MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        let mut globals = GlobalSection::new();
        for (kind, zero) in [
            (ValType::I32, ConstExpr::i32_const(0)),
            (ValType::I64, ConstExpr::i64_const(0)),
            (ValType::F32, ConstExpr::f32_const(0_f32.into())),
            (ValType::F64, ConstExpr::f64_const(0_f64.into())),
        ] {
            globals.global(GlobalType { val_type: kind, mutable: true, shared: false }, &zero);
        }
        let mut exports = ExportSection::new();
        exports.export("memory", ExportKind::Memory, 0);
        let mut elements = ElementSection::new();
        elements.active(None, &ConstExpr::i32_const(0), Elements::Functions([0][..].into()));
        let mut data = DataSection::new();
        data.active(0, &ConstExpr::i32_const(0), [1, 2, 3]);
        let mut module = Module::new();
        module.section(&types).section(&functions).section(&tables).section(&memories);
        module.section(&globals).section(&exports).section(&elements).section(&code).section(&data);
        module.finish()
    }

    /// A module of as many functions as `units` need, each of what `begin` writes, units, and what `end` writes.
    pub(crate) fn units(
        &self,
        units: usize,
        begin: impl Fn(&mut InstructionSink<'_>),
        unit: impl Fn(&mut InstructionSink<'_>, usize),
        end: impl Fn(&mut InstructionSink<'_>),
    ) -> Vec<u8> {
        let mut bodies = Vec::new();
        let mut done = 0;
        while done < units || bodies.is_empty() {
            let mut body = Vec::new();
            begin(&mut InstructionSink::new(&mut body));
            let mut bytes = 0;
            let first = done;
            while done < units && bytes < UNIT_BYTES && done - first < EACH.get() {
                let before = body.len();
                unit(&mut InstructionSink::new(&mut body), done);
                bytes += body.len() - before;
                done += 1;
            }
            end(&mut InstructionSink::new(&mut body));
            bodies.push(body);
        }
        self.module(bodies)
    }
}

fn global(kind: ValType) -> u32 {
    match kind {
        ValType::I32 => 0,
        ValType::I64 => 1,
        ValType::F32 => 2,
        _ => 3,
    }
}

fn constant(code: &mut InstructionSink<'_>, kind: ValType, value: u32) {
    match kind {
        ValType::I32 => code.i32_const(value as i32),
        ValType::I64 => code.i64_const(i64::from(value)),
        ValType::F32 => code.f32_const((value as f32).into()),
        _ => code.f64_const(f64::from(value).into()),
    };
}

fn add(code: &mut InstructionSink<'_>, kind: ValType) {
    match kind {
        ValType::I32 => code.i32_add(),
        ValType::I64 => code.i64_add(),
        ValType::F32 => code.f32_add(),
        _ => code.f64_add(),
    };
}

/// Sets every local to a value of its own, so that none is a constant.
fn set_all(code: &mut InstructionSink<'_>, count: u32, kind: ValType) {
    for local in 0..count {
        code.global_get(global(kind)).local_set(local);
    }
}

/// Reads every local, so that each is live until here.
fn read_all(code: &mut InstructionSink<'_>, count: u32, kind: ValType) {
    for local in 0..count {
        code.i32_const(0).local_get(local);
        store(code, kind, local);
    }
}

/// Stores the value on top of the stack at a place of its own.
fn store(code: &mut InstructionSink<'_>, kind: ValType, number: u32) {
    let at = MemArg { offset: u64::from(number % 8000) * 8, align: 0, memory_index: 0 };
    match kind {
        ValType::I32 => code.i32_store(at),
        ValType::I64 => code.i64_store(at),
        ValType::F32 => code.f32_store(at),
        _ => code.f64_store(at),
    };
}

/// A control instruction around what a unit holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Construct {
    Block,
    Loop,
    If,
    IfElse,
}

/// What a family of structured control does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Structured {
    pub(crate) construct: Construct,
    /// Constructs within each other; a unit.
    pub(crate) nest: u32,
    pub(crate) locals: u32,
    /// Locals that each construct reads and writes.
    pub(crate) touch: u32,
    pub(crate) kind: ValType,
}

fn touch(code: &mut InstructionSink<'_>, shape: &Structured, at: u32) {
    for each in 0..shape.touch {
        let local = (at * shape.touch + each) % shape.locals;
        code.local_get(local);
        constant(code, shape.kind, 1);
        add(code, shape.kind);
        code.local_set(local);
    }
}

pub(crate) fn structured(shape: Structured) -> Family {
    let name = format!(
        "{:?} nest={} locals={} touch={} {:?}",
        shape.construct, shape.nest, shape.locals, shape.touch, shape.kind
    );
    Family::new(name, move |units| {
        Shell::of_locals(shape.locals, shape.kind).units(
            units,
            |code| set_all(code, shape.locals, shape.kind),
            |code, unit| {
                for depth in 0..shape.nest {
                    let at = (unit as u32).wrapping_mul(shape.nest).wrapping_add(depth) % 1_000_003;
                    match shape.construct {
                        Construct::Block => {
                            code.block(BlockType::Empty).global_get(0).br_if(0);
                        }
                        Construct::Loop => {
                            code.loop_(BlockType::Empty);
                        }
                        Construct::If => {
                            code.global_get(0).if_(BlockType::Empty);
                        }
                        Construct::IfElse => {
                            code.global_get(0).if_(BlockType::Empty);
                            touch(code, &shape, at);
                            code.else_();
                        }
                    }
                    touch(code, &shape, at + 1);
                }
                for _ in 0..shape.nest {
                    if shape.construct == Construct::Loop {
                        code.global_get(0).br_if(0);
                    }
                    code.end();
                }
            },
            |code| read_all(code, shape.locals, shape.kind),
        )
    })
}

/// Straight-line code over `locals` of which all are live: `unit` works on a local.
fn straight(
    name: &str,
    locals: u32,
    kind: ValType,
    unit: impl Fn(&mut InstructionSink<'_>, u32, usize) + Send + Sync + 'static,
) -> Family {
    Family::new(format!("{name} locals={locals}"), move |units| {
        Shell::of_locals(locals, kind).units(
            units,
            |code| set_all(code, locals, kind),
            |code, number| unit(code, (number as u32 * 7) % locals, number),
            |code| read_all(code, locals, kind),
        )
    })
}

const AT: MemArg = MemArg { offset: 16, align: 0, memory_index: 0 };

fn straights() -> Vec<Family> {
    let mut all = Vec::new();
    for locals in [1, 24, 100, 300, 1000, 4000] {
        all.extend([
            straight("i64.add", locals, ValType::I64, move |code, local, number| {
                code.local_get(local)
                    .local_get((number as u32 * 13 + 5) % locals)
                    .i64_add()
                    .local_set(local);
            }),
            straight("i32.div", locals, ValType::I32, move |code, local, number| {
                code.local_get(local)
                    .local_get((number as u32 * 13 + 5) % locals)
                    .i32_div_s()
                    .local_set(local);
            }),
            straight("f64.add", locals, ValType::F64, move |code, local, number| {
                code.local_get(local)
                    .local_get((number as u32 * 13 + 5) % locals)
                    .f64_add()
                    .local_set(local);
            }),
            straight("load", locals, ValType::I32, |code, local, _| {
                code.local_get(local).i32_load(AT).local_set(local);
            }),
            straight("store", locals, ValType::I32, |code, local, _| {
                code.local_get(local).local_get(local).i32_store(AT);
            }),
            straight("call", locals, ValType::I32, |code, _, _| {
                code.call(0);
            }),
            straight("call_indirect", locals, ValType::I32, |code, local, _| {
                code.local_get(local).call_indirect(0, 0);
            }),
            straight("select", locals, ValType::I64, move |code, local, number| {
                code.local_get(local).local_get((number as u32 * 13 + 5) % locals);
                code.global_get(0).select().local_set(local);
            }),
            straight("memory.fill", locals, ValType::I32, |code, local, _| {
                code.local_get(local).local_get(local).local_get(local).memory_fill(0);
            }),
        ]);
    }
    all.extend([
        straight("f64.sqrt", 1, ValType::F64, |code, _, _| {
            code.local_get(0);
            for _ in 0..64 {
                code.f64_sqrt();
            }
            code.local_set(0);
        }),
        straight("f32.ceil", 1, ValType::F32, |code, _, _| {
            code.local_get(0);
            for _ in 0..64 {
                code.f32_ceil();
            }
            code.local_set(0);
        }),
        straight("i32.popcnt", 1, ValType::I32, |code, _, _| {
            code.local_get(0);
            for _ in 0..64 {
                code.i32_popcnt();
            }
            code.local_set(0);
        }),
        straight("i64.clz", 1, ValType::I64, |code, _, _| {
            code.local_get(0);
            for _ in 0..64 {
                code.i64_clz();
            }
            code.local_set(0);
        }),
        straight("f64<->i64", 1, ValType::I64, |code, _, _| {
            code.local_get(0);
            for _ in 0..32 {
                code.f64_convert_i64_u().i64_trunc_f64_u();
            }
            code.local_set(0);
        }),
        straight("f64<->i32 sat", 1, ValType::I32, |code, _, _| {
            code.local_get(0);
            for _ in 0..32 {
                code.f32_convert_i32_u().i32_trunc_sat_f32_u();
            }
            code.local_set(0);
        }),
        straight("load chain", 1, ValType::I32, |code, _, _| {
            code.local_get(0);
            for _ in 0..32 {
                code.i32_load(MemArg { offset: 0, align: 0, memory_index: 0 });
            }
            code.local_set(0);
        }),
        straight("grow chain", 1, ValType::I32, |code, _, _| {
            code.local_get(0);
            for _ in 0..32 {
                code.memory_grow(0);
            }
            code.local_set(0);
        }),
        straight("eqz chain", 1, ValType::I32, |code, _, _| {
            code.local_get(0);
            for _ in 0..64 {
                code.i32_eqz();
            }
            code.local_set(0);
        }),
        straight("table.get", 1, ValType::I32, |code, local, _| {
            code.local_get(local).table_get(0).ref_is_null().local_set(local);
        }),
        straight("table.grow", 1, ValType::I32, |code, local, _| {
            code.ref_func(0).local_get(local).table_grow(0).local_set(local);
        }),
        straight("global", 1, ValType::I64, |code, _, _| {
            code.global_get(1).global_set(1);
        }),
        straight("i64.const", 1, ValType::I64, |code, local, number| {
            code.i64_const((number as i64).wrapping_mul(0x7fff_1234_5678_9abd)).local_set(local);
            code.local_get(local).global_set(1);
        }),
        straight("f64.const", 1, ValType::F64, |code, local, number| {
            code.f64_const((number as f64).into()).local_get(local).f64_add().local_set(local);
        }),
        straight("br_if", 1, ValType::I32, |code, local, _| {
            code.local_get(local).br_if(0);
        }),
        straight("return", 1, ValType::I32, |code, local, _| {
            code.local_get(local).if_(BlockType::Empty).return_().end();
        }),
        straight("unreachable", 1, ValType::I32, |code, local, _| {
            code.local_get(local).if_(BlockType::Empty).unreachable().end();
        }),
        straight("memory.copy const", 1, ValType::I32, |code, _, _| {
            code.i32_const(0).i32_const(0).i32_const(0).memory_copy(0, 0);
        }),
    ]);
    all
}

/// A stack of `depth` values that stays while units run above it.
fn deep_stack(depth: u32, construct: Option<Construct>) -> Family {
    Family::new(format!("stack depth={depth} {construct:?}"), move |units| {
        Shell::of_locals(1, ValType::I64).units(
            units,
            |code| {
                for _ in 0..depth {
                    code.global_get(1);
                }
            },
            |code, _| match construct {
                None => {
                    code.local_get(0).i64_const(3).i64_mul().local_set(0);
                }
                Some(Construct::Loop) => {
                    code.loop_(BlockType::Empty).global_get(0).br_if(0).end();
                }
                Some(Construct::Block) => {
                    code.block(BlockType::Empty).global_get(0).br_if(0).end();
                }
                Some(_) => {
                    code.global_get(0).if_(BlockType::Empty).call(0).end();
                }
            },
            |code| {
                for _ in 0..depth {
                    code.global_set(1);
                }
            },
        )
    })
}

/// Values pushed one after another, all of them live until the end.
fn all_live(kind: ValType) -> Family {
    Family::new(format!("all live {kind:?}"), move |units| {
        let each = EACH.get().min(UNIT_BYTES / 16);
        let bodies = (0..units.div_ceil(each).max(1)).map(|function| {
            let count = units.saturating_sub(function * each).min(each);
            let mut body = Vec::new();
            let mut code = InstructionSink::new(&mut body);
            for number in 0..count {
                code.global_get(global(kind));
                constant(&mut code, kind, number as u32 % 60);
                add(&mut code, kind);
            }
            for number in 0..count {
                code.local_set(0).i32_const(0).local_get(0);
                store(&mut code, kind, number as u32);
            }
            body
        });
        Shell::of_locals(1, kind).module(bodies.collect::<Vec<_>>())
    })
}

/// `br_table`s of `targets` targets over `labels` blocks that carry `arity` values, with `locals` that are live.
fn tables(targets: u32, labels: u32, arity: usize, locals: u32, is_loop: bool) -> Family {
    let name = format!(
        "br_table targets={targets} labels={labels} arity={arity} locals={locals} loop={is_loop}"
    );
    Family::new(name, move |units| {
        let values = vec![ValType::I64; arity];
        let shell = Shell {
            types: vec![if is_loop { (values, vec![]) } else { (vec![], values) }],
            ..Shell::of_locals(locals, ValType::I64)
        };
        let kind = BlockType::FunctionType(1);
        shell.units(
            units,
            |code| set_all(code, locals, ValType::I64),
            |code, number| {
                for _ in 0..labels {
                    if is_loop {
                        for _ in 0..arity {
                            code.global_get(1);
                        }
                        code.loop_(kind);
                        for _ in 0..arity {
                            code.drop();
                        }
                    } else {
                        code.block(kind);
                    }
                }
                for _ in 0..arity {
                    code.global_get(1);
                }
                code.global_get(0);
                code.br_table((0..targets).map(|target| target % labels), 0);
                for label in 0..labels {
                    code.end();
                    if is_loop {
                        continue;
                    }
                    if locals > 0 {
                        code.global_get(1).local_set((number as u32 + label) % locals);
                    }
                    for _ in 0..arity {
                        code.global_set(1);
                    }
                    if label + 1 < labels {
                        for _ in 0..arity {
                            code.global_get(1);
                        }
                    }
                }
            },
            |code| read_all(code, locals, ValType::I64),
        )
    })
}

/// Blocks within each other, and `br_if`s from the inside to each of them.
fn exits(levels: u32, branches: u32, locals: u32) -> Family {
    Family::new(
        format!("exits levels={levels} branches={branches} locals={locals}"),
        move |units| {
            Shell::of_locals(locals, ValType::I64).units(
                units,
                |code| set_all(code, locals, ValType::I64),
                |code, _| {
                    for _ in 0..levels {
                        code.block(BlockType::Empty);
                    }
                    for branch in 0..branches {
                        code.global_get(1).local_set(branch % locals);
                        code.global_get(0).br_if(branch % levels);
                    }
                    for _ in 0..levels {
                        code.end();
                    }
                },
                |code| read_all(code, locals, ValType::I64),
            )
        },
    )
}

/// Blocks, ifs or loops that take and give values.
fn multi(construct: Construct, params: usize, results: usize) -> Family {
    Family::new(format!("multi {construct:?} params={params} results={results}"), move |units| {
        let shell = Shell {
            types: vec![(vec![ValType::I64; params], vec![ValType::I64; results])],
            ..Shell::of_locals(1, ValType::I64)
        };
        shell.units(
            units,
            |code| {
                for _ in 0..params {
                    code.global_get(1);
                }
            },
            |code, _| {
                let kind = BlockType::FunctionType(1);
                let change = |code: &mut InstructionSink<'_>| {
                    for _ in results..params {
                        code.drop();
                    }
                    for _ in params..results {
                        code.local_get(0);
                    }
                };
                match construct {
                    Construct::Loop => {
                        code.loop_(kind);
                        change(code);
                    }
                    Construct::Block => {
                        code.block(kind);
                        change(code);
                        code.global_get(0).br_if(0).i64_const(1).i64_add();
                    }
                    _ => {
                        code.global_get(0).if_(kind);
                        change(code);
                        code.i64_const(1).i64_add().else_();
                        change(code);
                    }
                }
                code.end();
                for _ in results..params {
                    code.global_get(1);
                }
                for _ in params..results {
                    code.drop();
                }
            },
            |code| {
                for _ in 0..params {
                    code.drop();
                }
            },
        )
    })
}

/// Functions of many parameters and results that call each other.
fn calls(params: usize, results: usize, indirect: bool) -> Family {
    Family::new(
        format!("calls params={params} results={results} indirect={indirect}"),
        move |units| {
            let shell = Shell {
                params: vec![ValType::I64; params],
                results: vec![ValType::I64; results],
                locals: vec![(1, ValType::I64)],
                types: vec![],
            };
            shell.units(
                units,
                |_| {},
                |code, _| {
                    for _ in 0..params {
                        code.local_get(0);
                    }
                    if indirect {
                        code.i32_const(0).call_indirect(0, 0);
                    } else {
                        code.call(0);
                    }
                    for _ in 0..results {
                        code.drop();
                    }
                },
                |code| {
                    for _ in 0..results {
                        code.local_get(0);
                    }
                },
            )
        },
    )
}

/// Many functions of `bytes` bytes.
fn functions(bytes: usize, params: usize) -> Family {
    Family::new(format!("functions bytes={bytes} params={params}"), move |units| {
        let shell = Shell {
            params: vec![ValType::I64; params],
            results: vec![],
            locals: vec![],
            types: vec![],
        };
        shell.module((0..units.max(1)).map(|_| {
            let mut body = Vec::new();
            let mut code = InstructionSink::new(&mut body);
            for _ in 0..bytes / 4 {
                code.global_get(1).global_set(1);
            }
            body
        }))
    })
}

/// Every family.
pub(crate) fn all() -> Vec<Family> {
    use Construct::{Block, If, IfElse, Loop};
    let mut all = straights();
    let mut add = |construct, nest, locals, touch, kind| {
        all.push(structured(Structured { construct, nest, locals, touch, kind }));
    };
    for construct in [Block, Loop, If, IfElse] {
        for locals in [1, 24, 200, 1000, 4000] {
            add(construct, 1, locals, 1, ValType::I64);
        }
        for nest in [8, 64, 120, 500] {
            for locals in [1, 24, 1000] {
                add(construct, nest, locals, 1, ValType::I64);
            }
        }
        add(construct, 1, 100, 8, ValType::I64);
        add(construct, 1, 1000, 64, ValType::I64);
        add(construct, 8, 100, 8, ValType::I64);
        add(construct, 1, 200, 0, ValType::I64);
        add(construct, 1, 200, 2, ValType::F64);
    }
    for depth in [64, 1000, 10_000] {
        for construct in [None, Some(Block), Some(Loop), Some(If)] {
            all.push(deep_stack(depth, construct));
        }
    }
    all.extend([ValType::I32, ValType::I64, ValType::F64].map(all_live));
    all.extend([
        tables(10, 4, 0, 1, false),
        tables(10, 4, 0, 100, false),
        tables(1000, 1, 0, 1, false),
        tables(200_000, 2, 0, 1, false),
        tables(200_000, 2, 16, 1, false),
        tables(1000, 500, 0, 1, false),
        tables(1000, 500, 0, 100, false),
        tables(500, 500, 16, 1, false),
        tables(8, 8, 16, 1, false),
        tables(8, 8, 64, 1, true),
        tables(300, 300, 64, 1, true),
        tables(300, 300, 0, 100, true),
        exits(8, 64, 8),
        exits(500, 500, 1),
        exits(500, 500, 100),
        exits(10, 1000, 500),
        exits(1, 10_000, 500),
        exits(100, 10_000, 2000),
    ]);
    for construct in [Block, Loop, If] {
        all.extend([multi(construct, 1, 1), multi(construct, 16, 16), multi(construct, 64, 1)]);
        all.push(multi(construct, 0, 16));
    }
    all.extend([
        calls(1, 1, false),
        calls(64, 0, false),
        calls(64, 16, false),
        calls(4, 16, false),
    ]);
    all.extend([calls(64, 16, true), calls(1, 1, true)]);
    all.extend([functions(0, 0), functions(0, 64), functions(32, 0), functions(400, 4)]);
    all
}
