//! Logical time.

use serde::{Deserialize, Serialize};
use std::fmt;
use supervm_plugin_sdk::{Error, ErrorKind, Result};

/// Newest version that a commit may have, and the largest that is read: 2^62 - 1.
pub const VERSION_MAX: Version = Version((1 << 62) - 1);

/// Logical time of chain state: each commit has the next version. 0 is the empty state before the first.
///
/// # Examples
/// ```
/// use supervm_engine::layout::Version;
/// assert!(Version::ZERO < Version::ZERO.next());
/// assert_eq!(Version(7).to_string(), "7");
/// ```
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(pub u64);

impl Version {
    /// The empty state.
    pub const ZERO: Self = Self(0);
    /// After every commit.
    pub const MAX: Self = Self(u64::MAX);

    /// The version after this one; [`Version::MAX`] has none and stays as it is.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The version of the commit after this version.
    ///
    /// # Errors
    /// `QuotaFull` when there is none up to [`VERSION_MAX`].
    pub fn of_next_commit(self) -> Result<Self> {
        if self < VERSION_MAX {
            return Ok(self.next());
        }
        let refused = format!("there is no version after {self}; the newest is {VERSION_MAX}");
        Err(Error::new(ErrorKind::QuotaFull, "commit", refused))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
