//! The sqlite backend keeps the storage contract.

use supervm_storage_sqlite as _;

fn main() {
    supervm_conformance::main("sqlite")
}
