//! `[engine]`: what computes, and how.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::reader::{Reader, Section};
use crate::model::{Accelerator, Arena, Choice};

/// How graphs are run.
#[derive(Clone, Debug)]
pub struct Engine {
    /// ONNX Runtime's library; looked for if absent.
    pub library: Option<PathBuf>,
    /// What computes.
    pub accelerator: Choice,
    /// What computes some of the graphs instead, by the name of their folder.
    pub graphs: BTreeMap<String, Choice>,
    /// Whether every node of a graph has to run on its accelerator.
    pub strict: bool,
    /// Where optimised graphs and compiled engines are kept; nowhere if absent.
    pub cache: Option<PathBuf>,
    /// Threads of one pass on the CPU; all cores if absent.
    pub threads: Option<usize>,
    /// Jobs that may be at work at the same time and share the passes of the U-Net.
    pub jobs: u32,
    /// Whether pictures are checked by the safety checker of models that have one.
    pub safety: bool,
    /// Memory that loaded graphs may take together, in bytes; half of the machine's if absent.
    pub memory: Option<u64>,
}

impl Engine {
    /// Whether all graphs run on ONNX Runtime's own CPU kernels.
    pub fn is_cpu(&self) -> bool {
        self.graphs.values().chain([&self.accelerator]).all(|choice| choice.accelerator == Accelerator::Cpu)
    }
}

/// Folders of graphs, as exporters name them.
const GRAPHS: [&str; 8] = [
    "text_encoder",
    "text_encoder_2",
    "unet",
    "vae_encoder",
    "vae_decoder",
    "depth_estimator",
    "safety_checker",
    "classifier",
];

/// Where accelerators of single graphs stand.
const OF_GRAPHS: &str = "engine.graphs.*";

/// The settings that some accelerator knows.
const SETTINGS: [&str; 8] = ["device", "memory", "fp16", "cuda_graph", "dla", "arena", "compact", "options"];

pub(super) fn engine(reader: &mut Reader) -> Engine {
    let mut section = reader.section("engine");
    let accelerator = choice(&mut section, "accelerator", "engine.accelerator").unwrap_or_default();
    let mut of_graphs = section.inner("graphs", "engine.graphs");
    let graphs = GRAPHS.iter().filter_map(|&graph| Some((graph.to_owned(), choice(&mut of_graphs, graph, OF_GRAPHS)?)));
    let graphs = graphs.collect();
    of_graphs.finish(&[]);
    let threads = section.number("threads", 0, 0..=1024);
    let engine = Engine {
        library: section.path("library"),
        accelerator,
        graphs,
        strict: section.choice("require", &["some", "all"]) == "all",
        cache: section.path("cache"),
        threads: (threads > 0).then_some(threads),
        jobs: section.number("jobs", 1, 1..=64),
        safety: section.flag("safety", true),
        memory: section.bytes("memory"),
    };
    section.finish(&[]);
    engine
}

/// An accelerator by its name alone, or as a table with its settings.
fn choice(section: &mut Section<'_>, key: &str, path: &'static str) -> Option<Choice> {
    if !section.has_table(key) {
        let name = section.text(key)?;
        return find(&name).map_err(|message| section.fault(key, message)).ok().map(Choice::from);
    }
    let mut table = section.inner(key, path);
    let said = table.keys();
    let name = table.text("name").unwrap_or_default();
    let found = find(&name).map_err(|message| table.fault("name", message)).ok();
    let accelerator = found.unwrap_or_default();
    let choice = Choice {
        accelerator,
        device: table.word("device"),
        memory: table.bytes("memory"),
        fp16: table.flag("fp16", false),
        cuda_graph: table.flag("cuda_graph", false),
        dla: said.iter().any(|key| key == "dla").then(|| table.number("dla", 0, 0..=15)),
        arena: arena(&mut table, accelerator),
        compact: table.flag("compact", false),
        dimensions: if path == OF_GRAPHS { dimensions(&mut table) } else { BTreeMap::new() },
        options: table.words("options"),
    };
    for setting in said.iter().filter(|one| found.is_some() && SETTINGS.contains(&one.as_str())) {
        if !accelerator.settings().contains(&setting.as_str()) {
            table.fault(setting, format!("is no setting of {}", accelerator.name()));
        }
    }
    table.finish(&[]);
    found.map(|_| choice)
}

fn find(name: &str) -> Result<Accelerator, String> {
    Accelerator::find(name).ok_or_else(|| format!("must be one of {}, got {name:?}", Accelerator::names()))
}

/// Every graph has names of its own for its dimensions, so that these stand at a single graph.
fn dimensions(table: &mut Section<'_>) -> BTreeMap<String, u32> {
    let mut sizes = BTreeMap::new();
    for (name, size) in table.words("dimensions") {
        match size.parse().ok().filter(|size| *size > 0) {
            Some(size) => drop(sizes.insert(name, size)),
            None => table.fault("dimensions", format!("{name} must be a whole number from 1, got {size}")),
        }
    }
    sizes
}

fn arena(table: &mut Section<'_>, accelerator: Accelerator) -> Arena {
    let known: Vec<&str> = accelerator.arenas().iter().map(|arena| arena.name()).collect();
    let name = table.choice("arena", &known);
    Arena::ALL.into_iter().find(|arena| arena.name() == name).unwrap_or_default()
}
