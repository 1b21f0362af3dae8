//! Graphs to be filled: where each weight of each part is to stand.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::ImportError;
use crate::onnx::{Element, Layout, Modules, Place, Skeleton};
use crate::weights::names::Part;

/// The parts that are filled, by the folder of their graph.
pub(super) const PARTS: [(&str, Part); 5] = [
    ("unet", Part::Unet),
    ("text_encoder", Part::Text(0)),
    ("text_encoder_2", Part::Text(1)),
    ("vae_encoder", Part::Vae),
    ("vae_decoder", Part::Vae),
];

/// How a graph stores floating point numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Float {
    F32,
    F16,
}

impl Float {
    /// Bytes of one number.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
        }
    }
}

/// A weight's place in the new folder.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) part: Part,
    /// The parameter, as diffusers names it.
    pub(super) name: String,
    /// The parameter's shape in torch.
    pub(super) shape: Vec<usize>,
    /// Whether rows and columns are exchanged.
    pub(super) transposed: bool,
    pub(super) float: Float,
    /// The file, relative to the folder of the model.
    pub(super) file: PathBuf,
    /// The first byte in it.
    pub(super) offset: u64,
}

impl Slot {
    /// How many bytes it takes.
    pub(super) fn length(&self) -> u64 {
        self.shape.iter().map(|&side| side as u64).product::<u64>() * self.float.size()
    }
}

/// Where the weights of one graph stand. `graph` is for errors; the graph lies in the folder `part`.
pub(super) fn slots(skeleton: &Skeleton, graph: &Path, folder: &str, part: Part) -> Result<Vec<Slot>, ImportError> {
    let modules = Modules::of(skeleton);
    let mut slots = Vec::new();
    let mut known = BTreeSet::new();
    for (module, parameter, weight) in modules.iter() {
        let name = format!("{module}.{parameter}");
        let unfit = |reason: &str| ImportError::unfit(graph, format!("its weight {name} {reason}"));
        if let Some(quantised) = &weight.quantised {
            return Err(unfit(&format!("must be of 16 or 32 bits, got integers with the scale {}", quantised.scale)));
        }
        let initializer =
            skeleton.initializer(&weight.initializer).ok_or_else(|| unfit("must be an initializer, got a node"))?;
        let float = match initializer.element {
            Element::F32 => Float::F32,
            Element::F16 => Float::F16,
            other => return Err(unfit(&format!("must be of 16 or 32 bits, got {other:?}"))),
        };
        let Place::File { location, offset, .. } = &initializer.place else {
            return Err(unfit("is stored in a way that cannot be replaced"));
        };
        known.insert(initializer.name.as_str());
        let transposed = weight.layout == Layout::Transposed;
        let (file, offset, shape) = (Path::new(folder).join(location), *offset, weight.shape.clone());
        slots.push(Slot { part, name, shape, transposed, float, file, offset });
    }
    match stranger(skeleton, &known) {
        Some(name) => Err(ImportError::unfit(
            graph,
            format!("its weight {name} is none of a known module, as after an optimiser"),
        )),
        None if slots.is_empty() => Err(ImportError::unfit(graph, "it must have weights, got none of a known module")),
        None => Ok(slots),
    }
}

/// A tensor that looks like a weight but belongs to no known module: it would stay what it is, and the picture be wrong.
///
/// Constants of a graph are scales, shapes and frequencies: a row at most, and not longer than the width of a layer.
fn stranger<'a>(skeleton: &'a Skeleton, known: &BTreeSet<&str>) -> Option<&'a str> {
    let large = |shape: &[usize]| shape.iter().filter(|&&side| side > 1).count() > 1;
    let unknown = |name: &str| !known.contains(name);
    let mut strangers = skeleton.initializers().iter().filter(|tensor| {
        let weight = tensor.element.is_float() || matches!(tensor.element, Element::I8 | Element::U8);
        weight && large(&tensor.shape) && unknown(&tensor.name)
    });
    strangers.next().map(|tensor| tensor.name.as_str())
}
