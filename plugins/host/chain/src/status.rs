//! The named statuses that the pack's functions return; a number means the same in every host pack.

use supervm_plugin_sdk::host::CallOutcome;

/// Done.
pub const OK: i32 = 0;
/// An argument has a value that no call accepts.
pub const INVALID_ARGUMENT: i32 = -1;
/// There is no such thing: no such event, contract, or function of the contract.
pub const NOT_FOUND: i32 = -2;
/// The called contract trapped or aborted; its changes and events are gone.
pub const CALL_FAILED: i32 = -3;
/// The limit on calls within calls is reached.
pub const CALL_TOO_DEEP: i32 = -4;

/// Each status with its name, for the documentation.
pub const NAMES: [(&str, i32); 5] = [
    ("OK", OK),
    ("INVALID_ARGUMENT", INVALID_ARGUMENT),
    ("NOT_FOUND", NOT_FOUND),
    ("CALL_FAILED", CALL_FAILED),
    ("CALL_TOO_DEEP", CALL_TOO_DEEP),
];

pub(crate) fn of_call(outcome: CallOutcome) -> i32 {
    match outcome {
        CallOutcome::Ok => OK,
        CallOutcome::Failed => CALL_FAILED,
        CallOutcome::NotFound => NOT_FOUND,
        CallOutcome::TooDeep => CALL_TOO_DEEP,
    }
}
