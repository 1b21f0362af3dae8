//! `diffused models prepare`: what makes a model faster, beside what is there.

use std::path::PathBuf;

use crate::cli::CliError;
use crate::cli::print::say;
use crate::model;

/// Make of a model folder what makes it faster, beside what is there
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model's folder
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Cut the U-Net in two, so that steps can reuse what its deep layers made before
    #[arg(long, required = true)]
    reuse: bool,
    /// How many layers of the way up run in every step [default: those of the last block]
    #[arg(long, value_name = "LAYERS")]
    cut: Option<usize>,
}

/// Cuts, and says where.
pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let cut = model::prepare(&args.folder, args.cut)?;
    let share = 100.0 * cut.bytes as f64 / cut.all.max(1) as f64;
    say(&format!(
        "{}: {} of {} layers of the way up run in every step, with {share:.1} % of the U-Net's weights",
        args.folder.display(),
        cut.layers,
        cut.of
    ))
}
