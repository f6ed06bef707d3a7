//! Mistakes that can be switched on, to show that the tests catch them.
//!
//! Without the feature `mutants` nothing of this is compiled in: [`mutant`] is the constant `false`. With it, the environment variable
//! `SUPERVM_MUTANT` names one mistake, and the program makes it.

macro_rules! mutants {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// One mistake.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Mutant { $($(#[$doc])* $name,)* }

        /// The mistakes' names, as `SUPERVM_MUTANT` takes them.
        #[cfg(feature = "mutants")]
        pub const MUTANTS: &[&str] = &[$($text,)*];

        #[cfg(feature = "mutants")]
        fn named(name: &str) -> Option<Mutant> {
            match name { $($text => Some(Mutant::$name),)* _ => None }
        }
    };
}

mutants! {
    /// A version becomes visible before all its writes are installed: torn snapshots.
    PublishEarly = "publish-early";
    /// A refused commit takes a version with it.
    HoleAfterConflict = "hole-after-conflict";
    /// A reader's version is loaded before it is pinned, and garbage collection comes between.
    PinAfterLoad = "pin-after-load";
    /// Two readers of one version share a pin.
    PinsAreShared = "pins-are-shared";
    /// The conflict window begins at commit and not where the transaction read: lost updates.
    WindowAtCommit = "window-at-commit";
    /// A policy's bound on versions goes before an old reader's need.
    PolicyBeforeReader = "policy-before-reader";
    /// A cell that a transaction holds is unlinked: lost writes.
    UnlinkHeld = "unlink-held";
    /// A deleted key is forgotten while a reader sees its value.
    TombstoneTooEarly = "tombstone-too-early";
    /// A write of the value that is there is skipped.
    EqualValueSkipped = "equal-value-skipped";
    /// Scanned ranges are not validated: phantoms.
    Phantoms = "phantoms";
    /// Reads of absent keys are not validated.
    AbsentReadsUnchecked = "absent-reads-unchecked";
    /// Reads are not validated: write skew.
    ReadsUnchecked = "reads-unchecked";
    /// Versions begin at 1 again after a restart.
    RestartAtZero = "restart-at-zero";
    /// What a failed write did not write becomes visible.
    FailedWritePublished = "failed-write-published";
    /// A cell leaves memory although a reader needs an older version than the backend has.
    EvictNeeded = "evict-needed";
    /// Rolling back to a savepoint keeps a value that was overwritten since.
    RollbackKeepsOverwrite = "rollback-keeps-overwrite";
    /// A Durable commit is not synced.
    SyncSkipped = "sync-skipped";
}

#[cfg(not(feature = "mutants"))]
#[inline(always)]
pub(super) const fn mutant(_: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub(super) fn mutant(mutant: Mutant) -> bool {
    use std::sync::OnceLock;
    static ON: OnceLock<Option<Mutant>> = OnceLock::new();
    let on = ON.get_or_init(|| {
        let name = std::env::var("SUPERVM_MUTANT").ok()?;
        Some(
            named(&name)
                .unwrap_or_else(|| panic!("no mutant is called {name}; there are {MUTANTS:?}")),
        )
    });
    *on == Some(mutant)
}
