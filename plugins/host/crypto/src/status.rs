//! The named statuses that the pack's functions return; a number means the same in every host pack.

/// Done.
pub const OK: i32 = 0;
/// The bytes are no public key of the curve.
pub const INVALID_KEY: i32 = -5;
/// The signature is malformed, has a high `s`, or recovers no key.
pub const INVALID_SIGNATURE: i32 = -6;

/// Each status with its name, for the documentation.
pub const NAMES: [(&str, i32); 3] =
    [("OK", OK), ("INVALID_KEY", INVALID_KEY), ("INVALID_SIGNATURE", INVALID_SIGNATURE)];
