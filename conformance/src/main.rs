//! Proves that a storage backend keeps SuperVM's storage contract.

use std::process::ExitCode;

fn main() -> ExitCode {
    supervm_conformance::cli::main()
}
