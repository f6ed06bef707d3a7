//! Which versions running transactions read.
//!
//! The oldest of them is the watermark: what only older readers could see may go. Pinning and looking race, and this is the order
//! that makes it safe. Whoever pins takes its stripe's lock *first* and loads the newest visible version under it. Whoever looks loads
//! the visible version first and visits the stripes afterwards. So a pin that the visit missed was taken later, and its version
//! is at least the one that was loaded.
//!
//! A version is counted, not remembered: of two readers of one version, the first to end must not take the other's pin with it.

use super::mutant::{Mutant, mutant};
use crate::layout::Version;
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More than the threads that begin transactions at once on most machines, so that they seldom meet.
const STRIPES: usize = 64;

type Stripe = CachePadded<Mutex<BTreeMap<Version, usize>>>;

pub(super) struct Readers {
    visible: CachePadded<AtomicU64>,
    /// Readers of older versions than this have expired.
    expired_below: CachePadded<AtomicU64>,
    stripes: Box<[Stripe]>,
}

/// A reader's place; given back to [`Readers::unpin`].
#[derive(Debug)]
pub(super) struct Pin {
    pub(super) version: Version,
    stripe: usize,
}

impl Readers {
    pub(super) fn new(visible: Version) -> Self {
        Self {
            visible: CachePadded::new(AtomicU64::new(visible.0)),
            expired_below: CachePadded::default(),
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
        }
    }

    /// The newest version that a transaction can read.
    #[inline]
    pub(super) fn visible(&self) -> Version {
        Version(self.visible.load(Ordering::Acquire))
    }

    /// Makes everything up to `version` visible.
    ///
    /// IMPORTANT: all of it is installed, and written to the backend where there is one. Called in the order of versions.
    #[inline]
    pub(super) fn publish(&self, version: Version) {
        debug_assert!(self.visible() <= version);
        self.visible.store(version.0, Ordering::Release);
    }

    /// Keeps the newest visible version readable until [`unpin`](Self::unpin).
    #[inline]
    pub(super) fn pin(&self) -> Pin {
        let stripe = stripe_of_thread();
        let early = mutant(Mutant::PinAfterLoad).then(|| {
            let early = self.visible();
            std::thread::yield_now();
            early
        });
        // IMPORTANT: the lock, then the version; see the module's head.
        let mut pins = self.stripes[stripe].lock();
        let version = early.unwrap_or_else(|| self.visible());
        *pins.entry(version).or_insert(0) += 1;
        Pin { version, stripe }
    }

    #[inline]
    pub(super) fn unpin(&self, pin: &Pin) {
        let mut pins = self.stripes[pin.stripe].lock();
        let Some(count) = pins.get_mut(&pin.version) else { return };
        *count -= 1;
        if *count == 0 || mutant(Mutant::PinsAreShared) {
            pins.remove(&pin.version);
        }
    }

    /// The oldest version that a reader reads, those that expired left out; the newest visible one
    /// without readers.
    pub(super) fn watermark(&self) -> Version {
        // IMPORTANT: the version, then the stripes; see the module's head.
        let visible = self.visible();
        self.oldest().map_or(visible, |oldest| oldest.min(visible))
    }

    /// The oldest version that is pinned and has not expired.
    fn oldest(&self) -> Option<Version> {
        let valid = Version(self.expired_below.load(Ordering::Acquire));
        let oldest = |pins: &Stripe| pins.lock().range(valid..).next().map(|(version, _)| *version);
        self.stripes.iter().filter_map(oldest).min()
    }

    /// Expires the readers of the oldest version that is not the newest; `false` without any.
    ///
    /// IMPORTANT: whatever they need is removed afterwards, under the lock of what has it. A reader
    /// that finds it gone under that lock finds itself [expired](Self::is_expired).
    pub(super) fn expire_oldest(&self) -> bool {
        let visible = self.visible();
        let Some(oldest) = self.oldest().filter(|oldest| *oldest < visible) else { return false };
        self.expired_below.fetch_max(oldest.next().0, Ordering::AcqRel);
        true
    }

    /// Returns `true` when what a reader of `version` needs may be gone.
    #[inline]
    pub(super) fn is_expired(&self, version: Version) -> bool {
        version.0 < self.expired_below.load(Ordering::Acquire)
    }

    /// How many transactions run.
    pub(super) fn len(&self) -> usize {
        self.stripes.iter().map(|pins| pins.lock().values().sum::<usize>()).sum()
    }
}

fn stripe_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    STRIPE.with(|stripe| {
        stripe.get().unwrap_or_else(|| {
            let next = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
            stripe.set(Some(next));
            next
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watermark_is_the_oldest_reader_and_moves_when_it_ends() {
        let readers = Readers::new(Version(3));
        assert_eq!(readers.watermark(), Version(3));
        let old = readers.pin();
        readers.publish(Version(5));
        let (new, same) = (readers.pin(), readers.pin());
        assert_eq!((readers.watermark(), readers.len()), (Version(3), 3));
        readers.unpin(&old);
        readers.unpin(&new);
        assert_eq!(readers.watermark(), Version(5));
        readers.publish(Version(6));
        assert_eq!(readers.watermark(), Version(5), "the other reader of 5 still reads");
        readers.unpin(&same);
        assert_eq!((readers.watermark(), readers.len()), (Version(6), 0));
    }

    #[test]
    fn the_oldest_readers_expire_first_and_those_of_the_newest_version_never() {
        let readers = Readers::new(Version(3));
        let oldest = readers.pin();
        readers.publish(Version(5));
        let (older, same) = (readers.pin(), readers.pin());
        readers.publish(Version(6));
        let newest = readers.pin();
        assert!(readers.expire_oldest());
        assert_eq!(readers.watermark(), Version(5));
        assert!(readers.is_expired(oldest.version) && !readers.is_expired(older.version));
        assert!(readers.expire_oldest(), "both readers of version 5");
        assert!(readers.is_expired(same.version) && !readers.is_expired(newest.version));
        assert!(!readers.expire_oldest());
        assert_eq!(readers.watermark(), Version(6));
        [oldest, older, same, newest].iter().for_each(|pin| readers.unpin(pin));
        assert_eq!(readers.len(), 0);
    }
}
