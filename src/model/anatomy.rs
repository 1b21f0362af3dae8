//! A graph read as data: where its weights are, and what they are called in torch.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use half::f16;
use ndarray::{ArrayD, Axis, IxDyn};

use super::blueprint::{Values, Weight};
use super::error::LoadError;
use super::quantised;
use crate::onnx::{self, Element, Initializer, Layout, Modules, Place, Skeleton};
use crate::weights::Dtype;

/// A graph read as data. Its weights stay in their files.
#[derive(Clone, Debug)]
pub(super) struct Anatomy {
    pub(super) file: PathBuf,
    pub(super) skeleton: Skeleton,
    pub(super) modules: Modules,
}

impl Anatomy {
    /// Reads a graph's structure.
    ///
    /// A link is followed where the graph has all its weights in itself: ONNX Runtime does not follow links from an edited
    /// graph to its weights, and caches of models are full of links.
    pub(super) fn read(file: &Path) -> Result<Self, LoadError> {
        match file.canonicalize() {
            Ok(real) if real.file_name() != file.file_name() => {
                let graph = Self::at(&real)?;
                if graph.is_whole() { Ok(graph) } else { Self::at(file) }
            }
            _ => Self::at(file),
        }
    }

    /// Whether no weight is in another file.
    fn is_whole(&self) -> bool {
        let own = self.file.file_name().and_then(|name| name.to_str());
        self.skeleton.initializers().iter().all(|initializer| match &initializer.place {
            Place::Inline(_) => true,
            Place::File { location, .. } => Some(location.as_str()) == own,
        })
    }

    fn at(file: &Path) -> Result<Self, LoadError> {
        let fault = |reason: String| LoadError::folder(file, reason);
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or("model.onnx");
        let source = File::open(file).map_err(|error| fault(error.to_string()))?;
        let skeleton = Skeleton::read(&mut BufReader::new(source), name).map_err(|error| fault(error.to_string()))?;
        Ok(Self { file: file.to_owned(), modules: Modules::of(&skeleton), skeleton })
    }

    /// The names of its modules as torch has them, such as `down_blocks.0.attentions.0.proj_in`.
    pub(super) fn modules(&self) -> Vec<&str> {
        self.modules.paths().collect()
    }

    /// Gives every parameter a weight of its own.
    pub(super) fn unshare(&mut self) {
        if onnx::edit::unshare(&mut self.skeleton) > 0 {
            self.modules = Modules::of(&self.skeleton);
        }
    }

    /// Gives every entry of a U-Net's batch a timestep of its own. One that cannot be changed so stays as it is, and may have
    /// it already.
    pub(super) fn own_times(&mut self) {
        let name = ["timestep", "t"].into_iter().find(|name| self.skeleton.input(name).is_some());
        if let Some(Err(unfit)) = name.map(|name| onnx::edit::own_times(&mut self.skeleton, name)) {
            tracing::debug!(file = %self.file.display(), %unfit, "one timestep for all entries");
        }
    }

    /// Bytes of all its weights.
    pub(super) fn bytes(&self) -> u64 {
        self.skeleton.weight_bytes()
    }

    /// A weight as torch has it.
    pub(super) fn weight(&self, weight: &onnx::Weight) -> Result<ArrayD<f32>, LoadError> {
        let stored = match &weight.quantised {
            Some(scheme) => quantised::read(self, &weight.initializer, scheme)?,
            None => self.floats(&weight.initializer)?,
        };
        let torch = match weight.layout {
            Layout::Plain => stored,
            Layout::Transposed => stored.reversed_axes(),
            Layout::Reshaped => reshaped(stored, &weight.shape).map_err(|reason| self.fault(reason))?,
        };
        match torch.shape() == weight.shape {
            true => Ok(torch),
            false => {
                Err(self.fault(format!("{} must be {:?}, got {:?}", weight.initializer, weight.shape, torch.shape())))
            }
        }
    }

    /// What takes the place of a weight in the graph; `torch` is as torch has it.
    pub(super) fn replaced(&self, weight: &onnx::Weight, torch: ArrayD<f32>) -> Result<Vec<Weight>, LoadError> {
        let initializer = self.initializer(&weight.initializer)?;
        let stored = match weight.layout {
            Layout::Plain => torch,
            Layout::Transposed => in_order(torch.reversed_axes()),
            Layout::Reshaped => reshaped(torch, &initializer.shape).map_err(|reason| self.fault(reason))?,
        };
        if let Some(scheme) = &weight.quantised {
            return quantised::written(self, initializer, scheme, &stored);
        }
        let values = in_type(stored, initializer.element).map_err(|reason| self.fault(reason))?;
        Ok(vec![self.in_place(initializer, values)])
    }

    /// Values for an initializer.
    pub(super) fn in_place(&self, initializer: &Initializer, values: Values) -> Weight {
        Weight { name: initializer.name.clone(), values, inside: matches!(initializer.place, Place::Inline(_)) }
    }

    /// The table of token embeddings of a text encoder.
    pub(super) fn token_table(&self) -> Option<&onnx::Weight> {
        ["text_model.embeddings.token_embedding", "embeddings.token_embedding", "token_embedding"]
            .iter()
            .find_map(|module| self.modules.get(module, "weight"))
    }

    /// Rows and width of the token table, if more rows can be given to it.
    pub(super) fn growing_table(&self) -> Result<(usize, usize), String> {
        let table = self.token_table().ok_or("the text encoder has no table of token embeddings")?;
        let element = self.skeleton.initializer(&table.initializer).map(|initializer| initializer.element);
        if !matches!(element, Some(Element::F32 | Element::F16)) {
            return Err(
                "the text encoder's table of token embeddings has 8-bit weights, no rows can be added".to_owned()
            );
        }
        onnx::edit::own_ids(&mut self.skeleton.clone(), &table.initializer).map_err(|unfit| unfit.to_string())?;
        match table.shape[..] {
            [rows, width] => Ok((rows, width)),
            _ => Err(format!("the table of token embeddings must have two dimensions, got {:?}", table.shape)),
        }
    }

    /// The token table with more rows, and an input of ids for it alone, whose name is given too.
    pub(super) fn grown(
        &mut self,
        more: impl FnOnce(ArrayD<f32>) -> Result<ArrayD<f32>, String>,
    ) -> Result<(String, Weight), LoadError> {
        let table = self.token_table().cloned();
        let table = table.ok_or_else(|| self.fault("the graph must have a table of token embeddings".to_owned()))?;
        let rows = more(self.weight(&table)?).map_err(|reason| self.fault(reason))?;
        let input = onnx::edit::own_ids(&mut self.skeleton, &table.initializer)
            .map_err(|unfit| self.fault(unfit.to_string()))?;
        onnx::edit::grow(&mut self.skeleton, &table.initializer, rows.len_of(Axis(0)))
            .map_err(|unfit| self.fault(unfit.to_string()))?;
        let initializer = self.initializer(&table.initializer)?;
        let values = in_type(rows, initializer.element).map_err(|reason| self.fault(reason))?;
        Ok((input, self.in_place(initializer, values)))
    }

    /// The values of an initializer of floats.
    pub(super) fn floats(&self, name: &str) -> Result<ArrayD<f32>, LoadError> {
        let (initializer, bytes) = self.stored(name)?;
        let dtype = match initializer.element {
            Element::F32 => Some(Dtype::F32),
            Element::F16 => Some(Dtype::F16),
            Element::Bf16 => Some(Dtype::Bf16),
            Element::F64 => Some(Dtype::F64),
            _ => None,
        };
        let integers = || self.fault(format!("{name} must hold floating point numbers, got {:?}", initializer.element));
        let values = dtype.and_then(|dtype| dtype.floats(&bytes)).ok_or_else(integers)?;
        ArrayD::from_shape_vec(IxDyn(&initializer.shape), values)
            .map_err(|error| self.fault(format!("{name}: {error}")))
    }

    /// An initializer and its values as bytes.
    pub(super) fn stored(&self, name: &str) -> Result<(&Initializer, Vec<u8>), LoadError> {
        let initializer = self.initializer(name)?;
        let bytes = match &initializer.place {
            Place::Inline(bytes) => bytes.clone(),
            Place::File { location, offset, length } => self.outside(location, *offset, *length)?,
        };
        Ok((initializer, bytes))
    }

    fn outside(&self, location: &str, offset: u64, length: u64) -> Result<Vec<u8>, LoadError> {
        let path = self.file.with_file_name(location);
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            // Not reserved at once: the length is the file's own word.
            let mut bytes = Vec::new();
            file.take(length).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error: std::io::Error| LoadError::folder(&path, error.to_string()))?;
        match bytes.len() as u64 == length {
            true => Ok(bytes),
            false => Err(LoadError::folder(&path, format!("it must have {length} bytes from {offset} on"))),
        }
    }

    pub(super) fn initializer(&self, name: &str) -> Result<&Initializer, LoadError> {
        self.skeleton.initializer(name).ok_or_else(|| self.fault(format!("the graph has no weight {name}")))
    }

    pub(super) fn fault(&self, reason: String) -> LoadError {
        LoadError::folder(&self.file, reason)
    }
}

/// The same values as they lie in files; what lies so already is not copied.
fn in_order(values: ArrayD<f32>) -> ArrayD<f32> {
    match values.is_standard_layout() {
        true => values,
        false => values.as_standard_layout().into_owned(),
    }
}

fn reshaped(values: ArrayD<f32>, shape: &[usize]) -> Result<ArrayD<f32>, String> {
    let from = values.shape().to_vec();
    in_order(values).into_shape_with_order(IxDyn(shape)).map_err(|_| format!("a weight of {from:?} must be {shape:?}"))
}

/// Values in the type that the graph has for them.
pub(super) fn in_type(values: ArrayD<f32>, element: Element) -> Result<Values, String> {
    match element {
        Element::F32 => Ok(Values::F32(values)),
        Element::F16 => Ok(Values::F16(values.mapv(f16::from_f32))),
        other => Err(format!("weights of the type {other:?} cannot be changed")),
    }
}
