//! SQLite's result codes in the contract's kinds. The code, its extended form and SQLite's text travel in the context.

use rusqlite::ErrorCode;
use rusqlite::ffi;
use supervm_plugin_sdk::{Error, ErrorKind};

const NAMES: &[(i32, &str)] = &[
    (ffi::SQLITE_ERROR, "SQLITE_ERROR"),
    (ffi::SQLITE_INTERNAL, "SQLITE_INTERNAL"),
    (ffi::SQLITE_PERM, "SQLITE_PERM"),
    (ffi::SQLITE_ABORT, "SQLITE_ABORT"),
    (ffi::SQLITE_BUSY, "SQLITE_BUSY"),
    (ffi::SQLITE_LOCKED, "SQLITE_LOCKED"),
    (ffi::SQLITE_NOMEM, "SQLITE_NOMEM"),
    (ffi::SQLITE_READONLY, "SQLITE_READONLY"),
    (ffi::SQLITE_IOERR, "SQLITE_IOERR"),
    (ffi::SQLITE_CORRUPT, "SQLITE_CORRUPT"),
    (ffi::SQLITE_FULL, "SQLITE_FULL"),
    (ffi::SQLITE_CANTOPEN, "SQLITE_CANTOPEN"),
    (ffi::SQLITE_PROTOCOL, "SQLITE_PROTOCOL"),
    (ffi::SQLITE_TOOBIG, "SQLITE_TOOBIG"),
    (ffi::SQLITE_CONSTRAINT, "SQLITE_CONSTRAINT"),
    (ffi::SQLITE_MISUSE, "SQLITE_MISUSE"),
    (ffi::SQLITE_NOTADB, "SQLITE_NOTADB"),
];

/// What `error` is in the contract, as a failure of `operation` that left nothing behind.
pub(crate) fn failed(operation: &'static str, error: rusqlite::Error) -> Error {
    let rusqlite::Error::SqliteFailure(failure, _) = &error else {
        return Error::new(ErrorKind::Internal, operation, error.to_string()).with_source(error);
    };
    let extended = failure.extended_code;
    let primary = extended & 0xff;
    let name = NAMES.iter().find(|(code, _)| *code == primary).map_or("other", |(_, name)| name);
    Error::new(kind(failure.code), operation, ffi::code_to_str(extended))
        .with("sqlite_code", name)
        .with("sqlite_extended_code", extended)
        .with_source(error)
}

/// Is it SQLite's word for "no room", of the disk or of the page count?
pub(crate) fn is_full(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// Was it refused because something else is going on?
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// Is it one of SQLite's words for "a file could not be written or grow"? They do not say whether that is for want of room.
pub(crate) fn may_be_full(error: &rusqlite::Error) -> bool {
    let codes = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_SHMOPEN,
        ffi::SQLITE_IOERR_SHMSIZE,
    ];
    error.sqlite_error().is_some_and(|error| codes.contains(&error.extended_code))
}

/// `better` with the context of `error`, which becomes its cause.
pub(crate) fn retold(error: Error, better: Error) -> Error {
    let told =
        error.context().fold(better, |told, (name, value)| told.with(name.to_owned(), value));
    let effect = error.effect();
    told.with_source(error).with_effect(effect)
}

fn kind(code: ErrorCode) -> ErrorKind {
    match code {
        ErrorCode::DiskFull => ErrorKind::NoSpace,
        ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::FileLockingProtocolFailed
        | ErrorCode::NoLargeFileSupport => ErrorKind::Io,
        ErrorCode::DatabaseCorrupt => ErrorKind::Corruption,
        ErrorCode::NotADatabase => ErrorKind::FormatMismatch,
        // The wrapper refuses writes on a storage that was opened read-only: here it is the file that cannot be written.
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => ErrorKind::PermissionDenied,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => ErrorKind::Busy,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_of_a_failing_disk_have_their_kinds_and_names() {
        for (code, kind, name) in [
            (ffi::SQLITE_FULL, ErrorKind::NoSpace, "SQLITE_FULL"),
            (ffi::SQLITE_IOERR_FSYNC, ErrorKind::Io, "SQLITE_IOERR"),
            (ffi::SQLITE_CORRUPT_INDEX, ErrorKind::Corruption, "SQLITE_CORRUPT"),
            (ffi::SQLITE_NOTADB, ErrorKind::FormatMismatch, "SQLITE_NOTADB"),
            (ffi::SQLITE_READONLY_DBMOVED, ErrorKind::PermissionDenied, "SQLITE_READONLY"),
            (ffi::SQLITE_BUSY_SNAPSHOT, ErrorKind::Busy, "SQLITE_BUSY"),
        ] {
            let cause = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let error = failed("write", cause);
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.context().any(|pair| pair == ("sqlite_code", name)), "{error}");
            let extended = code.to_string();
            let pair = ("sqlite_extended_code", extended.as_str());
            assert!(error.context().any(|found| found == pair), "{error}");
        }
    }
}
