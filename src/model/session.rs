//! One graph at work: it is fed what it declares, by name.
//!
//! Values go in and come out as f32, and take the declared element type here. This loses nothing: token ids are
//! below 2^24 and timesteps below 1000, which f32 holds exactly; truth values are 0 and 1.

use std::path::Path;

use half::f16;
use ndarray::ArrayD;
use ort::session::{RunOptions, SessionInputValue};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType};

use super::accelerator::Accelerator;
use super::blueprint::Blueprint;
use super::error::LoadError;
use super::library::Runtime;

/// How sessions are made and used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What the graphs run on.
    pub accelerator: Accelerator,
    /// Threads of one pass; ONNX Runtime's choice (one a core) if absent.
    pub threads: Option<usize>,
    /// How much a pass of the U-Net may hold, in latents of one channel; by the accelerator if absent. What is more runs
    /// in several passes, with the same results.
    pub room: Option<usize>,
    /// Memory that loaded text encoders and U-Nets may take together, in bytes; half of the machine's if absent.
    pub memory: Option<u64>,
}

/// Latents of a picture of 512x512 pixels.
const PICTURE: usize = 64 * 64;

impl Options {
    /// How much a pass of the U-Net may hold, in latents of one channel.
    ///
    /// Accelerators are faster with large batches. On the processor those only take more memory, but many small pictures
    /// together save time.
    pub(super) fn room(&self) -> usize {
        self.room.unwrap_or(match self.accelerator {
            Accelerator::Cpu => PICTURE,
            Accelerator::Cuda | Accelerator::TensorRt => 8 * PICTURE,
        })
    }
}

/// Where the weights of a graph are that comes from memory (ONNX Runtime 1.18 and later).
const WEIGHTS_FOLDER: &str = "session.model_external_initializers_file_folder_path";

fn folder_of(file: &Path) -> String {
    file.parent().unwrap_or(Path::new(".")).to_string_lossy().into_owned()
}

/// A loaded graph.
pub(super) struct Session(ort::session::Session);

impl Session {
    /// Loads a graph and says what it declares.
    pub(super) fn open(runtime: &Runtime, graph: Blueprint, options: Options) -> Result<(Self, Ports), LoadError> {
        let file = graph.file.as_path();
        if !file.is_file() {
            return Err(LoadError::folder(file, "the file is missing"));
        }
        let refused = |error: ort::Error| LoadError::folder(file, format!("ONNX Runtime refuses it: {error}"));
        let accelerator = options.accelerator;
        let builder = ort::session::Session::builder(runtime.environment())
            .and_then(|builder| Ok(builder.with_intra_threads(options.threads.unwrap_or(0))?))
            // Threads that spin between passes would take the processor from everybody else.
            .and_then(|builder| Ok(builder.with_intra_op_spinning(false)?))
            .map_err(|error| LoadError::Runtime { reason: error.to_string() })?;
        let mut builder = builder
            .with_execution_providers(accelerator.providers())
            .map_err(|error| LoadError::Accelerator { name: accelerator.name(), reason: error.to_string() })?;
        for weight in graph.weights {
            let name = weight.name.clone();
            let value = weight.into_value().map_err(refused)?;
            builder = builder.with_external_initializer(name, value).map_err(|error| refused(error.into()))?;
        }
        let session = match &graph.edited {
            None => builder.commit_from_file(file),
            Some(bytes) => builder
                .with_config_entry(WEIGHTS_FOLDER, folder_of(file))
                .map_err(|error| refused(error.into()))?
                .commit_from_memory(bytes),
        };
        let session = session.map_err(refused)?;
        let ports = Ports::of(&session).map_err(|reason| LoadError::folder(file, reason))?;
        Ok((Self(session), ports))
    }

    /// One pass: `feeds` by the names of the inputs, and the values of each of `wanted`, in that order.
    pub(super) fn run(
        &mut self,
        feeds: Vec<Feed>,
        wanted: &[String],
        options: &RunOptions,
    ) -> ort::Result<Vec<ArrayD<f32>>> {
        let inputs = feeds.into_iter().map(|feed| {
            let value = cast(feed.value, feed.port.element)?;
            Ok((feed.port.name, SessionInputValue::from(value)))
        });
        let outputs = self.0.run_with_options(inputs.collect::<ort::Result<Vec<_>>>()?, options)?;
        let value = |name: &String| {
            floats(outputs.get(name).ok_or_else(|| ort::Error::new(format!("there is no output {name}")))?)
        };
        wanted.iter().map(value).collect()
    }
}

/// A value for an input.
pub(super) struct Feed {
    pub(super) port: Port,
    pub(super) value: ArrayD<f32>,
}

/// An input or output, as the graph declares it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Port {
    pub(super) name: String,
    /// Sizes; `None` where the graph leaves them free.
    pub(super) shape: Vec<Option<usize>>,
    element: TensorElementType,
}

impl Port {
    fn of(outlet: &Outlet) -> Result<Self, String> {
        let (name, kind) = (outlet.name().to_owned(), outlet.dtype());
        let (Some(element), Some(shape)) = (kind.tensor_type(), kind.tensor_shape()) else {
            return Err(format!("{name} must be a tensor, got {kind}"));
        };
        Ok(Self { name, element, shape: shape.iter().map(|&size| usize::try_from(size).ok()).collect() })
    }

    /// The size of the first dimension, if the graph fixes it.
    pub(super) fn batch(&self) -> Option<usize> {
        self.shape.first().copied().flatten()
    }
}

/// All that a graph declares.
#[derive(Clone, Debug)]
pub(super) struct Ports {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl Ports {
    fn of(session: &ort::session::Session) -> Result<Self, String> {
        let ports = |outlets: &[Outlet]| outlets.iter().map(Port::of).collect::<Result<Vec<_>, _>>();
        Ok(Self { inputs: ports(session.inputs())?, outputs: ports(session.outputs())? })
    }

    /// The input that carries one of `names`, else the only one with a rank out of `ranks`.
    pub(super) fn input(&self, names: &[&str], ranks: &[usize]) -> Result<&Port, String> {
        feedable(pick(&self.inputs, "input", names, ranks)?)
    }

    /// The input of exactly that name and rank, if there is one of that name.
    pub(super) fn input_named(&self, name: &str, rank: usize) -> Result<Option<&Port>, String> {
        let Some(port) = self.inputs.iter().find(|port| port.name == name) else { return Ok(None) };
        match port.shape.len() {
            got if got == rank => feedable(port).map(Some),
            got => Err(format!("the input {name} must have the rank {rank}, got {got}")),
        }
    }

    /// The output that carries one of `names`, else the only one with a rank out of `ranks`.
    pub(super) fn output(&self, names: &[&str], ranks: &[usize]) -> Result<&Port, String> {
        readable(pick(&self.outputs, "output", names, ranks)?)
    }

    /// The output of exactly that name and rank.
    pub(super) fn output_named(&self, name: &str, rank: usize) -> Result<&Port, String> {
        let port = self.outputs.iter().find(|port| port.name == name && port.shape.len() == rank);
        port.ok_or_else(|| missing("output", name, &[rank], &self.outputs)).and_then(readable)
    }

    /// The output of truth values that carries one of `names`, else the only one with a rank out of `ranks`.
    pub(super) fn flags(&self, names: &[&str], ranks: &[usize]) -> Result<&Port, String> {
        let port = pick(&self.outputs, "output", names, ranks)?;
        match port.element {
            TensorElementType::Bool => Ok(port),
            other => Err(format!("output {} must be of type bool, got {other}", port.name)),
        }
    }

    /// Fails if the graph wants more inputs than `known`.
    pub(super) fn only(&self, known: &[&Port]) -> Result<(), String> {
        match self.inputs.iter().find(|port| !known.contains(port)) {
            Some(port) => Err(format!("this version cannot feed the input {}", port.name)),
            None => Ok(()),
        }
    }
}

fn pick<'a>(ports: &'a [Port], kind: &str, names: &[&str], ranks: &[usize]) -> Result<&'a Port, String> {
    let fits = |port: &&Port| ranks.contains(&port.shape.len());
    if let Some(port) = ports.iter().filter(fits).find(|port| names.contains(&port.name.as_str())) {
        return Ok(port);
    }
    let mut others = ports.iter().filter(fits);
    if let (Some(port), None) = (others.next(), others.next()) {
        return Ok(port);
    }
    Err(missing(kind, &names.join(" or "), ranks, ports))
}

fn missing(kind: &str, name: &str, ranks: &[usize], ports: &[Port]) -> String {
    let have: Vec<String> = ports.iter().map(|port| format!("{} of rank {}", port.name, port.shape.len())).collect();
    format!("the graph must have an {kind} {name} of rank {ranks:?}, got {}", have.join(", "))
}

fn feedable(port: &Port) -> Result<&Port, String> {
    match port.element {
        TensorElementType::Float32
        | TensorElementType::Float16
        | TensorElementType::Float64
        | TensorElementType::Int32
        | TensorElementType::Int64 => Ok(port),
        other => Err(format!("input {} of type {other} cannot be fed", port.name)),
    }
}

fn readable(port: &Port) -> Result<&Port, String> {
    match port.element {
        TensorElementType::Float32 | TensorElementType::Float16 => Ok(port),
        other => Err(format!("output {} must be of type f32 or f16, got {other}", port.name)),
    }
}

/// Timesteps between whole ones are cut off for graphs that take whole ones only, as diffusers' pipelines do.
fn cast(value: ArrayD<f32>, element: TensorElementType) -> ort::Result<DynValue> {
    Ok(match element {
        TensorElementType::Float32 => Tensor::from_array(value)?.into_dyn(),
        TensorElementType::Float16 => Tensor::from_array(value.mapv(f16::from_f32))?.into_dyn(),
        TensorElementType::Float64 => Tensor::from_array(value.mapv(f64::from))?.into_dyn(),
        TensorElementType::Int32 => Tensor::from_array(value.mapv(|number| number as i32))?.into_dyn(),
        _ => Tensor::from_array(value.mapv(|number| number as i64))?.into_dyn(),
    })
}

fn floats(value: &DynValue) -> ort::Result<ArrayD<f32>> {
    match value.dtype().tensor_type() {
        Some(TensorElementType::Float16) => Ok(value.try_extract_array::<f16>()?.mapv(f16::to_f32)),
        Some(TensorElementType::Bool) => Ok(value.try_extract_array::<bool>()?.mapv(|flag| f32::from(u8::from(flag)))),
        _ => Ok(value.try_extract_array::<f32>()?.to_owned()),
    }
}
