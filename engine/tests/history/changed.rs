//! Keys that a span of versions changed, read in a bounded amount of memory.

use crate::backend::Backend;
use crate::random::{Random, seed};
use crate::trace;
use crate::world::{World, kind};
use std::collections::BTreeSet;
use supervm_engine::history::{ChangedKeyStream, PruneTarget};
use supervm_engine::layout::Version;
use supervm_plugin_sdk::ErrorKind;

const COMMITS: u64 = 60;
const SPANS: u64 = 40;

/// The next keys, at most `limit`.
fn some(stream: &mut ChangedKeyStream, limit: usize) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    while keys.len() < limit {
        let Some(key) = stream.next().unwrap() else { break };
        keys.push(key.to_vec());
    }
    keys
}

/// What the oracle remembers of the versions in `(from, to]`.
fn expected(world: &World, from: Version, to: Version) -> BTreeSet<Vec<u8>> {
    let between = world.oracle.changed.range(from.next()..to.next());
    between.flat_map(|(_, keys)| keys.clone()).collect()
}

pub(crate) fn little_memory(backend: &Backend) {
    let mut random = Random::new(seed());
    let mut world = World::archive(backend);
    for _ in 0..COMMITS {
        trace::commit(&mut world, &mut random);
    }
    let floor = Version(random.below(COMMITS / 2));
    world.prune(PruneTarget::Version(floor));
    let last = world.oracle.last();
    for _ in 0..SPANS {
        let from = Version(floor.0 + random.below(last.0 - floor.0 + 1));
        let to = Version(from.0 + random.below(last.0 - from.0 + 1));
        let all = expected(&world, from, to);
        let in_order: Vec<_> = all.iter().cloned().collect();
        // One key at a time, a few, about half of them, and all.
        for memory_bytes in [0, 200, 40 * in_order.len(), usize::MAX] {
            let context = format!("({from}, {to}] in {memory_bytes} bytes");
            let stream = || world.history.changed_key_stream(from, to, memory_bytes).unwrap();
            let mut keys = stream();
            assert_eq!(some(&mut keys, usize::MAX), in_order, "{context}");
            assert_eq!(keys.next().unwrap(), None, "the end stays the end, {context}");
            keys.rewind();
            let few = random.below(in_order.len() as u64 + 2) as usize;
            assert_eq!(some(&mut keys, few), in_order[..few.min(in_order.len())], "{context}");
            assert_eq!(keys.count_keys().unwrap(), in_order.len() as u64, "{context}");
            assert_eq!(some(&mut keys, usize::MAX), in_order, "rewound, {context}");
            let bytes: usize = in_order.iter().map(|key| key.len() + 64).sum();
            let set = keys.into_set();
            if bytes <= memory_bytes.max(1) || in_order.len() <= 1 {
                assert_eq!(set.unwrap(), all, "{context}");
            } else {
                let refused = set.unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::InvalidArgument, "{context}");
                assert!(refused.message().contains("stream"), "{refused}");
            }
        }
        assert_eq!(world.history.changed_keys(from, to).unwrap(), all, "({from}, {to}]");
    }
    let refused = |from, to| kind(world.history.changed_key_stream(from, to, 0));
    assert_eq!(refused(last, Version(last.0 - 1)), ErrorKind::InvalidArgument);
    assert_eq!(refused(last, last.next()), ErrorKind::InvalidArgument);
}

pub(crate) fn pruned_meanwhile(backend: &Backend) {
    let mut world = World::archive(backend);
    for key in [b"a", b"b", b"c", b"d"] {
        world.commit(&[(key, Some(b"1"))]);
    }
    let (from, last) = (Version(1), world.oracle.last());
    let mut keys = world.history.changed_key_stream(from, last, 0).unwrap();
    assert_eq!(some(&mut keys, 1), [b"b"]);
    world.prune(PruneTarget::Version(last));
    if backend.has_snapshots() {
        assert_eq!(some(&mut keys, usize::MAX), [b"c", b"d"]);
    } else {
        assert_eq!(keys.next().unwrap_err().kind(), ErrorKind::VersionPruned);
    }
}
