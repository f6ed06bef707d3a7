//! Differences between two states.

use crate::Rule;
use crate::support::{CHAIN_ID, archive, open};
use supervm_engine::layout::{Version, latest_key, put_record};
use supervm_engine::transfer::{DiffReport, diff};
use supervm_plugin_sdk::Durability;
use supervm_plugin_sdk::WriteBatch;
use supervm_plugin_sdk::load::Plugin;

pub(crate) const RULES: &[Rule] =
    &[("a_difference_names_each_key_that_differs_in_order", differing)];

fn differing(plugin: &Plugin) {
    assert_ne!(CHAIN_ID, 0);
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    archive(plugin, &first);
    archive(plugin, &second);
    let (first, second) = (open(plugin, &first), open(plugin, &second));
    let mut differences = Vec::new();
    let none = diff(&first, &second, &mut |_| panic!("nothing differs")).unwrap();
    assert!(none.is_equal() && none.equal > 50, "{none:?}");
    let (mut batch, mut stored, mut record) = (WriteBatch::new(), Vec::new(), Vec::new());
    // The same value by another version is no difference.
    for (key, value) in [("aaa", "new"), ("between", "changed"), ("\0empty", "")] {
        latest_key(key.as_bytes(), &mut stored);
        put_record(Version(99), value.as_bytes(), &mut record);
        batch.put(&stored, &record);
    }
    latest_key(&[0xff; 432], &mut stored);
    batch.delete(&stored);
    second.write(&batch, Durability::Buffered).unwrap();
    let report = diff(&first, &second, &mut |difference| {
        let is_there = (difference.first.is_some(), difference.second.is_some());
        differences.push((difference.key.to_vec(), is_there));
        Ok(())
    })
    .unwrap();
    let expected: [(Vec<u8>, _); 3] = [
        (b"aaa".to_vec(), (false, true)),
        (b"between".to_vec(), (true, true)),
        (vec![0xff; 432], (true, false)),
    ];
    assert_eq!(differences, expected);
    let counts = DiffReport { equal: none.equal - 2, changed: 1, only_first: 1, only_second: 1 };
    assert_eq!(report, counts);
}
