//! `diffused manual`: man pages and shell completions, for those who make packages.

use std::path::PathBuf;

use clap::Command;
use clap_complete::{Shell, generate_to};

use super::CliError;

/// Write the man pages and the completions for bash, fish and zsh
// Not in the list of verbs, nor in what it writes.
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub struct Args {
    /// A folder for the files
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Writes a page for each verb and a file for each shell.
pub fn run(args: &Args, mut command: Command) -> Result<(), CliError> {
    let written = std::fs::create_dir_all(&args.folder).and_then(|()| {
        // First, because completions add the verb `help`, which needs no pages of its own.
        clap_mangen::generate_to(command.clone().disable_help_subcommand(true), &args.folder)?;
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            generate_to(shell, &mut command, "diffused", &args.folder)?;
        }
        Ok(())
    });
    written.map_err(|error| CliError::Io(format!("{} cannot be written: {error}", args.folder.display())))
}
