//! A persistent ordered map: a B+tree whose nodes are shared by clones.
//!
//! A clone copies a pointer. A write copies the nodes on its way that a clone shares, and changes the others in place.
//!
//! At a million keys, what a lookup costs is how often it waits for memory. So a node has its keys' *heads* beside each other: eight
//! bytes of each key, from behind the prefix that all keys of the node have in common. The search of a node looks at these
//! alone, and at a whole key only where heads are equal; an entry has its key and its value in one piece. Source for heads and
//! prefixes: G. Graefe, P.-A. Larson: B-Tree Indexes and CPU Caches, 2001.
//!
//! ```text
//! keys     user:1001  user:1002  user:2001
//! prefix   user:
//! heads    "1001"     "1002"     "2001"        as big-endian numbers, so that they order like the keys
//! ```
//!
//! 1. The items of a node are in ascending order of their keys, each key once; every key begins with the node's prefix.
//! 2. Separator `i` of a branch is above every key below child `i`, and not above any key below child `i + 1`.
//! 3. All leaves are at one depth, and no branch is without a child.

mod sorted;
mod walk;

pub(crate) use walk::{Ascending, Descending};

use sorted::{Entry, ITEMS_MAX, Keyed, Separator, Sorted};
use std::mem;
use std::sync::Arc;
use supervm_plugin_sdk::KeyRange;

/// Two neighbours with no more items together become one node when one of them has lost an item.
const MERGED_ITEMS_MAX: usize = ITEMS_MAX / 2;

/// An ordered map from keys to values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tree {
    root: Arc<Node>,
    len: usize,
}

#[derive(Debug, Clone)]
enum Node {
    Leaf(Sorted<Entry>),
    Branch(Branch),
}

#[derive(Debug, Clone)]
struct Branch {
    separators: Sorted<Separator>,
    /// One more than separators.
    children: Vec<Arc<Node>>,
}

impl Tree {
    /// Entries.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The value of `key`.
    #[inline]
    pub(crate) fn get(&self, key: &[u8]) -> Option<&[u8]> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Branch(branch) => node = &branch.children[branch.child_of(key)],
                Node::Leaf(leaf) => {
                    let index = leaf.search(key).ok()?;
                    return Some(leaf.items[index].value());
                }
            }
        }
    }

    /// Sets `key` to `value`; the length of the value before, if there was one.
    pub(crate) fn insert(&mut self, key: &[u8], value: &[u8]) -> Option<usize> {
        let Inserted { replaced, split } = insert(&mut self.root, key, value);
        if let Some((separator, right)) = split {
            let left = mem::take(&mut self.root);
            let separators = Sorted::of(vec![separator]);
            let root = Branch { separators, children: vec![left, right] };
            self.root = Arc::new(Node::Branch(root));
        }
        self.len += usize::from(replaced.is_none());
        replaced
    }

    /// Removes `key`; the length of its value, if it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<usize> {
        // Looked for first, so that no node is copied for a key that is absent.
        let length = self.get(key)?.len();
        remove(&mut self.root, key);
        self.len -= 1;
        // A root with one child is not needed.
        while let Node::Branch(branch) = &*self.root
            && branch.children.len() == 1
        {
            let child = branch.children[0].clone();
            self.root = child;
        }
        Some(length)
    }

    /// The entries in `range`, in ascending order.
    pub(crate) fn ascending<'a>(&'a self, range: KeyRange<'a>) -> Ascending<'a> {
        Ascending::new(&self.root, range)
    }

    /// The entries in `range`, in descending order.
    pub(crate) fn descending<'a>(&'a self, range: KeyRange<'a>) -> Descending<'a> {
        Descending::new(&self.root, range)
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::Leaf(Sorted::of(Vec::new()))
    }
}

impl Branch {
    /// The child in which `key` has its place.
    #[inline]
    fn child_of(&self, key: &[u8]) -> usize {
        match self.separators.search(key) {
            Ok(index) => index + 1,
            Err(index) => index,
        }
    }

    /// Puts `right` behind the child `index`, which it was split from; the right half of this branch when it was full.
    fn insert(&mut self, index: usize, separator: Separator, right: Arc<Node>) -> Option<Split> {
        if self.children.len() <= ITEMS_MAX {
            self.separators.insert(index, separator);
            self.children.insert(index + 1, right);
            return None;
        }
        // Where keys come in ascending order, the left half has no further one.
        let middle = if index == ITEMS_MAX { ITEMS_MAX - 1 } else { ITEMS_MAX / 2 };
        let separators = self.separators.split_off(middle + 1);
        let children = self.children.split_off(middle + 1);
        let mut half = Self { separators, children };
        let raised = self.separators.remove(middle);
        let (side, index) =
            if index <= middle { (self, index) } else { (&mut half, index - middle - 1) };
        side.separators.insert(index, separator);
        side.children.insert(index + 1, right);
        Some((raised, Arc::new(Node::Branch(half))))
    }

    /// Joins the child `index`, which has lost an item, with a neighbour, or removes it, where it has become small enough.
    fn tidy(&mut self, index: usize) {
        if self.children.len() == 1 {
            return;
        }
        let left = index.saturating_sub(1);
        if self.children[index].is_empty() {
            self.children.remove(index);
            self.separators.remove(left);
            return;
        }
        if self.children[left].items() + self.children[left + 1].items() > MERGED_ITEMS_MAX {
            return;
        }
        let right = self.children.remove(left + 1);
        let separator = self.separators.remove(left);
        Arc::make_mut(&mut self.children[left]).append(separator, Arc::unwrap_or_clone(right));
    }
}

impl Node {
    /// Entries of a leaf, children of a branch.
    fn items(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.items.len(),
            Self::Branch(branch) => branch.children.len(),
        }
    }

    /// Is there no entry below it?
    fn is_empty(&self) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.items.is_empty(),
            Self::Branch(branch) => branch.children.len() == 1 && branch.children[0].is_empty(),
        }
    }

    /// Takes over what `right` has; `separator` is the one between the two.
    fn append(&mut self, separator: Separator, right: Self) {
        match (self, right) {
            (Self::Leaf(left), Self::Leaf(right)) => left.append(right.items),
            (Self::Branch(left), Self::Branch(right)) => {
                let separators = [separator].into_iter().chain(right.separators.items);
                left.separators.append(separators.collect());
                left.children.extend(right.children);
            }
            _ => unreachable!("neighbours are at one depth (invariant 3)"),
        }
    }
}

/// A separator, and the node behind it.
type Split = (Separator, Arc<Node>);

struct Inserted {
    /// The length of the value that was replaced.
    replaced: Option<usize>,
    /// The right half of a node that was full.
    split: Option<Split>,
}

fn insert(node: &mut Arc<Node>, key: &[u8], value: &[u8]) -> Inserted {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => insert_entry(leaf, key, value),
        Node::Branch(branch) => {
            let index = branch.child_of(key);
            let Inserted { replaced, split } = insert(&mut branch.children[index], key, value);
            let split = split.and_then(|(separator, right)| branch.insert(index, separator, right));
            Inserted { replaced, split }
        }
    }
}

fn insert_entry(leaf: &mut Sorted<Entry>, key: &[u8], value: &[u8]) -> Inserted {
    let index = match leaf.search(key) {
        Ok(index) => {
            let replaced = Some(leaf.items[index].replace(key, value));
            return Inserted { replaced, split: None };
        }
        Err(index) => index,
    };
    let entry = Entry::new(key, value);
    if leaf.items.len() < ITEMS_MAX {
        leaf.insert(index, entry);
        return Inserted { replaced: None, split: None };
    }
    // Where keys come in ascending order, the left half has no further one.
    let middle = if index == ITEMS_MAX { ITEMS_MAX } else { ITEMS_MAX / 2 };
    let mut right = leaf.split_off(middle);
    if index < middle || index == middle && middle < ITEMS_MAX {
        leaf.insert(index, entry);
    } else {
        right.insert(index - middle, entry);
    }
    let last = leaf.items.last().map_or(&[][..], Keyed::key);
    let separator = Separator::between(last, right.items[0].key());
    Inserted { replaced: None, split: Some((separator, Arc::new(Node::Leaf(right)))) }
}

/// Removes `key`, which is there.
fn remove(node: &mut Arc<Node>, key: &[u8]) {
    match Arc::make_mut(node) {
        Node::Leaf(leaf) => {
            if let Ok(index) = leaf.search(key) {
                leaf.remove(index);
            }
        }
        Node::Branch(branch) => {
            let index = branch.child_of(key);
            remove(&mut branch.children[index], key);
            branch.tidy(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;
    use std::collections::BTreeMap;

    type Model = BTreeMap<Vec<u8>, Vec<u8>>;

    #[derive(Debug, Clone)]
    enum Step {
        Insert(Vec<u8>, Vec<u8>),
        Remove(Vec<u8>),
        /// Removes all keys from here on, as far as there are so many.
        RemoveFrom(Vec<u8>, usize),
        Clone,
    }

    /// Keys of which many have a beginning, or all of their first bytes, in common with others.
    fn key() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![Just(0), Just(b'a'), Just(0xff), any::<u8>()];
        const PREFIXES: [&[u8]; 3] = [b"", b"user:", b"a key with a beginning of 40 bytes: ...."];
        (select(&PREFIXES[..]), vec(part, 1..5), 0..12_usize)
            .prop_map(|(prefix, rest, zeros)| [prefix, &rest, &vec![0; zeros]].concat())
    }

    fn step() -> impl Strategy<Value = Step> {
        let value = vec(any::<u8>(), 0..4);
        prop_oneof![
            30 => (key(), value).prop_map(|(key, value)| Step::Insert(key, value)),
            10 => key().prop_map(Step::Remove),
            1 => (key(), 0..200_usize).prop_map(|(key, most)| Step::RemoveFrom(key, most)),
            1 => Just(Step::Clone),
        ]
    }

    fn remove(tree: &mut Tree, model: &mut Model, key: &[u8]) {
        assert_eq!(tree.remove(key), model.remove(key).map(|value| value.len()));
    }

    fn compare(tree: &Tree, model: &Model) {
        assert_eq!(tree.len(), model.len());
        let expected: Vec<(&[u8], &[u8])> =
            model.iter().map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
        assert_eq!(tree.ascending(KeyRange::ALL).collect::<Vec<_>>(), expected);
        let mut reversed: Vec<_> = tree.descending(KeyRange::ALL).collect();
        reversed.reverse();
        assert_eq!(reversed, expected);
        for (key, value) in &expected {
            assert_eq!(tree.get(key), Some(*value));
        }
        check(&tree.root);
    }

    /// Checks the invariants below `node`, and returns how many levels there are.
    fn check(node: &Node) -> usize {
        let Node::Branch(branch) = node else { return 1 };
        assert_eq!(branch.children.len(), branch.separators.items.len() + 1);
        let levels: Vec<usize> = branch.children.iter().map(|child| check(child)).collect();
        assert!(levels.iter().all(|level| *level == levels[0]), "{levels:?}");
        levels[0] + 1
    }

    fn check_range(tree: &Tree, model: &Model, range: KeyRange<'_>) {
        let inside = model.iter().filter(|(key, _)| range.contains(key));
        let mut expected: Vec<(&[u8], &[u8])> =
            inside.map(|(key, value)| (key.as_slice(), value.as_slice())).collect();
        assert_eq!(tree.ascending(range).collect::<Vec<_>>(), expected, "{range:?}");
        expected.reverse();
        assert_eq!(tree.descending(range).collect::<Vec<_>>(), expected, "{range:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn a_tree_is_a_map_and_its_clones_stay_as_they_were(
            steps in vec(step(), 0..3000),
            keys in vec(key(), 20),
        ) {
            let (mut tree, mut model) = (Tree::default(), Model::new());
            let mut clones = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        let replaced = tree.insert(&key, &value);
                        let expected = model.insert(key, value).map(|value| value.len());
                        prop_assert_eq!(replaced, expected);
                    }
                    Step::Remove(key) => remove(&mut tree, &mut model, &key),
                    Step::RemoveFrom(start, most) => {
                        let keys: Vec<Vec<u8>> =
                            model.range(start..).take(most).map(|(key, _)| key.clone()).collect();
                        keys.iter().for_each(|key| remove(&mut tree, &mut model, key));
                    }
                    Step::Clone => clones.push((tree.clone(), model.clone())),
                }
            }
            clones.push((tree, model));
            for (tree, model) in &clones {
                compare(tree, model);
                for pair in keys.chunks_exact(2) {
                    prop_assert_eq!(tree.get(&pair[0]), model.get(&pair[0]).map(Vec::as_slice));
                    check_range(tree, model, KeyRange::new(&pair[0], Some(&pair[1])));
                    check_range(tree, model, KeyRange::new(&pair[0], None));
                }
            }
        }
    }

    #[test]
    fn keys_in_ascending_order_fill_their_nodes() {
        let mut tree = Tree::default();
        for key in 0..100_000_u32 {
            assert_eq!(tree.insert(&key.to_be_bytes(), b""), None);
        }
        let mut leaves = Vec::new();
        let mut nodes = vec![&tree.root];
        while let Some(node) = nodes.pop() {
            match &**node {
                Node::Leaf(leaf) => leaves.push(leaf.items.len()),
                Node::Branch(branch) => nodes.extend(&branch.children),
            }
        }
        assert_eq!(leaves.len(), 100_000_usize.div_ceil(ITEMS_MAX));
        assert_eq!(check(&tree.root), 3);
    }

    #[test]
    fn removing_every_key_leaves_one_empty_leaf() {
        let mut tree = Tree::default();
        for key in 0..10_000_u32 {
            assert_eq!(tree.insert(&key.to_be_bytes(), b"value"), None);
        }
        for key in (0..10_000_u32).map(|key| key.wrapping_mul(7919) % 10_000) {
            assert_eq!(tree.remove(&key.to_be_bytes()), Some(5));
        }
        assert!(matches!(&*tree.root, Node::Leaf(leaf) if leaf.items.is_empty()));
        assert_eq!(tree.len(), 0);
    }
}
