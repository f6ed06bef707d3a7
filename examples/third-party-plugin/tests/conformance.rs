//! The suite that every storage backend passes, each case a test.

use supervm_storage_redb as _;

fn main() {
    supervm_conformance::main("redb")
}
