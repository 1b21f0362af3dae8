//! What a model folder is and whether it is sound, told from its files alone: no graph is loaded.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::error::LoadError;
use super::folder::{Extra, Folder};
use super::memory;
use super::prepared::Prepared;
use super::tokenizer::Tokenizer;
use crate::board::size;
use crate::job::units::Size;
use crate::onnx::{Element, Place, Skeleton};

/// Every part that may be there.
const PARTS: [&str; 9] = [
    "text_encoder",
    "text_encoder_2",
    "unet",
    "vae_encoder",
    "vae_decoder",
    "taesd_decoder",
    "depth_estimator",
    "safety_checker",
    "classifier",
];

/// A model folder whose files are all there, as far as its JSON files and graphs tell.
#[derive(Clone, Debug)]
pub struct Survey {
    /// What its JSON files say.
    pub folder: Folder,
    /// The graphs that are loaded from it.
    pub graphs: Vec<GraphFacts>,
    /// Layers of the U-Net's way up that run in every step, if it was cut in two.
    pub cut: Option<usize>,
    /// The size that its U-Net was exported for, if it takes no other.
    pub fixed_size: Option<Size>,
    /// What most of its U-Net's weights are stored in, such as `fp16`.
    pub precision: Option<&'static str>,
}

/// A graph of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GraphFacts {
    /// Its file, such as `unet/model.onnx`.
    pub file: String,
    /// Bytes of its weights.
    pub bytes: u64,
    /// What most of them are stored in.
    pub precision: Option<&'static str>,
}

impl Survey {
    /// Looks at a folder. Fails if a file is missing or says what this version cannot work with, if a graph is none, or if its
    /// weights are not where it says; the error names the file.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let folder = Folder::open(path)?;
        for text in &folder.texts {
            Tokenizer::open(&path.join(text.tokenizer), text)?;
        }
        let prepared = Prepared::of(&folder.graph("unet"))?;
        let unet = graph(&folder.graph("unet"))?;
        let mut files = files(path);
        // Those that are not there are named by what fails to read them.
        files.extend(
            needed(&folder).into_iter().filter(|part| !folder.has(part)).map(|part| format!("{part}/model.onnx")),
        );
        let graphs: Result<_, LoadError> =
            files.into_iter().map(|file| Ok(facts(&file, &graph(&path.join(&file))?))).collect();
        Ok(Self {
            graphs: graphs?,
            cut: prepared.map(|prepared| prepared.layers),
            fixed_size: fixed_size(&unet, &folder),
            precision: unet.stored().and_then(Element::precision),
            folder,
        })
    }

    /// What the graphs ask of the memory.
    pub fn demand(&self) -> Demand {
        Demand::sum(self.graphs.iter().map(|graph| graph.bytes))
    }
}

/// Bytes of weights. A pass takes more, and what a processor makes of weights in 16 bits does too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Of all graphs.
    pub all: u64,
    /// Of the largest one: graphs can take turns, and this one has to fit.
    pub largest: u64,
}

impl Demand {
    /// What the graphs of a folder ask, as far as they can be read.
    pub fn of(path: &Path) -> Self {
        let graphs =
            files(path).into_iter().filter_map(|file| graph(&path.join(&file)).ok().map(|graph| facts(&file, &graph)));
        Self::sum(graphs.map(|graph| graph.bytes))
    }

    fn sum(bytes: impl Iterator<Item = u64>) -> Self {
        bytes.fold(Self { all: 0, largest: 0 }, |sum, bytes| Self {
            all: sum.all + bytes,
            largest: sum.largest.max(bytes),
        })
    }
}

/// What there is for graphs, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What they may take together.
    pub budget: u64,
    /// What one of them can take at most; not known where the machine does not tell.
    pub most: Option<u64>,
}

/// How the graphs of a model go into the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fitting {
    /// All stay loaded.
    Together,
    /// They take turns: each is loaded again for every picture.
    InTurns,
    /// The largest does not fit.
    Not,
}

impl Space {
    /// With `engine.memory` as configured.
    pub fn of(memory: Option<u64>) -> Self {
        let machine = memory::machine();
        let most = [memory, machine].into_iter().flatten().min();
        Self { budget: memory.unwrap_or_else(memory::half), most }
    }

    /// How a model's graphs go into it.
    pub fn takes(&self, demand: &Demand) -> Fitting {
        match demand {
            Demand { largest, .. } if self.most.is_some_and(|most| *largest > most) => Fitting::Not,
            Demand { all, .. } if *all > self.budget => Fitting::InTurns,
            _ => Fitting::Together,
        }
    }

    /// What is to be said of a model that does not fit.
    pub fn complaint(&self, demand: &Demand) -> Option<String> {
        let most = self.most.filter(|_| self.takes(demand) == Fitting::Not)?;
        Some(format!("its largest graph has {} of weights, and there are {} for it", size(demand.largest), size(most)))
    }
}

impl Fitting {
    /// Its name in what programs read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Together => "together",
            Self::InTurns => "in_turns",
            Self::Not => "no",
        }
    }
}

/// The graphs that are loaded from a folder, such as `unet/model.onnx`; of a U-Net that was cut in two, both halves.
fn files(path: &Path) -> Vec<String> {
    let has = |file: &String| path.join(file).is_file();
    let whole = PARTS.map(|part| format!("{part}/model.onnx")).into_iter().filter(has);
    let cut = has(&"unet/shallow.onnx".to_owned());
    whole
        .flat_map(|file| match cut && file.starts_with("unet/") {
            true => ["full", "shallow"].map(|half| format!("unet/{half}.onnx")).to_vec(),
            false => vec![file],
        })
        .collect()
}

/// The parts without which a model cannot work.
fn needed(folder: &Folder) -> Vec<&'static str> {
    let texts = folder.texts.iter().map(|text| text.encoder);
    let encoder = (folder.unet.extra == Extra::Inpaint).then_some("vae_encoder");
    texts.chain(["unet", "vae_decoder"]).chain(encoder).collect()
}

/// Reads a graph and sees that its weights lie inside of their files.
fn graph(path: &Path) -> Result<Skeleton, LoadError> {
    let fault = |file: &Path, error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => LoadError::folder(file, "the file is missing"),
        _ => LoadError::folder(file, error.to_string()),
    };
    let source = File::open(path).map_err(|error| fault(path, error))?;
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("model.onnx");
    let skeleton = Skeleton::read(&mut BufReader::new(source), name)
        .map_err(|error| LoadError::folder(path, error.to_string()))?;
    let mut lengths: BTreeMap<PathBuf, u64> = BTreeMap::new();
    for weight in skeleton.initializers() {
        let Place::File { location, offset, length } = &weight.place else { continue };
        let file = path.with_file_name(location);
        let has = match lengths.get(&file) {
            Some(known) => *known,
            None => fs::metadata(&file).map_err(|error| fault(&file, error))?.len(),
        };
        if offset.checked_add(*length).is_none_or(|end| end > has) {
            let reason = format!("{} must be the {length} bytes from {offset} on, but it ends at {has}", weight.name);
            return Err(LoadError::folder(file, reason));
        }
        lengths.insert(file, has);
    }
    Ok(skeleton)
}

fn facts(file: &str, graph: &Skeleton) -> GraphFacts {
    let bytes = graph.weight_bytes();
    GraphFacts { file: file.to_owned(), bytes, precision: graph.stored().and_then(Element::precision) }
}

fn fixed_size(unet: &Skeleton, folder: &Folder) -> Option<Size> {
    let pixels = |latents: usize| (latents as i64).saturating_mul(i64::from(folder.vae.downscale));
    match unet.input("sample")?[..] {
        [_, _, Some(height), Some(width)] => Size::new(pixels(width), pixels(height)).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Miniature, bundled};
    use super::*;

    #[test]
    fn the_bundled_model_is_told_from_its_files() {
        let survey = Survey::open(&bundled("shapes")).unwrap();
        let files: Vec<&str> = survey.graphs.iter().map(|graph| graph.file.as_str()).collect();
        let parts = ["text_encoder", "unet", "vae_encoder", "vae_decoder", "classifier"];
        assert_eq!(files, parts.map(|part| format!("{part}/model.onnx")));
        assert_eq!((survey.precision, survey.cut, survey.fixed_size), (Some("fp16"), None, None));
        let Demand { all, largest } = survey.demand();
        assert!(largest > 1 << 20 && largest < all && all < 1 << 24, "{all} {largest}");
        assert_eq!(Demand::of(&bundled("shapes")), survey.demand());
    }

    #[test]
    fn a_missing_graph_is_named_unless_the_model_can_do_without() {
        let fault = |model: Miniature| Survey::open(model.path()).unwrap_err().to_string();
        assert!(Survey::open(Miniature::new().path()).is_ok());
        for part in ["unet", "vae_decoder", "text_encoder"] {
            let file = format!("{part}/model.onnx");
            let message = fault(Miniature::new().without(&file));
            assert!(message.ends_with(&format!("{file}: the file is missing")), "{message}");
        }
        assert!(fault(Miniature::new().text("unet/model.onnx", "no graph")).contains("it must be an ONNX model"));
    }

    #[test]
    fn weights_that_end_too_early_or_are_gone_are_a_fault_of_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let (model, data) = (folder.path().join("model.onnx"), folder.path().join("weights.bin"));
        // The weights of a graph that has them within itself, as if they were in another file.
        fs::copy(bundled("shapes").join("unet/model.onnx"), &data).unwrap();
        let outside = Skeleton::read(&mut File::open(&data).unwrap(), "weights.bin").unwrap();
        fs::write(&model, outside.to_bytes()).unwrap();
        assert!(graph(&model).is_ok());
        File::options().write(true).open(&data).unwrap().set_len(1 << 20).unwrap();
        let message = graph(&model).unwrap_err().to_string();
        assert!(message.contains("weights.bin: ") && message.ends_with("but it ends at 1048576"), "{message}");
        fs::remove_file(&data).unwrap();
        assert!(graph(&model).unwrap_err().to_string().ends_with("weights.bin: the file is missing"));
    }

    #[test]
    fn graphs_stay_take_turns_or_do_not_fit() {
        let demand = Demand { all: 30, largest: 20 };
        let takes = |budget, most| Space { budget, most }.takes(&demand);
        assert_eq!(takes(30, Some(100)), Fitting::Together);
        assert_eq!(takes(29, Some(100)), Fitting::InTurns);
        assert_eq!(takes(29, Some(20)), Fitting::InTurns);
        assert_eq!(takes(29, Some(19)), Fitting::Not);
        assert_eq!(takes(1, None), Fitting::InTurns);
        assert_eq!(Space { budget: 29, most: Some(20) }.complaint(&demand), None);
        let complaint = Space { budget: 1, most: Some(19) }.complaint(&demand).unwrap();
        assert_eq!(complaint, "its largest graph has 20 B of weights, and there are 19 B for it");
        // A budget that was asked for is the most, also on a machine with more.
        assert_eq!(Space::of(Some(5)), Space { budget: 5, most: Some(5) });
        assert!(Space::of(None).most.is_some_and(|most| most / 2 == Space::of(None).budget));
    }
}
