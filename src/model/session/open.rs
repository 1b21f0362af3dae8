//! From a graph on the disk to a session: with its accelerator, its other weights, and what was kept of the last start.

use std::path::Path;

use ort::logging::LogLevel;
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};

use super::options::{Options, part};
use super::{Ports, Session};
use crate::model::accelerator::{Accelerator, Choice, Placement, Placements};
use crate::model::anatomy::Anatomy;
use crate::model::blueprint::Blueprint;
use crate::model::cache::{self, Entry};
use crate::model::error::LoadError;
use crate::model::library::Runtime;

/// Where the weights of a graph are that comes from memory (ONNX Runtime 1.18 and later).
const WEIGHTS_FOLDER: &str = "session.model_external_initializers_file_folder_path";
/// Name of the weights beside an optimised graph, and from how many bytes on they go there.
const KEPT_WEIGHTS: [(&str, &str); 2] = [
    ("session.optimized_model_external_initializers_file_name", "weights.bin"),
    ("session.optimized_model_external_initializers_min_size_in_bytes", "1024"),
];
/// Leaves out what computes beforehand whatever follows from weights alone, and so makes 32 bits of those in 16. The highest
/// level does it once more, for the layouts of its own.
const NO_FOLDING: (&str, &str) = ("optimization.disable_specified_optimizers", "ConstantFolding");
/// Name of an optimised graph in its folder of the cache.
const KEPT_GRAPH: &str = "model.onnx";

/// One session that is being made.
struct Making<'a> {
    runtime: &'a Runtime,
    options: &'a Options,
    choice: &'a Choice,
    file: &'a Path,
    heard: Placements,
}

impl Session {
    /// Loads a graph and says what it declares.
    pub(in crate::model) fn open(
        runtime: &Runtime,
        graph: Blueprint,
        options: &Options,
    ) -> Result<(Self, Ports), LoadError> {
        let file = graph.file.clone();
        if !file.is_file() {
            return Err(LoadError::folder(file, "the file is missing"));
        }
        let choice = options.choice(&file);
        let making = Making { runtime, options, choice, file: &file, heard: Placements::default() };
        let session = making.session(graph)?;
        let placement = making.heard.all();
        report(&file, choice, &placement, options.strict)?;
        let ports = Ports::of(&session).map_err(|reason| LoadError::folder(&file, reason))?;
        let home =
            choice.home().map_err(|reason| LoadError::Accelerator { name: choice.accelerator.name(), reason })?;
        let session = Self { bound: Vec::new(), session, home, records: choice.cuda_graph, placement };
        Ok((session, ports))
    }
}

impl Making<'_> {
    fn session(&self, graph: Blueprint) -> Result<ort::session::Session, LoadError> {
        let Some(entry) = self.entry(&graph) else { return self.plain(graph, None) };
        if self.choice.accelerator != Accelerator::Cpu {
            // The accelerator itself finds what it compiled.
            return self.kept(graph, &entry);
        }
        if entry.is_complete {
            match self.optimised(&entry) {
                Ok(session) => return Ok(session),
                Err(error) => {
                    tracing::warn!(%error, "an optimised graph of the cache cannot be used, it is made again");
                    let _ = entry.discard();
                }
            }
        }
        self.kept(graph, &entry)
    }

    /// What the cache has or will have of a graph as it was exported. Without a cache, and where it cannot be written,
    /// there is none: the graph is loaded all the same.
    fn entry(&self, graph: &Blueprint) -> Option<Entry> {
        let cache = self.options.cache.as_ref().filter(|_| graph.edited.is_none() && graph.weights.is_empty())?;
        let subject = format!("{} {:?}", self.file.display(), self.choice.accelerator);
        let state = cache::identity(self.file).and_then(|identity| {
            let weights = weights_of(self.file)?;
            let library = cache::identity(self.runtime.library())?;
            Ok(format!("{identity} {weights} {library} {:?} {} {}", self.choice, cache::machine(), graph.own_times))
        });
        let entry = state.and_then(|state| cache.entry(&subject, &state));
        let unusable = |error: &std::io::Error| tracing::warn!(%error, "the cache of graphs cannot be used");
        let entry = entry.inspect_err(unusable).ok()?;
        cache.forget_others(&entry);
        Some(entry)
    }

    /// Makes the session, and the entry for the next start.
    fn kept(&self, graph: Blueprint, entry: &Entry) -> Result<ort::session::Session, LoadError> {
        let session = self.plain(graph, Some(entry))?;
        if let Err(error) = entry.complete() {
            tracing::warn!(%error, file = %self.file.display(), "what was made of the graph cannot be kept");
        }
        Ok(session)
    }

    /// The graph as it was exported, or with its edits.
    fn plain(&self, graph: Blueprint, entry: Option<&Entry>) -> Result<ort::session::Session, LoadError> {
        let graph = if graph.own_times { with_own_times(&graph.file)? } else { graph };
        self.has_dimensions()?;
        let refused = |error| self.refused(error);
        let compiled = entry.filter(|_| self.choice.accelerator != Accelerator::Cpu);
        let mut builder = self.builder(compiled.map(|entry| entry.folder.as_path()))?;
        if let Some(entry) = entry.filter(|_| self.choice.accelerator == Accelerator::Cpu) {
            builder =
                builder.with_optimized_model_path(entry.folder.join(KEPT_GRAPH)).map_err(|e| refused(e.into()))?;
            for (key, value) in KEPT_WEIGHTS {
                builder = builder.with_config_entry(key, value).map_err(|error| refused(error.into()))?;
            }
        }
        for weight in graph.weights {
            let name = weight.name.clone();
            let value = weight.into_value().map_err(refused)?;
            builder = builder.with_external_initializer(name, value).map_err(|error| refused(error.into()))?;
        }
        let session = match &graph.edited {
            None => builder.commit_from_file(self.file),
            Some(bytes) => builder
                .with_config_entry(WEIGHTS_FOLDER, graph.file.parent().unwrap_or(Path::new(".")).to_string_lossy())
                .map_err(|error| refused(error.into()))?
                .commit_from_memory(bytes),
        };
        session.map_err(refused)
    }

    /// What an earlier start kept: there is nothing left to optimise.
    fn optimised(&self, entry: &Entry) -> Result<ort::session::Session, LoadError> {
        let builder = self.builder(None)?.with_optimization_level(GraphOptimizationLevel::Disable);
        let mut builder = builder.map_err(|error| self.refused(error.into()))?;
        builder.commit_from_file(entry.folder.join(KEPT_GRAPH)).map_err(|error| self.refused(error))
    }

    fn builder(&self, compiled: Option<&Path>) -> Result<SessionBuilder, LoadError> {
        let unfit = |error: ort::Error| LoadError::Runtime { reason: error.to_string() };
        let accelerator = self.choice.accelerator;
        let mut builder = ort::session::Session::builder(self.runtime.environment())
            .and_then(|builder| Ok(builder.with_intra_threads(self.options.threads.unwrap_or(0))?))
            // Threads that spin between passes would take the processor from everybody else.
            .and_then(|builder| Ok(builder.with_intra_op_spinning(false)?))
            // With a pattern, the second pass of a shape takes what the first has taken once more, and is no faster.
            .and_then(|builder| Ok(builder.with_memory_pattern(accelerator != Accelerator::Cpu)?))
            .map_err(unfit)?;
        if accelerator != Accelerator::Cpu {
            builder = builder.with_logger(self.heard.listener()).map_err(|error| unfit(error.into()))?;
            builder = builder.with_log_level(LogLevel::Verbose).map_err(|error| unfit(error.into()))?;
        }
        if self.choice.compact {
            let (key, value) = NO_FOLDING;
            builder = builder.with_config_entry(key, value).map_err(|error| unfit(error.into()))?;
            let level = GraphOptimizationLevel::Level2;
            builder = builder.with_optimization_level(level).map_err(|error| unfit(error.into()))?;
        }
        for (name, size) in &self.choice.dimensions {
            builder = builder.with_dimension_override(name, i64::from(*size)).map_err(|error| unfit(error.into()))?;
        }
        let providers = self.choice.providers(self.options.threads, compiled)?;
        builder
            .with_execution_providers(providers)
            .map_err(|error| LoadError::Accelerator { name: accelerator.name(), reason: error.to_string() })
    }

    /// ONNX Runtime takes sizes for dimensions that a graph does not have, and says nothing.
    fn has_dimensions(&self) -> Result<(), LoadError> {
        if self.choice.dimensions.is_empty() {
            return Ok(());
        }
        let graph = Anatomy::read(self.file)?;
        let known = graph.skeleton.free_dimensions();
        match self.choice.dimensions.keys().find(|name| !known.contains(name.as_str())) {
            None => Ok(()),
            Some(name) => {
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                Err(graph.fault(format!("dimensions must be among those that it leaves free, {known}, got {name}")))
            }
        }
    }

    fn refused(&self, error: ort::Error) -> LoadError {
        LoadError::folder(self.file, format!("ONNX Runtime refuses it: {error}"))
    }
}

/// The exported graph with a timestep for every entry.
fn with_own_times(file: &Path) -> Result<Blueprint, LoadError> {
    let mut graph = Anatomy::read(file)?;
    graph.own_times();
    Ok(Blueprint::changed(graph.file, &mut graph.skeleton, Vec::new()))
}

/// Sizes and times of the files beside a graph: its weights are among them.
fn weights_of(file: &Path) -> std::io::Result<String> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut files: Vec<_> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|other| other.is_file() && other != file);
    files.sort();
    files.iter().map(|file| Ok(format!("{} {};", file.display(), cache::identity(file)?))).collect()
}

/// Tells on what the nodes run; where all of them have to run on the accelerator, others are a fault.
fn report(file: &Path, choice: &Choice, placement: &Placement, strict: bool) -> Result<(), LoadError> {
    let own = choice.accelerator;
    let elsewhere: usize = placement.iter().filter(|(provider, _)| !own.takes(provider)).map(|(_, nodes)| nodes).sum();
    let told: Vec<String> = placement.iter().map(|(provider, nodes)| format!("{nodes} on {provider}")).collect();
    if !told.is_empty() {
        tracing::info!(
            graph = part(file),
            accelerator = own.name(),
            elsewhere,
            nodes = told.join(", "),
            "graph placed"
        );
    }
    if elsewhere == 0 || !strict {
        return Ok(());
    }
    let reason = format!("all of {} must run on {}, got {}", file.display(), own.name(), told.join(", "));
    Err(LoadError::Accelerator { name: own.name(), reason })
}
