//! The leveldb backend keeps the storage contract.

use supervm_storage_leveldb as _;

fn main() {
    supervm_conformance::main("leveldb")
}
