//! Walks over the entries of a range.

use super::Node;
use super::sorted::{Entry, Keyed, Sorted, either};
use std::sync::Arc;
use supervm_plugin_sdk::KeyRange;

/// Children of a branch that are still to come.
type Children<'a> = std::slice::Iter<'a, Arc<Node>>;

/// Entries in ascending order.
#[derive(Debug)]
pub(crate) struct Ascending<'a> {
    /// From the root down.
    above: Vec<Children<'a>>,
    end: Option<&'a [u8]>,
    rest: &'a [Entry],
}

impl<'a> Ascending<'a> {
    pub(super) fn new(root: &'a Node, range: KeyRange<'a>) -> Self {
        let (mut above, mut node) = (Vec::new(), root);
        loop {
            match node {
                Node::Branch(branch) => {
                    let index = branch.child_of(range.start);
                    above.push(branch.children[index + 1..].iter());
                    node = &branch.children[index];
                }
                Node::Leaf(leaf) => {
                    let mut entries = Self { above, end: range.end, rest: &[] };
                    entries.enter(leaf, either(leaf.search(range.start)));
                    return entries;
                }
            }
        }
    }

    /// Goes on with the entries of `leaf` from `start` on, as far as they are in the range.
    fn enter(&mut self, leaf: &'a Sorted<Entry>, start: usize) {
        let len = leaf.items.len();
        let end = self.end.map_or(len, |end| either(leaf.search(end)));
        if end < len {
            self.above.clear();
        }
        // A range that ends before it starts has no entries.
        self.rest = leaf.items.get(start..end).unwrap_or_default();
    }

    fn enter_next(&mut self) -> Option<()> {
        let mut node = loop {
            match self.above.last_mut()?.next() {
                Some(child) => break &**child,
                None => drop(self.above.pop()),
            }
        };
        while let Node::Branch(branch) = node {
            let (first, others) =
                branch.children.split_first().expect("no branch is without a child");
            self.above.push(others.iter());
            node = first;
        }
        if let Node::Leaf(leaf) = node {
            self.enter(leaf, 0);
        }
        Some(())
    }
}

impl<'a> Iterator for Ascending<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((entry, rest)) = self.rest.split_first() {
                self.rest = rest;
                return Some((entry.key(), entry.value()));
            }
            self.enter_next()?;
        }
    }
}

/// Entries in descending order.
#[derive(Debug)]
pub(crate) struct Descending<'a> {
    /// From the root down.
    above: Vec<Children<'a>>,
    start: &'a [u8],
    rest: &'a [Entry],
}

impl<'a> Descending<'a> {
    pub(super) fn new(root: &'a Node, range: KeyRange<'a>) -> Self {
        let (mut above, mut node) = (Vec::new(), root);
        loop {
            match node {
                Node::Branch(branch) => {
                    let last = branch.children.len() - 1;
                    let index = range.end.map_or(last, |end| branch.child_of(end));
                    above.push(branch.children[..index].iter());
                    node = &branch.children[index];
                }
                Node::Leaf(leaf) => {
                    let len = leaf.items.len();
                    let mut entries = Self { above, start: range.start, rest: &[] };
                    entries.enter(leaf, range.end.map_or(len, |end| either(leaf.search(end))));
                    return entries;
                }
            }
        }
    }

    /// Goes on with the entries of `leaf` before `end`, as far as they are in the range.
    fn enter(&mut self, leaf: &'a Sorted<Entry>, end: usize) {
        let start = either(leaf.search(self.start));
        if start > 0 {
            self.above.clear();
        }
        self.rest = leaf.items.get(start..end).unwrap_or_default();
    }

    fn enter_next(&mut self) -> Option<()> {
        let mut node = loop {
            match self.above.last_mut()?.next_back() {
                Some(child) => break &**child,
                None => drop(self.above.pop()),
            }
        };
        while let Node::Branch(branch) = node {
            let (last, others) =
                branch.children.split_last().expect("no branch is without a child");
            self.above.push(others.iter());
            node = last;
        }
        if let Node::Leaf(leaf) = node {
            self.enter(leaf, leaf.items.len());
        }
        Some(())
    }
}

impl<'a> Iterator for Descending<'a> {
    type Item = (&'a [u8], &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some((entry, rest)) = self.rest.split_last() {
                self.rest = rest;
                return Some((entry.key(), entry.value()));
            }
            self.enter_next()?;
        }
    }
}
