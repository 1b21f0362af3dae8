//! `diffused models show`: everything that is known of a model without loading it.

use serde_json::{Map, Value, json};

use super::store::{Model, Place, Store};
use crate::board::size;
use crate::cli::CliError;
use crate::cli::print::say;
use crate::job::AdapterFacts;
use crate::model::{Adapters, Body, LoadError, MANIFEST, Manifest, Survey};

/// Show what is known of a model
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The model's name
    name: String,
    #[command(flatten)]
    place: Place,
    /// Print one line of JSON instead of a text
    #[arg(long)]
    json: bool,
}

/// Prints it; fails if the folder cannot be used.
pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let store = Store::open(&args.place)?;
    let model = store.find(&args.name)?;
    let survey = Survey::open(model.folder)?;
    store.warn_of(model.name, &survey);
    let adapters = Adapters::scan(&store.adapters(&model), &Adapters::default());
    let facts = Facts {
        adapters: Body::read(&survey.folder).facts(&adapters),
        listed: listed(&model),
        store: &store,
        model: &model,
        survey: &survey,
    };
    if args.json { say(&Value::Object(facts.told())) } else { say(&facts.text()) }
}

/// What is shown.
struct Facts<'a> {
    store: &'a Store,
    model: &'a Model<'a>,
    survey: &'a Survey,
    adapters: Vec<AdapterFacts>,
    /// Files of the list, and of the faults that names alone tell; nothing without a list.
    listed: Result<Option<(usize, usize)>, LoadError>,
}

fn listed(model: &Model<'_>) -> Result<Option<(usize, usize)>, LoadError> {
    let Some(list) = Manifest::open(model.folder)? else { return Ok(None) };
    Ok(Some((list.len(), list.glance(model.folder)?.len())))
}

impl Facts<'_> {
    fn told(&self) -> Map<String, Value> {
        let (survey, folder) = (self.survey, &self.survey.folder);
        let graphs = survey.graphs.iter().map(|graph| {
            let told = json!({"file": graph.file, "bytes": graph.bytes, "precision": graph.precision});
            told
        });
        let adapters = self.adapters.iter().map(|adapter| match &adapter.fit {
            Ok(fit) => json!({"kind": adapter.kind.name(), "name": adapter.name, "fits": true, "matched": fit.matched,
                "unmatched": fit.unmatched}),
            Err(reason) => {
                json!({"kind": adapter.kind.name(), "name": adapter.name, "fits": false, "reason": reason})
            }
        });
        let manifest = match &self.listed {
            Ok(None) => Value::Null,
            Ok(Some((files, faults))) => json!({"files": files, "faults": faults}),
            Err(error) => json!({"fault": error.to_string()}),
        };
        let space = &self.store.space;
        let mut told = self.model.told(survey, space);
        let more = json!({
            "multiple": folder.multiple, "clip_skip": folder.defaults.clip_skip.get(),
            "scheduler": folder.scheduler.class_name, "prediction_type": self.prediction(),
            "texts": folder.texts.iter().map(|text| json!({"tokens": text.length, "width": text.width})).collect::<Vec<_>>(),
            "reuse": survey.cut, "graphs": graphs.collect::<Vec<_>>(), "adapters": adapters.collect::<Vec<_>>(),
            "manifest": manifest,
        });
        told.extend(more.as_object().cloned().unwrap_or_default());
        if let Some(memory) = told.get_mut("memory").and_then(Value::as_object_mut) {
            memory.insert("budget_bytes".to_owned(), json!(space.budget));
            memory.insert("most_bytes".to_owned(), json!(space.most));
        }
        told
    }

    fn prediction(&self) -> &'static str {
        self.survey.folder.scheduler.prediction_type.name()
    }

    fn text(&self) -> String {
        let (survey, folder) = (self.survey, &self.survey.folder);
        let defaults = &folder.defaults;
        let mark = if self.model.is_default { " (default)" } else { "" };
        let modes: Vec<&str> = folder.modes().iter().map(|mode| mode.name()).collect();
        let size_text = match survey.fixed_size {
            Some(fixed) => format!("{fixed}, no other"),
            None => format!("{}, sides in multiples of {}", defaults.size, folder.multiple),
        };
        let scheduler = folder.scheduler.class_name.as_deref().unwrap_or("-");
        let texts = folder.texts.iter().map(|text| format!("{} tokens, {} wide", text.length, text.width));
        let mut lines = vec![
            line("model", &format!("{}{mark}", self.model.name)),
            line("folder", &self.model.folder.display()),
            line("family", &folder.family.name()),
            line("modes", &modes.join(", ")),
            line("size", &size_text),
            line("steps", &defaults.steps.get()),
            line("guidance", &format!("{} ({})", defaults.guidance_scale.get(), defaults.guidance.name())),
            line("sampler", &defaults.sampler.name),
            line("scheduler", &format!("{scheduler}, {}", self.prediction())),
            line("texts", &texts.collect::<Vec<_>>().join("; ")),
            line("on disk", &size(self.model.bytes())),
            line("memory", &super::list::memory(self.store, survey)),
            line("reuse", &self.reuse()),
            line("manifest", &self.manifest()),
        ];
        lines.extend(survey.graphs.iter().map(|graph| {
            let precision = graph.precision.unwrap_or("-");
            line("graph", &format!("{:<30} {precision:<5} {:>9}", graph.file, size(graph.bytes)))
        }));
        lines.extend(self.adapters.iter().map(|adapter| line("adapter", &fit(adapter))));
        lines.join("\n")
    }

    fn reuse(&self) -> String {
        match self.survey.cut {
            Some(layers) => format!("prepared, {layers} layers of the way up run in every step"),
            None => "not prepared".to_owned(),
        }
    }

    fn manifest(&self) -> String {
        match &self.listed {
            Ok(None) => format!("none: make one with `diffused models verify {} --write`", self.model.name),
            Ok(Some((files, 0))) => format!("{MANIFEST} lists {files} files, all are there"),
            Ok(Some((files, faults))) => {
                format!("{MANIFEST} lists {files} files, {faults} are missing, extra or unfit")
            }
            Err(error) => error.to_string(),
        }
    }
}

fn fit(adapter: &AdapterFacts) -> String {
    let fits = match &adapter.fit {
        Ok(fit) if fit.unmatched == 0 => "fits".to_owned(),
        Ok(fit) => format!("fits, but for {} of {} parts", fit.unmatched, fit.matched + fit.unmatched),
        Err(reason) => format!("does not fit: {reason}"),
    };
    format!("{} {}: {fits}", adapter.kind.name(), adapter.name)
}

fn line(name: &str, value: &dyn std::fmt::Display) -> String {
    format!("{name:<10} {value}").trim_end().to_owned()
}
