//! Which tasks get in each other's way.
//!
//! Two tasks conflict when one writes a key that the other reads or writes. Every key is hashed once and becomes a number; each number leads to the
//! tasks that have read and written it so far. So the work is that of the keys and of the conflicts that are found, not that of all pairs.

use super::access::ReadWriteSet;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::ops::Range;

/// Stands for no position.
const NONE: usize = usize::MAX;

/// Two tasks that conflict, by their numbers, which begin at 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conflict {
    /// The task that comes first.
    pub earlier: usize,
    /// The task that has to come after it.
    pub later: usize,
    /// What they do to each other.
    pub kind: ConflictKind,
}

/// What two conflicting tasks have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConflictKind {
    /// One reads what the other writes, and there is no key that both write.
    ReadWrite,
    /// Both write a key.
    WriteWrite,
}

/// Finds the conflicts of tasks whose reads and writes are known.
///
/// # Examples
/// ```
/// use supervm_engine::scheduler::{Conflict, ConflictDetector, ConflictKind, DependencyGraph, ReadWriteSet};
/// let transfer = |from, to| ReadWriteSet::new().writing(from).writing(to);
/// let tasks = [transfer("a", "b"), transfer("c", "d"), transfer("b", "c")];
/// let detector = ConflictDetector::new(&tasks);
/// let both_write = |earlier| Conflict { earlier, later: 2, kind: ConflictKind::WriteWrite };
/// assert_eq!(detector.conflicts(), [both_write(0), both_write(1)]);
/// let graph = DependencyGraph::new(&detector);
/// assert_eq!(graph.levels().collect::<Vec<_>>(), [&[0, 1][..], &[2]]);
/// ```
#[derive(Debug, Clone)]
pub struct ConflictDetector {
    /// Numbers of keys: those that the first task reads, those that it writes, those that the second one reads, and so on.
    accesses: Vec<usize>,
    tasks: Vec<Accesses>,
    keys: usize,
}

/// Where a task's accesses are.
#[derive(Debug, Clone)]
struct Accesses {
    reads: Range<usize>,
    writes: Range<usize>,
}

impl ConflictDetector {
    /// A detector of the conflicts of `tasks`, which are to take effect in this order.
    pub fn new(tasks: &[ReadWriteSet]) -> Self {
        let count = tasks.iter().map(|task| task.reads().len() + task.writes().len()).sum();
        let mut numbers = Numbers {
            hasher: foldhash::fast::RandomState::default(),
            table: HashTable::with_capacity(count),
        };
        let mut accesses = Vec::with_capacity(count);
        let tasks = tasks.iter().map(|task| {
            let start = accesses.len();
            accesses.extend(task.reads().iter().map(|key| numbers.of(key)));
            let middle = accesses.len();
            accesses.extend(task.writes().iter().map(|key| numbers.of(key)));
            Accesses { reads: start..middle, writes: middle..accesses.len() }
        });
        Self { tasks: tasks.collect(), accesses, keys: numbers.table.len() }
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// How many keys all tasks together read and write.
    pub fn keys(&self) -> usize {
        self.keys
    }

    /// Every pair of tasks that conflict, once, by the later and then the earlier one. Up to n (n - 1) / 2 of n tasks, when all write one key.
    pub fn conflicts(&self) -> Vec<Conflict> {
        let mut found =
            Found { conflicts: Vec::new(), places: vec![NONE; self.tasks.len()], start: 0 };
        let mut chains = vec![Chain { reader: NONE, writer: NONE }; self.keys];
        let mut links = vec![Link { task: NONE, before: NONE }; self.accesses.len()];
        for (later, task) in self.tasks.iter().enumerate() {
            found.start = found.conflicts.len();
            for position in task.reads.clone() {
                let chain = &mut chains[self.accesses[position]];
                found.add_all(&links, chain.writer, later, ConflictKind::ReadWrite);
                links[position] =
                    Link { task: later, before: std::mem::replace(&mut chain.reader, position) };
            }
            for position in task.writes.clone() {
                let chain = &mut chains[self.accesses[position]];
                found.add_all(&links, chain.writer, later, ConflictKind::WriteWrite);
                found.add_all(&links, chain.reader, later, ConflictKind::ReadWrite);
                links[position] =
                    Link { task: later, before: std::mem::replace(&mut chain.writer, position) };
            }
            found.conflicts[found.start..].sort_unstable_by_key(|conflict| conflict.earlier);
        }
        found.conflicts
    }

    /// The numbers of the keys that `task` reads.
    pub(super) fn reads(&self, task: usize) -> &[usize] {
        &self.accesses[self.tasks[task].reads.clone()]
    }

    /// The numbers of the keys that `task` writes.
    pub(super) fn writes(&self, task: usize) -> &[usize] {
        &self.accesses[self.tasks[task].writes.clone()]
    }
}

/// Gives each key a number, from 0 on.
struct Numbers<'a> {
    /// Random, so that nobody can choose keys that collide.
    hasher: foldhash::fast::RandomState,
    /// As large as it will get.
    table: HashTable<(&'a [u8], usize)>,
}

impl<'a> Numbers<'a> {
    fn of(&mut self, key: &'a [u8]) -> usize {
        let next = self.table.len();
        let hash = self.hasher.hash_one(key);
        let rehash = |(there, _): &(&[u8], usize)| self.hasher.hash_one(there);
        self.table.entry(hash, |(there, _)| *there == key, rehash).or_insert((key, next)).get().1
    }
}

/// Positions of the last accesses to a key.
#[derive(Clone, Copy)]
struct Chain {
    reader: usize,
    writer: usize,
}

/// An access's task, and the position of the one before it that did the same to the key.
#[derive(Clone, Copy)]
struct Link {
    task: usize,
    before: usize,
}

struct Found {
    conflicts: Vec<Conflict>,
    /// Where the conflict with each earlier task is, when that is at `start` or after it.
    places: Vec<usize>,
    /// Where those of the task at hand begin.
    start: usize,
}

impl Found {
    /// Adds the conflicts of `later` with the tasks of a chain of accesses.
    fn add_all(&mut self, links: &[Link], last: usize, later: usize, kind: ConflictKind) {
        let mut position = last;
        while position != NONE {
            let Link { task: earlier, before } = links[position];
            position = before;
            if earlier == later {
                continue;
            }
            match self.places[earlier] {
                place if place != NONE && place >= self.start => {
                    let there = &mut self.conflicts[place].kind;
                    *there = kind.max(*there);
                }
                _ => {
                    self.places[earlier] = self.conflicts.len();
                    self.conflicts.push(Conflict { earlier, later, kind });
                }
            }
        }
    }
}
