//! The calls that every function is tried with, made from its row of the table.

use super::Environment;
use crate::random::Random;
use supervm_plugin_sdk::host::ValueType;
use supervm_plugin_sdk::load::PackFunction;

/// Bytes of guest memory in an ordinary call.
const MEMORY: u64 = 4096;
/// Where the regions of an ordinary call lie: far enough apart that none touches another.
const STRIDE: u64 = 256;
/// Bytes that a region with a length parameter has in an ordinary call.
const LENGTH: u64 = 33;
/// Calls with random arguments for each function.
const RANDOM_CALLS: usize = 500;
const U32_MAX: u64 = u32::MAX as u64;

/// A pointer parameter, and the parameter that is its length, by their places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Region {
    pub(super) ptr: usize,
    /// `None` for a region whose size the function itself knows.
    pub(super) len: Option<usize>,
}

impl Region {
    /// The regions of `function`: `ptr` with `len`, `key_ptr` with `key_len`.
    pub(super) fn all(function: &PackFunction) -> Vec<Self> {
        let index = |name: &str| function.params.iter().position(|(param, _)| param == name);
        let stems = function.params.iter().enumerate().filter_map(|(ptr, (name, _))| {
            let stem = name.strip_suffix("ptr")?;
            (stem.is_empty() || stem.ends_with('_')).then_some((ptr, stem))
        });
        stems.map(|(ptr, stem)| Self { ptr, len: index(&format!("{stem}len")) }).collect()
    }

    /// Is as much of the region as can be told inside of `memory` bytes? Of one without a length that is its first byte.
    pub(super) fn is_inside(&self, arguments: &[u64], memory: usize) -> bool {
        let bytes = self.len.map_or(1, |len| arguments[len] & U32_MAX);
        (arguments[self.ptr] & U32_MAX) + bytes <= memory as u64
    }
}

/// A call with its environment and arguments.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) environment: Environment,
    pub(super) arguments: Vec<u64>,
}

impl Call {
    /// Every region apart from the others, every other value zero.
    fn ordinary(function: &PackFunction) -> Self {
        let memory: Vec<u8> = (0..MEMORY).map(|index| (index % 251) as u8).collect();
        let mut environment = Environment::with_memory(memory);
        environment.input = b"the input of the call".to_vec();
        environment.events = vec![b"an event".to_vec()];
        let mut arguments = vec![0; function.params.len()];
        for (place, region) in (1..).zip(Region::all(function)) {
            arguments[region.ptr] = place * STRIDE % MEMORY;
            if let Some(len) = region.len {
                arguments[len] = LENGTH;
            }
        }
        // What the ordinary call asks for is there, so that the function comes to its end.
        for region in Region::all(function) {
            let start = arguments[region.ptr] as usize;
            let key = environment.memory[start..][..LENGTH as usize].to_vec();
            environment.state.insert(key, b"a value".to_vec());
        }
        Self { environment, arguments }
    }

    fn with(&self, index: usize, value: u64) -> Self {
        let mut call = self.clone();
        call.arguments[index] = value;
        call
    }
}

/// The calls for `function`; the first is an ordinary one.
pub(super) fn all(function: &PackFunction, seed: u64) -> Vec<Call> {
    let (ordinary, regions) = (Call::ordinary(function), Region::all(function));
    let mut calls = vec![ordinary.clone()];
    let mut read_only = ordinary.clone();
    read_only.environment.read_only = true;
    calls.push(read_only);
    for region in &regions {
        calls.extend(at_the_edges(&ordinary, region));
    }
    calls.extend(overlapping(&ordinary, &regions));
    calls.extend(extreme(function, &ordinary, &regions));
    calls.extend(random(function, &ordinary, seed));
    let mut empty = ordinary;
    empty.environment.memory.clear();
    calls.push(empty);
    calls
}

fn at_the_edges(ordinary: &Call, region: &Region) -> Vec<Call> {
    let pointers = [MEMORY - 1, MEMORY, U32_MAX, 1 << 31].map(|ptr| ordinary.with(region.ptr, ptr));
    let Some(len) = region.len else { return pointers.into() };
    let pairs = [
        (MEMORY - LENGTH, LENGTH),
        (MEMORY - LENGTH + 1, LENGTH),
        (0, 0),
        (MEMORY, 0),
        (MEMORY + 1, 0),
        (U32_MAX, 0),
        (0, MEMORY),
        (0, MEMORY + 1),
        (0, U32_MAX),
        (16, U32_MAX - 8),
        (U32_MAX, 1),
        (U32_MAX, U32_MAX),
        (0, 1 << 31),
    ];
    let pairs = pairs.map(|(ptr, bytes)| ordinary.with(region.ptr, ptr).with(len, bytes));
    pointers.into_iter().chain(pairs).collect()
}

/// Regions on top of one another, shifted a little.
fn overlapping(ordinary: &Call, regions: &[Region]) -> Vec<Call> {
    let mut calls = Vec::new();
    for (index, one) in regions.iter().enumerate() {
        for other in &regions[..index] {
            for shift in [-40, -1, 0, 1, 20] {
                let ptr = ordinary.arguments[other.ptr].wrapping_add_signed(shift);
                calls.push(ordinary.with(one.ptr, ptr));
            }
        }
    }
    calls
}

fn extreme(function: &PackFunction, ordinary: &Call, regions: &[Region]) -> Vec<Call> {
    let is_value = |index: &usize| {
        !regions.iter().any(|region| region.ptr == *index || region.len == Some(*index))
    };
    let values = [1, 2, 1 << 31, U32_MAX, (1 << 31) - 1, 1 << 63, u64::MAX];
    let indices = (0..function.params.len()).filter(is_value);
    let pairs = indices.flat_map(|index| values.map(|value| (index, value)));
    pairs.map(|(index, value)| ordinary.with(index, narrowed(function, index, value))).collect()
}

fn random(function: &PackFunction, ordinary: &Call, seed: u64) -> Vec<Call> {
    const VALUES: [u64; 14] =
        [0, 1, 2, 19, 20, 32, 64, 65, 240, 1024, MEMORY - 1, MEMORY, 1 << 31, U32_MAX];
    if function.params.is_empty() {
        return Vec::new();
    }
    let mut random = Random::new(seed, function.name());
    let mut call = || {
        let mut call = ordinary.clone();
        for (index, argument) in call.arguments.iter_mut().enumerate() {
            let value = if random.below(8) == 0 { random.next() } else { *random.choose(&VALUES) };
            *argument = narrowed(function, index, value);
        }
        call
    };
    (0..RANDOM_CALLS).map(|_| call()).collect()
}

fn narrowed(function: &PackFunction, index: usize, value: u64) -> u64 {
    if function.params[index].1 == ValueType::I32 { value & U32_MAX } else { value }
}
