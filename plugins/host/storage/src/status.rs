//! The named statuses that the pack's functions return; a number means the same in every host pack.

/// Done.
pub const OK: i32 = 0;
/// An argument has a value that no call accepts.
pub const INVALID_ARGUMENT: i32 = -1;
/// There is no such thing: no current entry.
pub const NOT_FOUND: i32 = -2;

/// Each status with its name, for the documentation.
pub const NAMES: [(&str, i32); 3] =
    [("OK", OK), ("INVALID_ARGUMENT", INVALID_ARGUMENT), ("NOT_FOUND", NOT_FOUND)];
