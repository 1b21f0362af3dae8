//! `diffused models verify`: is a model folder what it was, and is it whole?

use super::store::{Model, Place, Store};
use crate::cli::print::say;
use crate::cli::{CliError, progress};
use crate::model::{MANIFEST, Manifest, Survey};

/// Check the files of a model against its SHA256SUMS, and its graphs
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model's name
    name: String,
    #[command(flatten)]
    place: Place,
    /// Make SHA256SUMS anew from the files as they are now
    #[arg(long)]
    write: bool,
}

/// Prints what is wrong, a line each, and fails if anything is.
pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let store = Store::open(&args.place)?;
    let model = store.find(&args.name)?;
    let (listed, mut faults) = against_list(&model, args.write)?;
    let survey = Survey::open(model.folder);
    if let Err(error) = &survey {
        faults.push(format!("unsound  {error}"));
    }
    for fault in &faults {
        say(fault)?;
    }
    match survey {
        Ok(survey) if args.write => write(&model, &survey),
        Ok(survey) if faults.is_empty() => {
            let graphs = survey.graphs.len();
            say(&format!("{}: {listed} files are as {MANIFEST} says, {graphs} graphs are whole", model.name))
        }
        _ => {
            let (name, unwritten) = (model.name, if args.write { ", and no list was written" } else { "" });
            let count = if faults.len() == 1 { "a fault".to_owned() } else { format!("{} faults", faults.len()) };
            Err(CliError::Data(format!("the model {name} has {count}{unwritten}")))
        }
    }
}

/// How many files are listed, and what is wrong with them or with the list. To have none is no fault if one is to be made.
fn against_list(model: &Model<'_>, write: bool) -> Result<(usize, Vec<String>), CliError> {
    match Manifest::open(model.folder) {
        Ok(Some(list)) => {
            let bar = progress::Reading::new(model.bytes());
            let faults = list.faults(model.folder, &|bytes| bar.add(bytes))?;
            Ok((list.len(), faults.iter().map(ToString::to_string).collect()))
        }
        Ok(None) if write => Ok((0, Vec::new())),
        Ok(None) => Ok((
            0,
            vec![format!("unlisted  there is no {MANIFEST}: make one with --write if the files are known to be good")],
        )),
        Err(error) => Ok((0, vec![format!("unread   {error}")])),
    }
}

fn write(model: &Model<'_>, survey: &Survey) -> Result<(), CliError> {
    let bar = progress::Reading::new(model.bytes());
    let list = Manifest::of(model.folder, &|bytes| bar.add(bytes))?;
    drop(bar);
    list.write(model.folder)?;
    let (files, graphs) = (list.len(), survey.graphs.len());
    say(&format!("{}: {MANIFEST} now lists {files} files, {graphs} graphs are whole", model.name))
}
