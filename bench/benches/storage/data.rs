//! What is stored, and in which order it is read and written: the same in every run.

/// Entries stored.
pub(crate) const ENTRIES: usize = 100_000;
/// Entries of one batch.
pub(crate) const BATCH_ENTRIES: usize = 1_000;

const KEY_BYTES: usize = 32;
const VALUE_BYTES: usize = 100;
const SEED: u64 = 0x5375_7065_7256_4d01;

/// An entry as it is written.
#[derive(Clone)]
pub(crate) struct Put {
    pub(crate) key: [u8; KEY_BYTES],
    pub(crate) value: [u8; VALUE_BYTES],
}

/// A key, and what has to be read for it.
pub(crate) struct Query {
    pub(crate) key: [u8; KEY_BYTES],
    pub(crate) checksum: u64,
}

/// What a scan has seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) entries: u64,
    /// Bytes of keys and values.
    pub(crate) bytes: u64,
    checksum: u64,
}

impl Total {
    #[inline]
    pub(crate) fn add(&mut self, key: &[u8], value: &[u8]) {
        self.entries += 1;
        self.bytes += (key.len() + value.len()) as u64;
        self.checksum = self.checksum.wrapping_add(checksum(key)).wrapping_add(checksum(value));
    }
}

/// Everything that the benchmarks work with.
pub(crate) struct Data {
    /// What is stored before anything is measured, in the order in which it is written: that of no key.
    pub(crate) entries: Vec<Put>,
    /// Every stored key once, in another order.
    pub(crate) queries: Vec<Query>,
    /// A new value for every stored key, and then the first value again; each time in an order of its own.
    pub(crate) rewrites: Vec<Put>,
    /// What a scan over `entries` sees.
    pub(crate) total: Total,
}

impl Data {
    pub(crate) fn generate() -> Self {
        let mut random = SplitMix(SEED);
        let mut put = || Put { key: random.bytes(), value: random.bytes() };
        let entries: Vec<_> = (0..ENTRIES).map(|_| put()).collect();
        let mut order = entries.clone();
        random.shuffle(&mut order);
        let query = |put: &Put| Query { key: put.key, checksum: checksum(&put.value) };
        let queries = order.iter().map(query).collect();
        random.shuffle(&mut order);
        let mut rewrites = order.clone();
        rewrites.iter_mut().for_each(|put| put.value = random.bytes());
        random.shuffle(&mut order);
        rewrites.append(&mut order);
        let mut total = Total::default();
        entries.iter().for_each(|put| total.add(&put.key, &put.value));
        Self { entries, queries, rewrites, total }
    }
}

/// A sum over every byte and the length: nothing that is read can be optimised away, and at a few nanoseconds for 100 bytes it
/// does not hide what is measured.
#[inline]
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let sum = words
        .iter()
        .fold(bytes.len() as u64, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)));
    rest.iter().fold(sum, |sum, byte| sum.wrapping_add(u64::from(*byte)))
}

/// Sebastiano Vigna's SplitMix64. Source: <https://prng.di.unimi.it/splitmix64.c>.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
        bytes
    }

    /// Fisher and Yates' shuffle. The remainder favours some orders by less than one in 2^47.
    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.next() % (last as u64 + 1);
            items.swap(last, other as usize);
        }
    }
}
