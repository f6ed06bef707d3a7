//! Which tasks have to wait for which.

use super::conflicts::ConflictDetector;
use std::fmt;

/// The order that conflicts force on tasks: who waits for whom, and which may run in parallel.
///
/// # Behavior
/// - Every dependency leads from a task to an earlier one, so there are no cycles.
/// - Two tasks that conflict are connected, if not directly, then through others: of tasks that write one key one after the other, each depends on the
///   one before it alone. So there are at most one dependency for each write and two for each read, and not one for each pair.
/// - A level holds the tasks whose longest chain of dependencies is equally long. No two of a level conflict; to run the levels one after the other, each in any
///   order, has the outcome of running the tasks one by one.
pub struct DependencyGraph {
    /// Of the first task, of the second one, and so on.
    dependencies: Vec<usize>,
    /// Where those of each task end.
    ends: Vec<usize>,
    /// By level, and then in order.
    leveled: Vec<usize>,
    /// Where each level ends.
    level_ends: Vec<usize>,
}

/// Who touched a key last.
#[derive(Clone, Default)]
struct LastTouch {
    writer: Option<usize>,
    /// Those since the last write.
    readers: Vec<usize>,
}

impl DependencyGraph {
    /// The graph of the detector's tasks.
    pub fn new(detector: &ConflictDetector) -> Self {
        let tasks = detector.tasks();
        let mut touched = vec![LastTouch::default(); detector.keys()];
        let mut edges =
            Edges { dependencies: Vec::with_capacity(tasks), dependents: vec![0; tasks] };
        let (mut ends, mut levels) = (Vec::with_capacity(tasks), Vec::with_capacity(tasks));
        let mut level_ends: Vec<usize> = Vec::new();
        for task in 0..tasks {
            let start = edges.dependencies.len();
            for &key in detector.reads(task) {
                let last = &mut touched[key];
                last.writer.into_iter().for_each(|writer| edges.add(task, writer));
                last.readers.push(task);
            }
            for &key in detector.writes(task) {
                let last = &mut touched[key];
                // A reader waits for the writer before it, and so does who waits for the reader.
                if last.readers.is_empty() {
                    last.writer.into_iter().for_each(|writer| edges.add(task, writer));
                }
                last.readers.drain(..).for_each(|reader| edges.add(task, reader));
                last.writer = Some(task);
            }
            let own = &edges.dependencies[start..];
            let level = own.iter().map(|&earlier| levels[earlier] + 1).max().unwrap_or(0);
            if level == level_ends.len() {
                level_ends.push(0);
            }
            level_ends[level] += 1;
            levels.push(level);
            ends.push(edges.dependencies.len());
        }
        let leveled = sorted_by_level(&levels, &mut level_ends);
        Self { dependencies: edges.dependencies, ends, leveled, level_ends }
    }

    /// How many tasks there are.
    pub fn tasks(&self) -> usize {
        self.ends.len()
    }

    /// The earlier tasks that `task` waits for directly, each once; none for a number that no task has.
    pub fn dependencies(&self, task: usize) -> &[usize] {
        slice(&self.dependencies, &self.ends, task)
    }

    /// The tasks that may run in parallel, each level after the one before it; within a level they are in order.
    pub fn levels(&self) -> impl ExactSizeIterator<Item = &[usize]> {
        (0..self.level_ends.len()).map(|level| slice(&self.leveled, &self.level_ends, level))
    }
}

impl fmt::Debug for DependencyGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DependencyGraph")
            .field("tasks", &self.tasks())
            .field("dependencies", &self.dependencies.len())
            .field("levels", &self.level_ends.len())
            .finish_non_exhaustive()
    }
}

struct Edges {
    dependencies: Vec<usize>,
    /// The last task that depends on each, plus 1; 0 = none.
    dependents: Vec<usize>,
}

impl Edges {
    fn add(&mut self, task: usize, earlier: usize) {
        if earlier != task && self.dependents[earlier] != task + 1 {
            self.dependents[earlier] = task + 1;
            self.dependencies.push(earlier);
        }
    }
}

/// Counts of levels become their ends.
fn sorted_by_level(levels: &[usize], counts: &mut [usize]) -> Vec<usize> {
    let mut next = 0;
    for count in counts.iter_mut() {
        next += std::mem::replace(count, next);
    }
    let mut sorted = vec![0; levels.len()];
    for (task, &level) in levels.iter().enumerate() {
        sorted[counts[level]] = task;
        counts[level] += 1;
    }
    sorted
}

fn slice<'a>(all: &'a [usize], ends: &[usize], number: usize) -> &'a [usize] {
    let Some(&end) = ends.get(number) else { return &[] };
    let start = number.checked_sub(1).map_or(0, |before| ends[before]);
    &all[start..end]
}
