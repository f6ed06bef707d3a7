//! What every pointer of every function owes, generated from the table.

use super::{Environment, Pack};
use supervm_plugin_sdk::host::{HostError, ValueType};
use supervm_plugin_sdk::load::PackFunction;

/// Where the regions of an ordinary call lie: far enough apart that none touches another.
const STRIDE: u32 = 256;
/// Bytes of guest memory in an ordinary call.
const MEMORY: u32 = 4096;
/// Bytes that a region with a length parameter has in an ordinary call.
const LENGTH: u32 = 33;

/// What a function does with the region of a pointer, and its bytes when no length parameter says them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Use {
    Input(Option<u32>),
    Output(Option<u32>),
}

/// A function, its pointer parameter, and the use of it.
pub(crate) type Pointer = (&'static str, &'static str, Use);

/// The pointers of a pack and what an ordinary call of it finds.
#[derive(Debug)]
pub(crate) struct Pointers {
    pub(crate) pack: Pack,
    pub(crate) pointers: &'static [Pointer],
    /// Prepares state, events and whatever else an ordinary call needs.
    pub(crate) prepare: fn(&Pack, &mut Environment),
    /// The bytes of an input in an ordinary call; `None` for a pattern.
    pub(crate) content: fn(function: &str, param: &str) -> Option<Vec<u8>>,
}

/// A pointer parameter with its places among the arguments.
#[derive(Debug, Clone, Copy)]
struct Region {
    ptr: usize,
    len: Option<usize>,
    fixed: u32,
    is_output: bool,
}

impl Region {
    fn bytes(&self, arguments: &[u64]) -> u32 {
        self.len.map_or(self.fixed, |index| arguments[index] as u32)
    }

    fn is_inside(&self, arguments: &[u64], memory: usize) -> bool {
        let end = u64::from(arguments[self.ptr] as u32) + u64::from(self.bytes(arguments));
        end <= memory as u64
    }
}

impl Pointers {
    /// Runs every generated case.
    pub(crate) fn check(&self) {
        self.check_that_the_list_is_complete();
        for function in &self.pack.functions {
            self.check_bounds(function);
            self.check_overlaps(function);
            self.check_extreme_values(function);
        }
        self.check_random_calls();
    }

    fn check_that_the_list_is_complete(&self) {
        let is_pointer = |name: &str| name == "ptr" || name.ends_with("_ptr");
        let mut listed: Vec<_> =
            self.pointers.iter().map(|(function, param, _)| (*function, *param)).collect();
        let mut found: Vec<_> = self
            .pack
            .functions
            .iter()
            .flat_map(|function| function.params.iter().map(|param| (function.name(), &*param.0)))
            .filter(|(_, param)| is_pointer(param))
            .collect();
        listed.sort_unstable();
        found.sort_unstable();
        assert_eq!(listed, found, "each pointer of the table is listed once");
        for function in &self.pack.functions {
            for region in self.regions(function) {
                assert!(
                    region.len.is_some() || region.fixed > 0,
                    "{} has a length",
                    function.name()
                );
            }
        }
    }

    fn regions(&self, function: &PackFunction) -> Vec<Region> {
        let index = |name: &str| function.params.iter().position(|(param, _)| param == name);
        let of_function = self.pointers.iter().filter(|(listed, ..)| *listed == function.name());
        of_function
            .map(|(_, param, kind)| {
                let (Use::Input(fixed) | Use::Output(fixed)) = *kind;
                Region {
                    ptr: index(param).expect("the list was checked"),
                    len: index(&param.replace("ptr", "len")).filter(|_| fixed.is_none()),
                    fixed: fixed.unwrap_or(0),
                    is_output: matches!(kind, Use::Output(_)),
                }
            })
            .collect()
    }

    /// The arguments of an ordinary call: every region apart from the others, every other value zero.
    fn ordinary(&self, function: &PackFunction) -> (Environment, Vec<u64>) {
        let memory: Vec<u8> = (0..MEMORY).map(|index| (index % 251) as u8).collect();
        let mut environment = Environment::with_memory(memory);
        (self.prepare)(&self.pack, &mut environment);
        let mut arguments = vec![0; function.params.len()];
        for (place, region) in (1..).zip(self.regions(function)) {
            let ptr = place * STRIDE;
            arguments[region.ptr] = u64::from(ptr);
            let content = (self.content)(function.name(), &function.params[region.ptr].0);
            if let Some(content) = &content {
                environment.memory[ptr as usize..][..content.len()].copy_from_slice(content);
            }
            if let Some(len) = region.len {
                arguments[len] = content.map_or(u64::from(LENGTH), |content| content.len() as u64);
            }
        }
        (environment, arguments)
    }

    /// Calls and checks what holds for any arguments: no panic, a trap changes nothing, only the outputs are written, and a
    /// region outside of memory is a trap.
    fn call(
        &self,
        environment: &mut Environment,
        function: &PackFunction,
        arguments: &[u64],
    ) -> Result<u64, HostError> {
        let before = environment.clone();
        let what = format!("{}{arguments:x?}", function.name());
        let outcome = function.call(environment, arguments);
        let regions = self.regions(function);
        let inside = regions.iter().all(|region| region.is_inside(arguments, before.memory.len()));
        match &outcome {
            Err(HostError::Internal(why)) => panic!("{what}: {why}"),
            Err(error) => {
                assert!(environment.is_same_but_gas(&before), "{what} changed something: {error}");
                let is_out_of_bounds = matches!(error, HostError::OutOfBounds { .. });
                assert!(!(inside && is_out_of_bounds), "{what} is inside, yet: {error}");
            }
            Ok(_) => assert!(inside, "{what} reaches outside of memory and did not trap"),
        }
        let mut expected = before.memory;
        for region in regions.iter().filter(|region| region.is_output && outcome.is_ok()) {
            let start = arguments[region.ptr] as u32 as usize;
            let target = start..start + region.bytes(arguments) as usize;
            expected[target.clone()].copy_from_slice(&environment.memory[target]);
        }
        assert!(environment.memory == expected, "{what} wrote outside of its outputs");
        outcome
    }

    fn check_bounds(&self, function: &PackFunction) {
        const U32_MAX: u64 = u32::MAX as u64;
        let end = u64::from(MEMORY);
        for region in self.regions(function) {
            let (_, ordinary) = self.ordinary(function);
            let size = u64::from(region.bytes(&ordinary));
            let mut cases = vec![
                (end - size, None, true),
                (end - size + 1, None, false),
                (end - 1, None, false),
                (end, None, false),
                (U32_MAX, None, false),
                (1 << 31, None, false),
            ];
            if region.len.is_some() {
                cases.extend([
                    (0, Some(0), true),
                    (end, Some(0), true),
                    (end + 1, Some(0), false),
                    (U32_MAX, Some(0), false),
                    (0, Some(U32_MAX), false),
                    (16, Some(U32_MAX - 8), false),
                    (U32_MAX, Some(1), false),
                    (U32_MAX, Some(U32_MAX), false),
                    (0, Some(1 << 31), false),
                ]);
            }
            for (ptr, len, is_inside) in cases {
                let (mut environment, mut arguments) = self.ordinary(function);
                arguments[region.ptr] = ptr;
                if let (Some(index), Some(len)) = (region.len, len) {
                    arguments[index] = len;
                }
                let outcome = self.call(&mut environment, function, &arguments);
                let is_refused = matches!(outcome, Err(HostError::OutOfBounds { .. }));
                assert_eq!(!is_refused, is_inside, "{}{arguments:x?}", function.name());
            }
        }
        self.check_empty_memory(function);
    }

    fn check_empty_memory(&self, function: &PackFunction) {
        let (mut environment, arguments) = self.ordinary(function);
        environment.memory.clear();
        let outcome = self.call(&mut environment, function, &arguments);
        let has_regions = !self.regions(function).is_empty();
        assert!(!has_regions || matches!(outcome, Err(HostError::OutOfBounds { .. })));
    }

    /// An output on top of an input gets what it gets elsewhere, for inputs are read first.
    fn check_overlaps(&self, function: &PackFunction) {
        let regions = self.regions(function);
        let (mut apart, ordinary) = self.ordinary(function);
        let expected = self.call(&mut apart, function, &ordinary).ok();
        for output in regions.iter().filter(|region| region.is_output) {
            let bytes = output.bytes(&ordinary) as usize;
            let written = &apart.memory[ordinary[output.ptr] as usize..][..bytes];
            for input in regions.iter().filter(|region| !region.is_output) {
                for shift in [-40, -1, 0, 1, 20] {
                    let (mut environment, mut arguments) = self.ordinary(function);
                    arguments[output.ptr] = arguments[input.ptr].wrapping_add_signed(shift);
                    let outcome = self.call(&mut environment, function, &arguments).ok();
                    assert_eq!(outcome, expected, "{}{arguments:x?}", function.name());
                    let found = &environment.memory[arguments[output.ptr] as usize..][..bytes];
                    assert_eq!(found, written, "{}{arguments:x?}", function.name());
                }
            }
        }
        let (mut environment, mut arguments) = self.ordinary(function);
        regions.iter().for_each(|region| arguments[region.ptr] = u64::from(STRIDE));
        let _ = self.call(&mut environment, function, &arguments);
    }

    fn check_extreme_values(&self, function: &PackFunction) {
        let regions = self.regions(function);
        let is_value =
            |index: &usize| regions.iter().all(|at| at.ptr != *index && at.len != Some(*index));
        for index in (0..function.params.len()).filter(is_value) {
            for value in [0, 1, 2, 1 << 31, u64::from(u32::MAX), (1 << 31) - 1, 1 << 63, u64::MAX] {
                let narrow = function.params[index].1 == ValueType::I32;
                let (mut environment, mut arguments) = self.ordinary(function);
                arguments[index] = if narrow { value & 0xffff_ffff } else { value };
                let _ = self.call(&mut environment, function, &arguments);
            }
        }
    }

    /// A long run of random calls on one environment, whose state they change as they go.
    fn check_random_calls(&self) {
        const VALUES: [u32; 14] =
            [0, 1, 2, 19, 20, 32, 64, 65, 240, 1024, 4095, 4096, 1 << 31, u32::MAX];
        let mut seed = 0x5eed_u64;
        let mut random = move |below: usize| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((seed >> 33) as usize) % below
        };
        let (mut environment, _) = self.ordinary(&self.pack.functions[0]);
        for _ in 0..2_000 {
            let function = &self.pack.functions[random(self.pack.functions.len())];
            let value = |_| u64::from(VALUES[random(VALUES.len())]);
            let arguments: Vec<u64> = (0..function.params.len()).map(value).collect();
            let _ = self.call(&mut environment, function, &arguments);
        }
    }
}
