//! The memory backend keeps the storage contract.

use supervm_storage_memory as _;

fn main() {
    supervm_conformance::main("memory")
}
