//! The state as of a version.

use super::rows::AsOfRows;
use super::view::View;
use crate::digest::StateAccumulator;
use crate::layout::{Meta, STATE_LIMITS, Version, history_key, latest_key, split_record};
use crate::storage::{Digest, DigestBuilder};
use parking_lot::Mutex;
use std::fmt;
use supervm_plugin_sdk::{ByteBuf, Direction, KeyRange, Result, check_key, check_range};

/// Chain state as it was at one version.
///
/// Reads the same for as long as it lives, whatever is committed and pruned meanwhile; on a backend without snapshots, reads fail with
/// `VersionPruned` once the version was pruned. May be used from many threads. It keeps the storage from being closed.
///
/// # Cost
/// One look-up for a key that has not changed since the version, and two for one that has; the other way round where most of the keys that
/// were read before had changed.
pub struct AsOf {
    view: View,
    version: Version,
    /// Are the latest values of the view those of the version? Then there is no need to look at old ones.
    is_latest: bool,
    /// Buffers between two look-ups; at most as many as threads have looked up at once.
    idle: Mutex<Vec<Buffers>>,
}

/// What one look-up at a time needs.
#[derive(Default)]
struct Buffers {
    start: Vec<u8>,
    end: Vec<u8>,
    record: ByteBuf,
    guess: Guess,
}

/// Has the next key changed since the version? A sum over the last keys, up to [`Guess::MAX`]: one that had changed counts one, one that had
/// not takes two away. So the guess is yes where two of three or more had: to look for an old value in vain costs up to twice what a
/// look-up of the latest does.
#[derive(Clone, Copy, Default)]
struct Guess(u8);

impl Guess {
    const MAX: u8 = 7;

    fn is_changed(self) -> bool {
        self.0 > Self::MAX / 2
    }

    fn learn(&mut self, is_changed: bool) {
        self.0 = if is_changed { (self.0 + 1).min(Self::MAX) } else { self.0.saturating_sub(2) };
    }
}

impl fmt::Debug for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsOf").field("version", &self.version).finish_non_exhaustive()
    }
}

impl AsOf {
    /// `version`, which is readable by the `meta` of `view`.
    pub(super) fn new(view: View, version: Version, meta: &Meta) -> Result<Self> {
        // In the middle of a commit of several batches, some of the latest values are newer already, and the old ones are there.
        let is_latest = view.is_fixed()
            && version == meta.last_version
            && !meta.has_unfinished_commit(|range| view.first_row(range))?;
        Ok(Self { view, version, is_latest, idle: Mutex::default() })
    }

    /// The version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// The value of `key`; `None` when it was absent.
    ///
    /// # Errors
    /// `InvalidKey` for the empty key, `KeyTooLarge` past [`STATE_KEY_BYTES_MAX`](crate::layout::STATE_KEY_BYTES_MAX), `Corruption`;
    /// what the storage fails with; on a backend without snapshots also `VersionPruned`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.look_up(key, |found| found.map(|(_, value)| value.to_vec()))
    }

    /// Copies the value of `key` into `value`, which may be reused; `false` when it was absent.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_into(&self, key: &[u8], value: &mut ByteBuf) -> Result<bool> {
        self.look_up(key, |found| found.inspect(|(_, found)| value.set(found)).is_some())
    }

    /// The value of `key` and the version that wrote it; `None` when it was absent.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub fn get_versioned(&self, key: &[u8]) -> Result<Option<(Version, Vec<u8>)>> {
        self.look_up(key, |found| found.map(|(version, value)| (version, value.to_vec())))
    }

    /// The entries in `range`, lent one by one.
    ///
    /// # Errors
    /// `KeyTooLarge` for a bound past [`STATE_KEY_BYTES_MAX`](crate::layout::STATE_KEY_BYTES_MAX); as
    /// [`Storage::cursor`](crate::storage::Storage::cursor); on a backend without snapshots also `VersionPruned`.
    pub fn rows(&self, range: KeyRange<'_>, direction: Direction) -> Result<AsOfRows> {
        check_range(&range, &STATE_LIMITS)?;
        AsOfRows::new(&self.view, range, direction, self.version, self.is_latest)
    }

    /// The digest of the whole state (clause 23): of its keys and values, without versions. A full scan.
    ///
    /// Equal for equal states, whatever the backend and whatever came before or after.
    ///
    /// # Errors
    /// As [`rows`](Self::rows) and [`AsOfRows::next`].
    pub fn digest(&self) -> Result<Digest> {
        let mut digest = DigestBuilder::default();
        let mut rows = self.rows(KeyRange::ALL, Direction::Forward)?;
        while let Some((key, _, value)) = rows.next()? {
            digest.add(key, value);
        }
        Ok(digest.finish())
    }

    /// The accumulator of the whole state, added up anew: to check the one that commits carry on. A full scan.
    ///
    /// # Errors
    /// As [`digest`](Self::digest).
    pub fn accumulator(&self) -> Result<StateAccumulator> {
        let mut accumulator = StateAccumulator::default();
        let mut rows = self.rows(KeyRange::ALL, Direction::Forward)?;
        while let Some((key, _, value)) = rows.next()? {
            accumulator.add(key, value);
        }
        Ok(accumulator)
    }

    /// Gives `then` what `key` was, with the version that wrote it.
    fn look_up<T>(
        &self,
        key: &[u8],
        then: impl FnOnce(Option<(Version, &[u8])>) -> T,
    ) -> Result<T> {
        check_key(key, &STATE_LIMITS)?;
        let mut buffers = self.idle.lock().pop().unwrap_or_default();
        let outcome = self.look_up_with(key, &mut buffers, then);
        self.idle.lock().push(buffers);
        outcome
    }

    fn look_up_with<T, F: FnOnce(Option<(Version, &[u8])>) -> T>(
        &self,
        key: &[u8],
        buffers: &mut Buffers,
        mut then: F,
    ) -> Result<T> {
        let looks_back_first = buffers.guess.is_changed() && !self.is_latest;
        if looks_back_first {
            match self.look_back(key, buffers, then)? {
                Ok(done) => return Ok(done),
                Err(unused) => then = unused,
            }
        }
        let Buffers { start, record, guess, .. } = buffers;
        latest_key(key, start);
        if self.view.get_into(start, record)? {
            let (version, value) = split_record(record)?;
            if version <= self.version {
                guess.learn(false);
                return Ok(then(Some((version, value))));
            }
        }
        if self.is_latest {
            return Ok(then(None));
        }
        // IMPORTANT: where the view is not fixed, the key may have changed between the two looks; its old value is there then.
        if looks_back_first && self.view.is_fixed() {
            return Ok(then(None));
        }
        self.look_back(key, buffers, then).map(|outcome| outcome.unwrap_or_else(|then| then(None)))
    }

    /// Gives `then` what `key` was, when it has changed since the version; hands it back when it has not, or was made since.
    fn look_back<T, F: FnOnce(Option<(Version, &[u8])>) -> T>(
        &self,
        key: &[u8],
        buffers: &mut Buffers,
        then: F,
    ) -> Result<Result<T, F>> {
        let Buffers { start, end, guess, .. } = buffers;
        // No version is as great as the greatest, so the range has every old value that was superseded later.
        history_key(key, self.version.next(), start);
        history_key(key, Version::MAX, end);
        let mut rows = self.view.first_row(KeyRange::new(start, Some(end)))?;
        let Some((_, old)) = rows.next()? else {
            self.view.confirm(self.version)?;
            return Ok(Err(then));
        };
        let found = Some(split_record(old)?).filter(|found| found.0 <= self.version);
        self.view.confirm(self.version)?;
        guess.learn(true);
        Ok(Ok(then(found)))
    }
}
