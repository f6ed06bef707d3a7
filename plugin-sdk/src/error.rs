//! The one error type of the contract: what kind, during which operation, on what, and with which effect.
//!
//! Callers match on [`ErrorKind`], never on text. A backend's own code and message travel in the
//! context (`("sqlite_code", "SQLITE_FULL")`), so that nothing is lost by the mapping.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The contract's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, in the contract's vocabulary; the same on every backend (clause 30).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u16)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The backend does not have this capability or option.
    Unsupported = 1,
    /// An argument is outside its documented bounds.
    InvalidArgument = 2,
    /// The key is empty.
    InvalidKey = 3,
    /// The key is longer than the backend's limit.
    KeyTooLarge = 4,
    /// The value is longer than the backend's limit.
    ValueTooLarge = 5,
    /// The batch has more bytes or operations than the backend's limit; nothing was applied.
    BatchTooLarge = 6,
    /// A directory or file is missing. Never a missing key: that is "absent", not an error.
    NotFound = 7,
    /// The storage was closed.
    Closed = 8,
    /// A write on a storage that was opened read-only.
    ReadOnly = 9,
    /// Another handle or process has the directory open.
    Locked = 10,
    /// A commit was refused because another transaction got there first.
    Conflict = 11,
    /// The snapshot is too old for the backend to serve.
    SnapshotExpired = 12,
    /// The version asked for was pruned.
    VersionPruned = 13,
    /// The disk is full, or a file may not grow.
    NoSpace = 14,
    /// The configured quota is used up.
    QuotaFull = 15,
    /// The operating system failed a read, a write or a sync.
    Io = 16,
    /// Stored bytes are not what was written.
    Corruption = 17,
    /// The directory belongs to another backend or format version.
    FormatMismatch = 18,
    /// The configuration has a wrong key or value.
    ConfigInvalid = 19,
    /// The operating system refused access.
    PermissionDenied = 20,
    /// The storage is in use (live cursors or snapshots, all readers taken).
    Busy = 21,
    /// A deadline passed.
    Timeout = 22,
    /// An earlier failure left the storage in doubt; reopen it.
    Poisoned = 23,
    /// The plugin panicked; the panic was caught and the storage poisoned.
    PluginPanicked = 24,
    /// The plugin was built for another ABI.
    AbiMismatch = 25,
    /// A defect in SuperVM or in the plugin.
    Internal = 26,
}

impl ErrorKind {
    /// Every kind, in the order of its code.
    pub const ALL: [Self; 26] = [
        Self::Unsupported,
        Self::InvalidArgument,
        Self::InvalidKey,
        Self::KeyTooLarge,
        Self::ValueTooLarge,
        Self::BatchTooLarge,
        Self::NotFound,
        Self::Closed,
        Self::ReadOnly,
        Self::Locked,
        Self::Conflict,
        Self::SnapshotExpired,
        Self::VersionPruned,
        Self::NoSpace,
        Self::QuotaFull,
        Self::Io,
        Self::Corruption,
        Self::FormatMismatch,
        Self::ConfigInvalid,
        Self::PermissionDenied,
        Self::Busy,
        Self::Timeout,
        Self::Poisoned,
        Self::PluginPanicked,
        Self::AbiMismatch,
        Self::Internal,
    ];

    /// The stable number of this kind, as it crosses the plugin boundary.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The kind with this code; a code of a newer contract reads as [`ErrorKind::Internal`].
    pub fn from_code(code: u16) -> Self {
        Self::ALL.into_iter().find(|kind| kind.code() == code).unwrap_or(Self::Internal)
    }

    /// Is the outcome the same on every node that runs the same operation on the same content?
    ///
    /// Only such errors may reach a contract; every other one stops the block.
    pub const fn is_deterministic(self) -> bool {
        matches!(
            self,
            Self::Unsupported
                | Self::InvalidArgument
                | Self::InvalidKey
                | Self::KeyTooLarge
                | Self::ValueTooLarge
                | Self::BatchTooLarge
        )
    }

    /// May the same call succeed later without an operator's help?
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::Conflict | Self::SnapshotExpired | Self::Busy | Self::Timeout | Self::Locked
        )
    }

    /// The kind as a short phrase in lower case.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::Unsupported => "not supported",
            Self::InvalidArgument => "invalid argument",
            Self::InvalidKey => "invalid key",
            Self::KeyTooLarge => "key too large",
            Self::ValueTooLarge => "value too large",
            Self::BatchTooLarge => "batch too large",
            Self::NotFound => "not found",
            Self::Closed => "storage is closed",
            Self::ReadOnly => "storage is read-only",
            Self::Locked => "locked",
            Self::Conflict => "conflict",
            Self::SnapshotExpired => "snapshot expired",
            Self::VersionPruned => "version pruned",
            Self::NoSpace => "no space left",
            Self::QuotaFull => "quota full",
            Self::Io => "input/output error",
            Self::Corruption => "corruption",
            Self::FormatMismatch => "format mismatch",
            Self::ConfigInvalid => "invalid configuration",
            Self::PermissionDenied => "permission denied",
            Self::Busy => "busy",
            Self::Timeout => "timed out",
            Self::Poisoned => "storage is poisoned",
            Self::PluginPanicked => "plugin panicked",
            Self::AbiMismatch => "incompatible plugin ABI",
            Self::Internal => "internal error",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.phrase())
    }
}

/// What a failed write left behind (clause 16).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum Effect {
    /// Nothing of the operation is visible or will become so.
    #[default]
    NotApplied = 0,
    /// The operation took effect although the call failed.
    Applied = 1,
    /// It cannot be told; the storage is poisoned until it is reopened.
    Unknown = 2,
}

impl Effect {
    pub(crate) const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::NotApplied,
            1 => Self::Applied,
            _ => Self::Unknown,
        }
    }
}

/// A failed operation of the contract.
///
/// # Examples
/// ```
/// use supervm_plugin_sdk::{Effect, Error, ErrorKind};
/// let error = Error::new(ErrorKind::NoSpace, "write", "the database is full")
///     .with("sqlite_code", "SQLITE_FULL")
///     .with_effect(Effect::NotApplied);
/// assert_eq!(error.kind(), ErrorKind::NoSpace);
/// assert_eq!(error.to_string(), "write: the database is full (sqlite_code: SQLITE_FULL)");
/// ```
#[derive(Debug)]
pub struct Error(Box<Body>);

#[derive(Debug)]
struct Body {
    kind: ErrorKind,
    operation: Cow<'static, str>,
    message: String,
    context: Vec<(Cow<'static, str>, String)>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    effect: Effect,
}

impl Error {
    /// An error of `kind` while doing `operation` (`"open"`, `"write"`).
    ///
    /// `message` says what failed and what would be accepted, in lower case, without a full stop;
    /// when it is empty, the kind's phrase is shown.
    pub fn new(
        kind: ErrorKind,
        operation: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self(Box::new(Body {
            kind,
            operation: operation.into(),
            message: message.into(),
            context: Vec::new(),
            source: None,
            effect: Effect::NotApplied,
        }))
    }

    /// An error from the operating system; its kind follows `error`'s.
    ///
    /// `ENOSPC`, `EDQUOT` and `EFBIG`, a file that may not grow, become [`ErrorKind::NoSpace`], a missing path [`ErrorKind::NotFound`], a refused
    /// one [`ErrorKind::PermissionDenied`], everything else [`ErrorKind::Io`].
    pub fn io(operation: impl Into<Cow<'static, str>>, error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                ErrorKind::PermissionDenied
            }
            std::io::ErrorKind::StorageFull
            | std::io::ErrorKind::QuotaExceeded
            | std::io::ErrorKind::FileTooLarge => ErrorKind::NoSpace,
            _ => ErrorKind::Io,
        };
        let message = error.to_string();
        Self::new(kind, operation, message).with_source(error)
    }

    /// Adds a named value to the context.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        self.0.context.push((name.into(), value.to_string()));
        self
    }

    /// Attaches the error that caused this one.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// States what the failed operation left behind; [`Effect::NotApplied`] unless said.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.effect = effect;
        self
    }

    /// The kind, to match on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The operation that failed.
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// What failed and what would be accepted.
    pub fn message(&self) -> &str {
        if self.0.message.is_empty() { self.0.kind.phrase() } else { &self.0.message }
    }

    /// The named values, in the order they were added.
    pub fn context(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.context.iter().map(|(name, value)| (name.as_ref(), value.as_str()))
    }

    /// What the failed operation left behind.
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// The same error again, with its source as text: for who keeps an error and reports it more than once.
    pub fn repeated(&self) -> Self {
        let body = &self.0;
        let again = Self::new(body.kind, body.operation.clone(), body.message.clone());
        let again =
            body.context.iter().fold(again, |error, (name, value)| error.with(name.clone(), value));
        match &body.source {
            Some(source) => again.with_source(source.to_string()),
            None => again,
        }
        .with_effect(body.effect)
    }

    /// See [`ErrorKind::is_deterministic`].
    pub fn is_deterministic(&self) -> bool {
        self.kind().is_deterministic()
    }

    /// See [`ErrorKind::is_retryable`].
    pub fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation(), self.message())?;
        for (index, (name, value)) in self.context().enumerate() {
            write!(f, "{}{name}: {value}", if index == 0 { " (" } else { ", " })?;
        }
        f.write_str(if self.0.context.is_empty() { "" } else { ")" })
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_survives_its_code() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_code(kind.code()), kind);
        }
        assert_eq!(ErrorKind::from_code(9999), ErrorKind::Internal);
    }

    #[test]
    fn a_full_disk_a_used_up_quota_and_a_file_that_may_not_grow_are_no_space() {
        const EFBIG: i32 = 27;
        const ENOSPC: i32 = 28;
        const EDQUOT: i32 = 122;
        for code in [EFBIG, ENOSPC, EDQUOT] {
            let full = std::io::Error::from_raw_os_error(code);
            assert_eq!(Error::io("write", full).kind(), ErrorKind::NoSpace, "{code}");
        }
    }
}
