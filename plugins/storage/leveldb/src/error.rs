//! What LevelDB's texts are in the contract. LevelDB has no codes in its C interface: a kind of its own, then the file, then the
//! operating system's words.

use supervm_plugin_sdk::{Error, ErrorKind};

/// LevelDB's own text for a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) String);

impl Failure {
    /// The contract's error for this failure of `operation`, with LevelDB's text in the context.
    pub(crate) fn during(self, operation: &'static str) -> Error {
        let Self(text) = self;
        let (kind, message) = meaning(&text);
        Error::new(kind, operation, message).with("leveldb_text", text)
    }
}

/// LevelDB's words, and what they mean; the first that fits.
const MEANINGS: &[(&str, ErrorKind, &str)] = &[
    ("No space left on device", ErrorKind::NoSpace, "the disk is full"),
    ("Disk quota exceeded", ErrorKind::NoSpace, "the quota of the file system is used up"),
    (
        "File too large",
        ErrorKind::NoSpace,
        "the file may not grow: the limit on the size of files is reached",
    ),
    (
        "already held by process",
        ErrorKind::Locked,
        "this process has the directory open already; close it first",
    ),
    (
        "Too many open files",
        ErrorKind::Io,
        "too many open files; lower max_open_files or raise the process's limit",
    ),
    ("Permission denied", ErrorKind::PermissionDenied, "the operating system refused access"),
    ("Operation not permitted", ErrorKind::PermissionDenied, "the operating system refused access"),
    ("Read-only file system", ErrorKind::PermissionDenied, "the file system is read-only"),
    // A table is read through memory; what lies beyond its end is refused with this.
    (".ldb: Invalid argument", ErrorKind::Corruption, "a table file was cut"),
    (".sst: Invalid argument", ErrorKind::Corruption, "a table file was cut"),
];

fn meaning(text: &str) -> (ErrorKind, &'static str) {
    if text.starts_with("Corruption: ") {
        return (ErrorKind::Corruption, "stored bytes are not what was written");
    }
    if text.starts_with("IO error: lock ") && text.ends_with("Resource temporarily unavailable") {
        return (ErrorKind::Locked, "another process has the directory open; close it first");
    }
    if let Some((_, kind, message)) = MEANINGS.iter().find(|(words, ..)| text.ends_with(words)) {
        return (*kind, message);
    }
    match text.split(": ").next() {
        Some("NotFound") => (ErrorKind::NotFound, "a file of the database is missing"),
        Some("IO error") => {
            (ErrorKind::Io, "the operating system failed a read, a write or a sync")
        }
        Some("Invalid argument") if text.contains("does not match existing comparator") => {
            (ErrorKind::FormatMismatch, "the database orders its keys in another way")
        }
        _ => (ErrorKind::Internal, "LevelDB refused a call that should be valid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_has_its_kind_and_travels_in_the_context() {
        let kinds = [
            ("Corruption: block checksum mismatch", ErrorKind::Corruption),
            ("Corruption: 1 missing files; e.g.: /d/000005.ldb", ErrorKind::Corruption),
            ("IO error: /d/000007.log: No space left on device", ErrorKind::NoSpace),
            ("IO error: /d/000007.log: Disk quota exceeded", ErrorKind::NoSpace),
            ("IO error: /d/000007.log: File too large", ErrorKind::NoSpace),
            ("IO error: /d/000007.log: Input/output error", ErrorKind::Io),
            ("IO error: /d/000005.ldb: Too many open files", ErrorKind::Io),
            ("IO error: /d/000005.ldb: Invalid argument", ErrorKind::Corruption),
            ("IO error: /d/LOCK: Permission denied", ErrorKind::PermissionDenied),
            ("IO error: /d/LOCK: Read-only file system", ErrorKind::PermissionDenied),
            ("IO error: lock /d/LOCK: already held by process", ErrorKind::Locked),
            ("IO error: lock /d/LOCK: Resource temporarily unavailable", ErrorKind::Locked),
            ("NotFound: /d/000005.ldb: No such file or directory", ErrorKind::NotFound),
            (
                "Invalid argument: x does not match existing comparator : y",
                ErrorKind::FormatMismatch,
            ),
            ("Not implemented: x", ErrorKind::Internal),
        ];
        for (text, kind) in kinds {
            let error = Failure(text.to_owned()).during("get");
            assert_eq!(error.kind(), kind, "{text}");
            assert!(error.context().eq([("leveldb_text", text)]), "{error}");
        }
    }
}
