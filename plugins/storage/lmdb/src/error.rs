//! How LMDB's codes become the contract's kinds.

use heed::MdbError;
use supervm_plugin_sdk::{Error, ErrorKind};

/// The contract's error for one of LMDB, with LMDB's own code and text in the context.
pub(crate) fn lmdb_error(operation: &'static str, error: heed::Error) -> Error {
    match error {
        heed::Error::Io(error) => {
            let code = error.raw_os_error().unwrap_or_default();
            Error::io(operation, error).with("lmdb_code", code)
        }
        heed::Error::Mdb(code) => {
            let (kind, message) = meaning(code);
            Error::new(kind, operation, message)
                .with("lmdb_code", code.to_err_code())
                .with("lmdb_text", code)
                .with_source(code)
        }
        heed::Error::EnvAlreadyOpened => {
            let message = "this process has the directory open already";
            Error::new(ErrorKind::Locked, operation, message)
        }
        // Byte slices encode to themselves.
        heed::Error::Encoding(error) | heed::Error::Decoding(error) => {
            Error::new(ErrorKind::Internal, operation, error.to_string())
        }
    }
}

fn meaning(code: MdbError) -> (ErrorKind, &'static str) {
    match code {
        MdbError::MapFull => (
            ErrorKind::QuotaFull,
            "the storage is full; delete something, drop old snapshots, or open it with a greater map_bytes_max",
        ),
        MdbError::ReadersFull => (
            ErrorKind::Busy,
            "every reader is taken; drop a cursor or a snapshot, or raise readers_max",
        ),
        MdbError::Corrupted | MdbError::PageNotFound => {
            (ErrorKind::Corruption, "a page of the data file is not what was written")
        }
        MdbError::Invalid => (ErrorKind::Corruption, "the data file is damaged or not one of LMDB"),
        MdbError::VersionMismatch => {
            (ErrorKind::FormatMismatch, "the data file has a format that this LMDB does not read")
        }
        MdbError::Panic => (
            ErrorKind::Poisoned,
            "an earlier write of the root failed; close the storage and open it again",
        ),
        _ => (ErrorKind::Internal, "LMDB refused a call that should be valid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_kind_and_travels_in_the_context() {
        let kinds = [
            (MdbError::MapFull, ErrorKind::QuotaFull),
            (MdbError::ReadersFull, ErrorKind::Busy),
            (MdbError::Corrupted, ErrorKind::Corruption),
            (MdbError::PageNotFound, ErrorKind::Corruption),
            (MdbError::Invalid, ErrorKind::Corruption),
            (MdbError::VersionMismatch, ErrorKind::FormatMismatch),
            (MdbError::Panic, ErrorKind::Poisoned),
            (MdbError::BadTxn, ErrorKind::Internal),
        ];
        for (code, kind) in kinds {
            let error = lmdb_error("write", code.into());
            assert_eq!(error.kind(), kind, "{code}");
            let context: Vec<_> = error.context().collect();
            let (number, text) = (code.to_err_code().to_string(), code.to_string());
            assert_eq!(context, [("lmdb_code", &*number), ("lmdb_text", &*text)]);
        }
        let full = std::io::Error::from_raw_os_error(28);
        let error = lmdb_error("write", full.into());
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(error.context().any(|pair| pair == ("lmdb_code", "28")));
    }
}
