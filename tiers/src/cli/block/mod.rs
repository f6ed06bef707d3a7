//! `supervm block`: blocks from a file, and files of blocks.

mod arguments;
mod run;
mod generate;

pub(crate) use arguments::BlockArguments;

use super::failure::Failure;
use super::output::Output;
use arguments::BlockAction;

/// Does what the action says.
pub(crate) fn block(arguments: BlockArguments, output: &mut Output) -> Result<(), Failure> {
    match arguments.action {
        BlockAction::Run(arguments) => run::run(&arguments, output),
        BlockAction::Gen(arguments) => generate::generate(&arguments, output),
    }
}
