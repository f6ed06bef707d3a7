//! What the policies of garbage collection keep, and that a reader goes before them.

use crate::support::{on_both, overwrite, put, read, remove};
use std::time::Duration;
use supervm_engine::layout::Version;
use supervm_engine::mvcc::{Block, Clock, CommitOptions, GcConfig, MvccConfig, MvccStore};

const MINUTE: Duration = Duration::from_secs(60);

fn with(gc: GcConfig) -> MvccConfig {
    MvccConfig { gc, clock: Clock::manual(), ..MvccConfig::default() }
}

fn end_block(store: &MvccStore, number: u64) {
    let mut txn = store.begin();
    crate::support::write(&mut txn, "k", &format!("block {number}"));
    let block = Some(Block { number, timestamp: number });
    txn.commit_with(CommitOptions { block, ..CommitOptions::default() }).unwrap();
}

#[test]
fn at_most_versions_max_of_a_key_stay() {
    on_both(&with(GcConfig { versions_max: Some(3), ..GcConfig::default() }), |store| {
        overwrite(store, "k", 2);
        assert_eq!(store.gc().versions_removed, 0, "there are fewer");
        overwrite(store, "k", 8);
        assert_eq!(store.gc().versions_removed, 7);
        assert_eq!(store.total_versions(), 3);
    });
}

#[test]
fn versions_max_of_nothing_keeps_the_newest() {
    on_both(&with(GcConfig { versions_max: Some(0), ..GcConfig::default() }), |store| {
        overwrite(store, "k", 5);
        store.gc();
        assert_eq!(store.total_versions(), 1);
    });
}

#[test]
fn a_reader_goes_before_versions_max() {
    on_both(&with(GcConfig { versions_max: Some(1), ..GcConfig::default() }), |store| {
        overwrite(store, "k", 2);
        let mut reader = store.begin_read_only();
        overwrite(store, "k", 5);
        assert_eq!(store.gc().versions_removed, 1);
        assert_eq!(read(&mut reader, "k").as_deref(), Some("1"));
        drop(reader);
        store.gc();
        assert_eq!(store.total_versions(), 1);
    });
}

#[test]
fn what_was_superseded_within_the_time_to_live_stays() {
    let config = with(GcConfig { time_to_live: Some(MINUTE), ..GcConfig::default() });
    let clock = config.clock.clone();
    on_both(&config, |store| {
        put(store, &[("k", "1")]);
        clock.advance(MINUTE / 2);
        put(store, &[("k", "2")]);
        clock.advance(MINUTE / 2);
        put(store, &[("k", "3")]);
        // The first was superseded half a minute ago, however long ago it was written.
        assert_eq!(store.gc().versions_removed, 0);
        clock.advance(MINUTE / 2);
        assert_eq!(store.gc().versions_removed, 1);
        clock.advance(MINUTE / 2);
        assert_eq!(store.gc().versions_removed, 1);
        assert_eq!(store.total_versions(), 1);
    });
}

#[test]
fn versions_of_one_moment_all_go_when_their_time_is_over() {
    let config = with(GcConfig { time_to_live: Some(MINUTE), ..GcConfig::default() });
    let clock = config.clock.clone();
    on_both(&config, |store| {
        overwrite(store, "k", 5);
        assert_eq!(store.gc().versions_removed, 0);
        clock.advance(MINUTE);
        assert_eq!(store.gc().versions_removed, 4, "without a commit in between");
    });
}

#[test]
fn many_moments_within_the_time_to_live_are_told_apart() {
    let config = with(GcConfig { time_to_live: Some(MINUTE), ..GcConfig::default() });
    let clock = config.clock.clone();
    on_both(&config, |store| {
        for second in 0..600 {
            put(store, &[("k", &second.to_string())]);
            clock.advance(Duration::from_secs(1));
        }
        store.gc();
        let kept = store.total_versions();
        assert!((60..=63).contains(&kept), "a minute's and the newest, not {kept}");
    });
}

#[test]
fn a_reader_goes_before_the_time_to_live() {
    let config = with(GcConfig { time_to_live: Some(MINUTE), ..GcConfig::default() });
    let clock = config.clock.clone();
    on_both(&config, |store| {
        put(store, &[("k", "1")]);
        let mut reader = store.begin_read_only();
        put(store, &[("k", "2")]);
        clock.advance(10 * MINUTE);
        put(store, &[("k", "3")]);
        assert_eq!(store.gc().versions_removed, 0);
        assert_eq!(read(&mut reader, "k").as_deref(), Some("1"));
        drop(reader);
        assert_eq!(store.gc().versions_removed, 1, "the first; the second was superseded just now");
    });
}

#[test]
fn a_deleted_key_leaves_after_the_time_to_live() {
    let config = with(GcConfig { time_to_live: Some(MINUTE), ..GcConfig::default() });
    let clock = config.clock.clone();
    on_both(&config, |store| {
        put(store, &[("k", "1")]);
        remove(store, "k");
        assert_eq!(store.gc().keys_removed, 0);
        clock.advance(2 * MINUTE);
        assert_eq!(store.gc().keys_removed, 1);
        assert_eq!(store.metrics().cells, 0);
    });
}

#[test]
fn what_the_states_after_the_last_blocks_need_stays() {
    on_both(&with(GcConfig { blocks: Some(2), ..GcConfig::default() }), |store| {
        end_block(store, 1);
        assert_eq!(store.gc().versions_removed, 0, "there are fewer blocks");
        overwrite(store, "k", 3);
        end_block(store, 2);
        // Block 1 is one of the last two: its state is version 1.
        store.gc();
        assert_eq!(store.total_versions(), 5);
        overwrite(store, "k", 3);
        end_block(store, 3);
        store.gc();
        // Blocks 2 and 3, and what was between them.
        assert_eq!(store.total_versions(), 5);
        end_block(store, 4);
        end_block(store, 5);
        store.gc();
        assert_eq!(store.total_versions(), 2);
    });
}

#[test]
fn a_reader_goes_before_the_policy_on_blocks() {
    on_both(&with(GcConfig { blocks: Some(1), ..GcConfig::default() }), |store| {
        end_block(store, 1);
        let mut reader = store.begin_read_only();
        (2..6).for_each(|number| end_block(store, number));
        store.gc();
        assert_eq!(read(&mut reader, "k").as_deref(), Some("block 1"));
        drop(reader);
        store.gc();
        assert_eq!(store.total_versions(), 1);
    });
}

#[test]
fn of_time_and_blocks_the_one_that_keeps_more_decides_and_versions_max_bounds_both() {
    let policy = GcConfig { time_to_live: Some(MINUTE), blocks: Some(2), versions_max: None };
    let config = with(policy);
    let clock = config.clock.clone();
    on_both(&config, |store| {
        (1..=5).for_each(|number| end_block(store, number));
        store.gc();
        assert_eq!(store.total_versions(), 5, "by time");
        clock.advance(2 * MINUTE);
        store.gc();
        assert_eq!(store.total_versions(), 2, "by blocks");
    });
    let config = with(GcConfig { versions_max: Some(3), ..policy });
    on_both(&config, |store| {
        (1..=5).for_each(|number| end_block(store, number));
        store.gc();
        assert_eq!(store.total_versions(), 3);
    });
}

#[test]
fn without_a_policy_all_goes_that_no_reader_needs() {
    on_both(&with(GcConfig::default()), |store| {
        overwrite(store, "k", 50);
        store.gc();
        assert_eq!(store.total_versions(), 1);
        assert_eq!(store.last_version(), Version(50));
    });
}

#[test]
fn a_store_is_made_with_a_policy_alone() {
    let store =
        MvccStore::new_with_config(GcConfig { versions_max: Some(2), ..GcConfig::default() });
    overwrite(&store, "k", 5);
    store.gc();
    assert_eq!(store.total_versions(), 2);
}
