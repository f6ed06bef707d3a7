//! The mistakes, one at a time.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// One mistake of the backend.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
        pub(crate) enum Fault {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Fault {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

faults! {
    #[default]
    None = "none",
    RangeSpares0xff = "range-spares-0xff",
    RangeMissesPutsOfItsBatch = "range-misses-puts-of-its-batch",
    RangeStopsAt10000 = "range-stops-at-10000",
    RangeTakesItsEnd = "range-takes-its-end",
    ScanOverrunsItsEnd = "scan-overruns-its-end",
    FfPrefixFindsNothing = "ff-prefix-finds-nothing",
    ErrorTakenForEnd = "error-taken-for-end",
    EntrySkippedAtPageBreak = "entry-skipped-at-page-break",
    ReverseDropsTheFirst = "reverse-drops-the-first",
    SignedOrder = "signed-order",
    WriteUnderCursorDeadlocks = "write-under-cursor-deadlocks",
    CursorSeesLaterWrites = "cursor-sees-later-writes",
    SnapshotSeesLaterWrites = "snapshot-sees-later-writes",
    BufferKeepsItsLength = "buffer-keeps-its-length",
    LengthInU16 = "length-in-u16",
    EmptyValueIsAbsent = "empty-value-is-absent",
    LastOperationLost = "last-operation-lost",
    BigBatchFailsSilently = "big-batch-fails-silently",
    BatchTornForReaders = "batch-torn-for-readers",
    BatchTornByCrash = "batch-torn-by-crash",
    WritesStayInMemory = "writes-stay-in-memory",
    DeletesForgottenOnReopen = "deletes-forgotten-on-reopen",
    CheckpointMissesTheNewest = "checkpoint-misses-the-newest",
    CompactOfEmptyFails = "compact-of-empty-fails",
    CompactDropsEntries = "compact-drops-entries",
    ClaimsVerifyAndLacksIt = "claims-verify-and-lacks-it",
    FlushHoldsTheLockOfWrites = "flush-holds-the-lock-of-writes",
    ChecksumIgnored = "checksum-ignored",
    ReadOnlyWritesAFile = "read-only-writes-a-file",
    MustExistCreates = "must-exist-creates",
    MissingKeyIsAnError = "missing-key-is-an-error",
    MultiGetSorts = "multi-get-sorts",
    SeekGoesPastTheKey = "seek-goes-past-the-key",
    EndIsNotRepeated = "end-is-not-repeated",
    PanicsOnAKey = "panics-on-a-key",
    AbortsOnALargeValue = "aborts-on-a-large-value",
    LeaksDescriptors = "leaks-descriptors",
    KeysMiscounted = "keys-miscounted",
    OverwriteAfterReadIsLost = "overwrite-after-read-is-lost",
    EmptyEndIsNoEnd = "empty-end-is-no-end",
    CursorCountsPositions = "cursor-counts-positions",
    CursorDiesWithItsStorage = "cursor-dies-with-its-storage",
    HashOrder = "hash-order",
    SyncAtCloseOnly = "sync-at-close-only",
    SyncIsANoOp = "sync-is-a-no-op",
    WriteErrorIgnored = "write-error-ignored",
    FailedSyncIsRetried = "failed-sync-is-retried",
    TornWriteLeftBehind = "torn-write-left-behind",
    StuckAfterAFullDisk = "stuck-after-a-full-disk",
    ReadErrorTakenForAbsence = "read-error-taken-for-absence",
    ReadErrorTakenForEnd = "read-error-taken-for-end",
    OpenErrorTakenForMissing = "open-error-taken-for-missing",
    CheckpointIgnoresErrors = "checkpoint-ignores-errors",
    FlushIsANoOp = "flush-is-a-no-op",
    CheckpointSharesTheFile = "checkpoint-shares-the-file",
    DamagedRecordSkipped = "damaged-record-skipped",
    DamageEndsTheLog = "damage-ends-the-log",
    CutGoesUnnoticed = "cut-goes-unnoticed",
    WipesOtherFiles = "wipes-other-files",
    UnknownOptionIgnored = "unknown-option-ignored",
    PanicsOnAnOption = "panics-on-an-option",
    PanicsWithoutItsDirectory = "panics-without-its-directory",
    SnapshotsShareAPin = "snapshots-share-a-pin",
    KeyLengthInU8OnDisk = "key-length-in-u8-on-disk",
    EmptyRecordEndsTheLog = "empty-record-ends-the-log",
    CompactRenamesUnsynced = "compact-renames-unsynced",
    CompactLosesConcurrentWrites = "compact-loses-concurrent-writes",
    DeletesAreNotFlushed = "deletes-are-not-flushed",
    FailedWriteIsVisible = "failed-write-is-visible",
}
