//! `diffused models`: the model folders.

mod import;
mod list;
mod prepare;
mod show;
mod store;
mod verify;

use super::{CliError, log};

/// Make and look at model folders
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    List(list::Args),
    Show(show::Args),
    Verify(verify::Args),
    Import(import::Args),
    Prepare(prepare::Args),
}

/// Does what is asked.
pub fn run(args: &Args) -> Result<(), CliError> {
    log::quiet();
    match &args.what {
        What::List(list) => list::run(list),
        What::Show(show) => show::run(show),
        What::Verify(verify) => verify::run(verify),
        What::Import(import) => import::run(import),
        What::Prepare(prepare) => prepare::run(prepare),
    }
}
