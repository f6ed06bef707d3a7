//! The `supervm` command.

mod cli;

fn main() -> std::process::ExitCode {
    // The suite starts this program again as its children.
    supervm_conformance::take_over_if_child();
    cli::main()
}
