//! One graph at work: it is fed what it declares, by name.
//!
//! Values go in and come out as f32, and take the declared element type here. This loses nothing: token ids are
//! below 2^24 and timesteps below 1000, which f32 holds exactly; truth values are 0 and 1.

mod bound;
mod open;
mod options;

use std::sync::Arc;
use std::time::Duration;

use ndarray::ArrayD;
use ort::session::RunOptions;
use ort::value::{Outlet, TensorElementType};

use self::bound::Bound;
pub use self::options::Options;
pub(super) use self::options::part;
use super::accelerator::{Home, Placement};

/// Shapes whose recorded passes are kept; further ones are not recorded.
const MOST_RECORDED: usize = 8;
/// Names a recording among those of a session; -1 is for none.
const RECORDING: &str = "gpu_graph_id";

/// A loaded graph.
pub(super) struct Session {
    /// Values of its passes: of the last shape, or of all recorded ones. Before the session, for it ends before it.
    bound: Vec<Bound>,
    session: ort::session::Session,
    home: Home,
    /// Whether passes are recorded and replayed.
    records: bool,
    /// On what its nodes run; empty if all run on the CPU, as asked.
    pub(super) placement: Placement,
}

/// Told with what a pass runs, just before it does.
pub(super) type Begin<'a> = &'a dyn Fn(RunOptions) -> Arc<RunOptions>;

impl Session {
    /// One pass: `feeds` by the names of the inputs, and the values of each of `wanted`, in that order. Also how long the
    /// graph itself ran, without the copies before and after.
    pub(super) fn run(
        &mut self,
        feeds: Vec<Feed>,
        wanted: &[String],
        begin: Begin<'_>,
    ) -> ort::Result<(Vec<ArrayD<f32>>, Duration)> {
        let index = self.bind(&feeds, wanted)?;
        let mut options = RunOptions::new()?;
        if self.records {
            let recording = if index < MOST_RECORDED { index.to_string() } else { "-1".to_owned() };
            options.set(RECORDING, recording)?;
        }
        self.bound[index].run(&mut self.session, feeds, &begin(options))
    }

    /// Where there is memory for such a pass.
    fn bind(&mut self, feeds: &[Feed], wanted: &[String]) -> ort::Result<usize> {
        if let Some(index) = self.bound.iter().position(|bound| bound.fits(feeds, wanted)) {
            return Ok(index);
        }
        // A recording holds the addresses of its values.
        let kept = if self.records { self.bound.len().min(MOST_RECORDED) } else { 0 };
        self.bound.truncate(kept);
        self.bound.push(Bound::new(&self.session, self.home, feeds, wanted)?);
        Ok(kept)
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
