//! The rocksdb backend keeps the storage contract.

use supervm_storage_rocksdb as _;

fn main() {
    supervm_conformance::main("rocksdb")
}
