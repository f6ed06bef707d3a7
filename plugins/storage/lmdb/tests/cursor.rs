//! Cursors begin each page where the one before ended: no entry twice, none missing, in both directions.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use supervm_plugin_sdk::prelude::*;
use support::{open, rest_of};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Short keys of few bytes, so that bounds often hit keys and prefixes of keys.
    fn key(&mut self, length_min: u64) -> Vec<u8> {
        let length = length_min + self.below(4);
        (0..length).map(|_| [0, 1, 0x7f, 0xfe, 0xff][self.below(5) as usize]).collect()
    }
}

fn expected(map: &Map, start: &[u8], end: Option<&[u8]>, direction: Direction) -> Entries {
    let range = KeyRange::new(start, end);
    let inside = map.iter().filter(|(key, _)| range.contains(key));
    let entries = inside.map(|(key, value)| (key.clone(), value.clone()));
    match direction {
        Direction::Forward => entries.collect(),
        Direction::Reverse => entries.rev().collect(),
    }
}

fn filled(storage: &dyn StorageBackend, random: &mut Random) -> Map {
    let (mut map, mut batch) = (Map::new(), WriteBatch::new());
    for _ in 0..300 {
        let (key, value) = (random.key(1), vec![3; random.below(3000) as usize]);
        batch.put(&key, &value);
        map.insert(key, value);
    }
    storage.write(&batch, Durability::Buffered).unwrap();
    map
}

#[test]
fn a_range_in_either_direction_and_after_a_seek_is_that_of_an_ordered_map() {
    let seed = std::env::var("SEED").map_or(7, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let mut random = Random(seed);
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    let map = filled(&*storage, &mut random);
    for _ in 0..3000 {
        let (start, end) = (random.key(0), (random.below(4) > 0).then(|| random.key(0)));
        let direction = [Direction::Forward, Direction::Reverse][random.below(2) as usize];
        let range = KeyRange::new(&start, end.as_deref());
        let mut cursor = storage.cursor(range, direction).unwrap();
        let all = expected(&map, &start, end.as_deref(), direction);
        assert_eq!(rest_of(&mut *cursor), all, "{start:?} {end:?} {direction:?}");
        let key = random.key(0);
        cursor.seek(&key).unwrap();
        let from_key = all.into_iter().filter(|(found, _)| match direction {
            Direction::Forward => *found >= key,
            Direction::Reverse => *found <= key,
        });
        let from_key: Entries = from_key.collect();
        assert_eq!(rest_of(&mut *cursor), from_key, "{start:?} {end:?} {direction:?} {key:?}");
    }
}

#[test]
fn delete_range_removes_what_an_ordered_map_removes() {
    let mut random = Random(11);
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path());
    for _ in 0..100 {
        let mut map = filled(&*storage, &mut random);
        map.extend(support::entries(&*storage));
        let (start, end) = (random.key(0), (random.below(4) > 0).then(|| random.key(0)));
        let range = KeyRange::new(&start, end.as_deref());
        let mut batch = WriteBatch::new();
        batch.put(&[0xff; 511], b"put before the range");
        batch.delete_range(range);
        storage.write(&batch, Durability::Buffered).unwrap();
        map.insert(vec![0xff; 511], b"put before the range".to_vec());
        map.retain(|key, _| !range.contains(key));
        assert_eq!(support::entries(&*storage), map.into_iter().collect::<Entries>());
    }
}
