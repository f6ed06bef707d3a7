//! What a storage accepts, checked before its plugin is called (clauses 4 and 29).

use supervm_plugin_sdk::{
    Capabilities, Capability, Direction, Durability, Error, ErrorKind, KeyRange, Limits, Result,
    check_range,
};

/// The limits that hold on every backend, whatever more one could take: a node on a generous backend must refuse what all
/// others refuse.
///
/// # Errors
/// `Unsupported` when the backend accepts less than the contract asks for.
pub(super) fn common(backend: &str, capabilities: &Capabilities) -> Result<Limits> {
    let (own, contract) = (capabilities.limits(), Limits::CONTRACT);
    let owed = [
        ("key bytes", own.key_bytes_max, contract.key_bytes_max),
        ("value bytes", own.value_bytes_max, contract.value_bytes_max),
        ("batch bytes", own.batch_bytes_max, contract.batch_bytes_max),
        ("batch operations", own.batch_operations_max, contract.batch_operations_max),
    ];
    if let Some((what, accepted, asked)) = owed.iter().find(|(_, own, asked)| own < asked) {
        let refused =
            format!("backend \"{backend}\" accepts {accepted} {what}; at least {asked} are needed");
        return Err(Error::new(ErrorKind::Unsupported, "open", refused));
    }
    Ok(Limits { cursors_max: own.cursors_max, snapshots_max: own.snapshots_max, ..contract })
}

/// Are all of `required` among `capabilities`?
///
/// # Errors
/// `Unsupported` with the list of what is missing.
pub(super) fn check_required(
    backend: &str,
    capabilities: &Capabilities,
    required: &[Capability],
) -> Result<()> {
    let missing: Vec<_> =
        required.iter().filter(|one| !capabilities.has(**one)).map(|one| one.name()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let declared: Vec<_> = capabilities.iter().map(|(one, _)| one.name()).collect();
    let refused = format!(
        "backend \"{backend}\" lacks what the configuration requires: {}",
        missing.join(", ")
    );
    Err(Error::new(ErrorKind::Unsupported, "open", refused).with("declared", declared.join(", ")))
}

/// How durable a write is when the caller does not say: as `asked`, or else the strongest that is declared.
///
/// # Errors
/// `Unsupported` when `synced` is asked for and the backend does not declare `synced_writes`.
pub(super) fn durability(
    backend: &str,
    capabilities: &Capabilities,
    asked: Option<Durability>,
) -> Result<Durability> {
    match (asked, capabilities.has(Capability::SyncedWrites)) {
        (None, true) => Ok(Durability::Synced),
        (None, false) => Ok(Durability::Buffered),
        (Some(Durability::Synced), false) => {
            let refused = format!(
                "durability = \"synced\" is not what backend \"{backend}\" can do; say \"buffered\" or leave it out"
            );
            Err(Error::new(ErrorKind::Unsupported, "open", refused)
                .with("capability", Capability::SyncedWrites))
        }
        (Some(asked), _) => Ok(asked),
    }
}

/// May a cursor be opened on `range` in `direction`?
///
/// # Errors
/// `Unsupported`, `KeyTooLarge`.
pub(super) fn check_cursor(
    range: &KeyRange<'_>,
    direction: Direction,
    capabilities: &Capabilities,
    limits: &Limits,
) -> Result<()> {
    if direction == Direction::Reverse {
        capabilities.require(Capability::ReverseCursor, "cursor")?;
    }
    check_range(range, limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generous_backend_gets_the_contracts_limits_and_a_narrow_one_is_refused() {
        let with = |limits| Capabilities::new().with_limits(limits);
        let generous = Limits { key_bytes_max: 9999, cursors_max: 5, ..Limits::CONTRACT };
        let limits = common("wide", &with(generous)).expect("enough");
        assert_eq!((limits.key_bytes_max, limits.cursors_max), (Limits::CONTRACT.key_bytes_max, 5));
        let narrow = Limits { value_bytes_max: 7, ..Limits::CONTRACT };
        let error = common("narrow", &with(narrow)).expect_err("too little");
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("7 value bytes"), "{error}");
    }

    #[test]
    fn everything_that_is_missing_is_listed() {
        let some = Capabilities::new().native(&[Capability::Snapshot]);
        let required = [Capability::Checkpoint, Capability::Snapshot, Capability::Verify];
        let error = check_required("map", &some, &required).expect_err("missing");
        assert!(error.message().ends_with(": checkpoint, verify"), "{error}");
        assert!(check_required("map", &some, &[Capability::Snapshot]).is_ok());
    }
}
