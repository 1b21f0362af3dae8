//! `diffused models list`: one line a model.

use serde_json::{Value, json};

use super::store::{Model, Place, Store};
use crate::board::size;
use crate::cli::CliError;
use crate::cli::print::say;
use crate::model::{Fitting, LoadError, Survey};

/// List the models, what each can do, and whether it fits the memory
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Print one line of JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Columns of a line.
const COLUMNS: usize = 6;

/// Prints the models; one that cannot be used stands there with the reason.
pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let store = Store::open(&args.place)?;
    let models: Vec<_> = store.models().map(|model| (Survey::open(model.folder), model)).collect();
    for (survey, model) in &models {
        if let Ok(survey) = survey {
            store.warn_of(model.name, survey);
        }
    }
    if args.json { say(&told(&store, &models)) } else { say(&table(&store, &models)) }
}

type Surveyed<'a> = (Result<Survey, LoadError>, Model<'a>);

fn told(store: &Store, models: &[Surveyed<'_>]) -> Value {
    let models = models.iter().map(|(survey, model)| match survey {
        Ok(survey) => Value::Object(model.told(survey, &store.space)),
        Err(fault) => model.faulty(fault),
    });
    let memory = json!({"budget_bytes": store.space.budget, "most_bytes": store.space.most});
    json!({"dir": store.dir.to_string_lossy(), "memory": memory, "models": models.collect::<Vec<_>>()})
}

fn table(store: &Store, models: &[Surveyed<'_>]) -> String {
    if models.is_empty() {
        return format!("no model in {}", store.dir.display());
    }
    let head = ["NAME", "FAMILY", "PRECISION", "ON DISK", "MODES", "MEMORY"].map(str::to_owned);
    let rows: Vec<[String; COLUMNS]> =
        [head].into_iter().chain(models.iter().map(|(survey, model)| row(store, survey, model))).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let line = |row: &[String; COLUMNS]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn row(store: &Store, survey: &Result<Survey, LoadError>, model: &Model<'_>) -> [String; COLUMNS] {
    let name = format!("{}{}", model.name, if model.is_default { " (default)" } else { "" });
    let on_disk = size(model.bytes());
    let (family, precision, modes, last) = match survey {
        Ok(survey) => {
            let modes: Vec<&str> = survey.folder.modes().iter().map(|mode| mode.name()).collect();
            (survey.folder.family.name(), survey.precision.unwrap_or("-"), modes.join(" "), memory(store, survey))
        }
        Err(fault) => ("-", "-", "-".to_owned(), format!("fault: {fault}")),
    };
    [name, family.to_owned(), precision.to_owned(), on_disk, modes, last]
}

/// How the graphs go into the memory, with the numbers.
pub(super) fn memory(store: &Store, survey: &Survey) -> String {
    let (demand, space) = (survey.demand(), &store.space);
    match space.takes(&demand) {
        Fitting::Together => format!("fits, {} of {}", size(demand.all), size(space.budget)),
        Fitting::InTurns => format!("in turns, {} for {}", size(space.budget), size(demand.all)),
        Fitting::Not => {
            let most = space.most.unwrap_or(space.budget);
            format!("does not fit, {} for {}", size(most), size(demand.largest))
        }
    }
}
