//! One way to a storage, and how each operation of it is measured.

use crate::data::{Put, Query, Total, checksum};
use criterion::Bencher;
use std::iter::Cycle;
use std::slice::{Chunks, Iter};

/// A storage that is open and filled. To add one, implement this and list it in `main`.
pub(crate) trait Leg {
    /// Hands the value of `key` to `read`, without a copy where that is possible; `None` when the key is absent.
    fn get<T>(&mut self, key: &[u8], read: impl FnOnce(&[u8]) -> T) -> Option<T>;

    /// Hands every entry to `read`, in the order of the keys.
    fn scan(&mut self, read: impl FnMut(&[u8], &[u8]));

    /// Writes `batch`, all or none, so that it survives the death of the process.
    fn write(&mut self, batch: &[Put]);
}

/// What criterion measures of a [`Leg`], whatever its type.
pub(crate) trait Measured {
    /// One `get` after the other.
    fn measure_get(&mut self, bencher: &mut Bencher<'_>, queries: &mut Cycle<Iter<'_, Query>>);
    /// A scan of everything, which has to see `expected`.
    fn measure_scan(&mut self, bencher: &mut Bencher<'_>, expected: &Total);
    /// One batch after the other.
    fn measure_write(&mut self, bencher: &mut Bencher<'_>, batches: &mut Cycle<Chunks<'_, Put>>);
}

impl<L: Leg> Measured for L {
    fn measure_get(&mut self, bencher: &mut Bencher<'_>, queries: &mut Cycle<Iter<'_, Query>>) {
        bencher.iter(|| {
            let query = queries.next().expect("a cycle has no end");
            let found = self.get(&query.key, checksum);
            assert_eq!(found, Some(query.checksum), "a get found something else");
        });
    }

    fn measure_scan(&mut self, bencher: &mut Bencher<'_>, expected: &Total) {
        bencher.iter(|| {
            let mut total = Total::default();
            self.scan(|key, value| total.add(key, value));
            assert_eq!(total, *expected, "a scan saw something else");
        });
    }

    fn measure_write(&mut self, bencher: &mut Bencher<'_>, batches: &mut Cycle<Chunks<'_, Put>>) {
        let mut last: &[Put] = &[];
        bencher.iter(|| {
            last = batches.next().expect("a cycle has no end");
            self.write(last);
        });
        for put in last {
            let found = self.get(&put.key, |value| *value == put.value);
            assert_eq!(found, Some(true), "what was written is not there");
        }
    }
}

/// A leg that is opened when it is first measured, so that a filter leaves out what it excludes.
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'static str,
    open: Box<dyn Fn() -> Box<dyn Measured> + 'a>,
    leg: Option<Box<dyn Measured>>,
}

impl<'a> Candidate<'a> {
    pub(crate) fn new(name: &'static str, open: impl Fn() -> Box<dyn Measured> + 'a) -> Self {
        Self { name, open: Box::new(open), leg: None }
    }

    pub(crate) fn leg(&mut self) -> &mut dyn Measured {
        &mut **self.leg.get_or_insert_with(&self.open)
    }
}
