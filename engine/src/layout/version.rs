//! Logical time.

use serde::{Deserialize, Serialize};
use std::fmt;

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

    /// The version after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
