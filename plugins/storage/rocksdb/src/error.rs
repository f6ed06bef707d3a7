//! How RocksDB's statuses become the contract's kinds.
//!
//! The crate hands out a status as its text: `code: subcode: where: file: reason`. The code is RocksDB's own, the subcode is there for
//! a full disk and a missing file, the reason is the operating system's and stands at the end.

use rocksdb::ErrorKind as Code;
use supervm_plugin_sdk::{Effect, Error, ErrorKind};

const IO_ERROR: &str = "IO error: ";
const NO_SPACE: &str = "IO error: No space left on device";
const NO_FILE: &str = "IO error: No such file or directory";

/// Where a file could not be made longer, or not made.
const CUT_APPENDS: [&str; 2] = [": While appending to file: ", ": While open a file for "];

/// The contract's error for one of RocksDB; RocksDB's text is the message, its code is in the context.
pub(crate) fn failed(operation: &'static str, error: rocksdb::Error) -> Error {
    let (code, text) = (error.kind(), error.to_string());
    Error::new(kind(&code, &text), operation, text)
        .with("rocksdb_code", format!("{code:?}"))
        .with_source(error)
}

/// As [`failed`], for a batch or a sync of the log, with what is known of its effect.
///
/// A full disk that refuses an append leaves the record in the log without its end, where every recovery drops it; RocksDB takes no
/// writes until there is space, and goes on in a new log. After any other failure the record may be whole in a log that could not be
/// synced, and RocksDB takes no writes before the storage is opened anew.
pub(crate) fn failed_write(operation: &'static str, error: rocksdb::Error) -> Error {
    let effect = effect(error.as_ref());
    failed(operation, error).with_effect(effect)
}

fn effect(text: &str) -> Effect {
    let is_append = CUT_APPENDS.iter().any(|place| text.contains(place));
    if text.starts_with(NO_SPACE) && is_append { Effect::NotApplied } else { Effect::Unknown }
}

fn kind(code: &Code, text: &str) -> ErrorKind {
    if let Some(cause) = io_cause(text) {
        return io_kind(cause);
    }
    match code {
        Code::Corruption | Code::NotFound => ErrorKind::Corruption,
        Code::Busy | Code::TryAgain => ErrorKind::Busy,
        Code::TimedOut => ErrorKind::Timeout,
        Code::ShutdownInProgress => ErrorKind::Closed,
        _ => ErrorKind::Internal,
    }
}

/// The status of the failed call, which others may be put around: `Invalid argument: ..: IO error: ..`.
fn io_cause(text: &str) -> Option<&str> {
    text.rfind(IO_ERROR).map(|at| &text[at..])
}

fn io_kind(text: &str) -> ErrorKind {
    let ends_with = |reasons: &[&str]| reasons.iter().any(|reason| text.ends_with(reason));
    if text.starts_with(NO_SPACE) || ends_with(&["Disk quota exceeded", "File too large"]) {
        ErrorKind::NoSpace
    } else if text.starts_with(NO_FILE) {
        // The directory was there when it was opened: a file is gone that the database counts on.
        ErrorKind::Corruption
    } else if ends_with(&["Permission denied", "Read-only file system", "Operation not permitted"])
    {
        ErrorKind::PermissionDenied
    } else if text.starts_with("IO error: lock hold by current process")
        || text.starts_with("IO error: While lock file")
    {
        ErrorKind::Locked
    } else {
        ErrorKind::Io
    }
}

/// As [`failed`], for opening a directory that holds a database.
pub(crate) fn failed_open(error: rocksdb::Error) -> Error {
    let (code, text) = (error.kind(), error.to_string());
    if text.contains("Direct I/O is not supported") {
        let message =
            "direct_io is true, accepted: false, because the file system does not support it";
        return Error::new(ErrorKind::ConfigInvalid, "open", message).with("option", "direct_io");
    }
    match code {
        // What the options say was checked: it is the files that RocksDB cannot make sense of.
        Code::InvalidArgument | Code::NotSupported if io_cause(&text).is_none() => {
            Error::new(ErrorKind::FormatMismatch, "open", text)
                .with("rocksdb_code", format!("{code:?}"))
                .with_source(error)
        }
        _ => failed("open", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUSES: &[(Code, &str, ErrorKind)] = &[
        (
            Code::IOError,
            "IO error: No space left on device: While appending to file: /d/000004.log: No space left on device",
            ErrorKind::NoSpace,
        ),
        (
            Code::IOError,
            "IO error: While fdatasync: /d/000004.log: Disk quota exceeded",
            ErrorKind::NoSpace,
        ),
        (
            Code::IOError,
            "IO error: While appending to file: /d/000004.log: File too large",
            ErrorKind::NoSpace,
        ),
        (
            Code::IOError,
            "IO error: While fdatasync: /d/000004.log: Input/output error",
            ErrorKind::Io,
        ),
        (
            Code::IOError,
            "IO error: While open a file for random read: /d/000007.sst: Too many open files",
            ErrorKind::Io,
        ),
        (
            Code::IOError,
            "IO error: No such file or directory: While open a file for random read: /d/000007.sst: No such file or directory",
            ErrorKind::Corruption,
        ),
        (
            Code::IOError,
            "IO error: While open a file for appending: /d/000009.log: Permission denied",
            ErrorKind::PermissionDenied,
        ),
        (
            Code::IOError,
            "IO error: While open a file for appending: /d/000009.log: Read-only file system",
            ErrorKind::PermissionDenied,
        ),
        (
            Code::IOError,
            "IO error: While lock file: /d/LOCK: Resource temporarily unavailable",
            ErrorKind::Locked,
        ),
        (
            Code::IOError,
            "IO error: lock hold by current process, acquire time 1 acquiring thread 2: /d/LOCK: No locks available",
            ErrorKind::Locked,
        ),
        (
            Code::IOError,
            "IO error: DB::Open() failed --- Unable to persist Options file: IO error: No space left on device: While appending to file: /d/OPTIONS-000006.dbtmp: No space left on device",
            ErrorKind::NoSpace,
        ),
        (
            Code::InvalidArgument,
            "Invalid argument: Found options incompatible with filesystem: IO error: While open a file for random read: /d/CURRENT: Too many open files",
            ErrorKind::Io,
        ),
        (Code::Corruption, "Corruption: block checksum mismatch", ErrorKind::Corruption),
        (Code::Busy, "Resource busy: ", ErrorKind::Busy),
        (Code::TimedOut, "Operation timed out: ", ErrorKind::Timeout),
        (Code::ShutdownInProgress, "Shutdown in progress: ", ErrorKind::Closed),
        (Code::MergeInProgress, "Merge in progress: ", ErrorKind::Internal),
    ];

    #[test]
    fn each_status_has_its_kind() {
        for (code, text, expected) in STATUSES {
            assert_eq!(kind(code, text), *expected, "{text}");
        }
    }

    #[test]
    fn only_an_append_that_found_the_disk_full_is_known_to_have_no_effect() {
        let no_effect = [
            "IO error: No space left on device: While appending to file: /d/000004.log: No space left on device",
            "IO error: No space left on device: While open a file for appending: /d/000009.log: No space left on device",
        ];
        let unknown = [
            "IO error: No space left on device: While fdatasync: /d/000004.log: No space left on device",
            "IO error: While appending to file: /d/000004.log: Input/output error",
            "IO error: While appending to file: /d/000004.log: File too large",
            "IO error: While fdatasync: /d/000004.log: Input/output error",
            "Corruption: block checksum mismatch",
        ];
        assert_eq!(no_effect.map(effect), [Effect::NotApplied; 2]);
        assert_eq!(unknown.map(effect), [Effect::Unknown; 5]);
    }
}
