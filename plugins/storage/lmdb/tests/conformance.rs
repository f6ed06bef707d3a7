//! The lmdb backend keeps the storage contract.

use supervm_storage_lmdb as _;

fn main() {
    supervm_conformance::main("lmdb")
}
