//! Weights and other constants that stand beside the nodes.

use prost::Message;

use super::super::Element;
use super::super::messages::{Entry, Tensor};
use super::Malformed;
use super::wire;

/// A constant tensor of a graph.
#[derive(Clone, Debug)]
pub struct Initializer {
    /// The value's name in the graph.
    pub name: String,
    /// The type of its elements.
    pub element: Element,
    /// Its shape; the last dimension lies closest together.
    pub shape: Vec<usize>,
    /// Where its values are.
    pub place: Place,
    raw: Raw,
}

/// Where values are; they lie there one after the other, little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the graph.
    Inline(Vec<u8>),
    /// In a file.
    File {
        /// Its name relative to the model's folder.
        location: String,
        /// The first byte.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
}

/// A tensor as it is written.
#[derive(Clone, Debug)]
enum Raw {
    Whole(Vec<u8>),
    /// All but the values, which follow and are large in new ones.
    BeforeValues(Vec<u8>),
}

impl Initializer {
    /// A new one with its values in the graph.
    pub(in super::super) fn inline(name: &str, element: Element, shape: &[usize], values: Vec<u8>) -> Self {
        let mut raw = kind(name, element, shape).encode_to_vec();
        raw.extend(wire::head(9, values.len()));
        let place = Place::Inline(values);
        Self { name: name.to_owned(), element, shape: shape.to_vec(), place, raw: Raw::BeforeValues(raw) }
    }

    /// The same tensor under another name.
    pub(in super::super) fn named(&self, name: &str) -> Self {
        match &self.place {
            Place::Inline(values) => Self::inline(name, self.element, &self.shape, values.clone()),
            Place::File { location, offset, length } => {
                let mut tensor = kind(name, self.element, &self.shape);
                refer(&mut tensor, location, *offset, *length);
                Self { name: name.to_owned(), raw: Raw::Whole(tensor.encode_to_vec()), ..self.clone() }
            }
        }
    }

    /// The same tensor with so many rows, of which only the first are where its values are said to be; one whose values are
    /// in the graph stays as it is.
    pub(in super::super) fn with_rows(&self, rows: usize) -> Self {
        let mut grown = self.clone();
        if let (Some(first), Place::File { .. }) = (grown.shape.first_mut(), &self.place) {
            *first = rows;
        }
        if let (Some(size), Place::File { length, .. }) = (grown.size(), &mut grown.place) {
            *length = size;
        }
        grown.named(&self.name)
    }

    /// The bytes that its values take, or nothing if its type has no fixed size.
    pub fn size(&self) -> Option<u64> {
        let elements = self.shape.iter().try_fold(1_u64, |product, &size| product.checked_mul(size as u64))?;
        self.element.bytes(elements)
    }

    /// The tensor as it is written, in two pieces.
    pub(super) fn raw(&self) -> (&[u8], &[u8]) {
        match (&self.raw, &self.place) {
            (Raw::BeforeValues(raw), Place::Inline(values)) => (raw, values),
            (Raw::BeforeValues(raw) | Raw::Whole(raw), _) => (raw, &[]),
        }
    }

    /// A tensor as it stands in the file.
    pub(super) fn decode(raw: Vec<u8>) -> Result<Self, Malformed> {
        let tensor = Tensor::decode(raw.as_slice()).map_err(|error| Malformed(error.to_string()))?;
        let mut this = Self::without_place(&tensor, raw)?;
        this.place = if tensor.location == 1 { file(&tensor, this.size())? } else { Place::Inline(values(&tensor)) };
        this.checked()
    }

    /// The same for one whose values, `length` bytes at `offset`, were stepped over.
    pub(super) fn left_behind(mut raw: Vec<u8>, location: &str, offset: u64, length: u64) -> Result<Self, Malformed> {
        let tensor = Tensor::decode(raw.as_slice()).map_err(|error| Malformed(error.to_string()))?;
        let mut reference = Tensor::default();
        refer(&mut reference, location, offset, length);
        raw.extend(reference.encode_to_vec());
        let place = Place::File { location: location.to_owned(), offset, length };
        Self { place, ..Self::without_place(&tensor, raw)? }.checked()
    }

    fn without_place(tensor: &Tensor, raw: Vec<u8>) -> Result<Self, Malformed> {
        let shape: Option<Vec<usize>> = tensor.sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
        let shape =
            shape.ok_or_else(|| Malformed(format!("{} cannot have the shape {:?}", tensor.name, tensor.sizes)))?;
        let element = Element::of(tensor.element);
        Ok(Self { name: tensor.name.clone(), element, shape, place: Place::Inline(Vec::new()), raw: Raw::Whole(raw) })
    }

    /// Values of another size than the shape's would be read past their end, or be those of another tensor.
    fn checked(self) -> Result<Self, Malformed> {
        let got = match &self.place {
            Place::Inline(values) => values.len() as u64,
            Place::File { length, .. } => *length,
        };
        match self.size() {
            None if matches!(self.element, Element::Other(_)) => Ok(self),
            Some(size) if size == got => Ok(self),
            Some(size) => Err(Malformed(format!("{} must have {size} bytes of values, got {got}", self.name))),
            None => Err(Malformed(format!("{} cannot have the shape {:?}", self.name, self.shape))),
        }
    }
}

fn kind(name: &str, element: Element, shape: &[usize]) -> Tensor {
    let sizes = shape.iter().map(|&size| size as i64).collect();
    Tensor { name: name.to_owned(), element: element.code(), sizes, ..Tensor::default() }
}

fn refer(tensor: &mut Tensor, location: &str, offset: u64, length: u64) {
    let entry = |key: &str, value: String| Entry { key: key.to_owned(), value };
    tensor.external = vec![
        entry("location", location.to_owned()),
        entry("offset", offset.to_string()),
        entry("length", length.to_string()),
    ];
    tensor.location = 1;
}

/// The place in another file that a tensor names.
fn file(tensor: &Tensor, size: Option<u64>) -> Result<Place, Malformed> {
    let said = |key: &str| tensor.external.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
    let number = |key: &str| match said(key).map(str::parse::<u64>) {
        Some(Ok(number)) => Ok(Some(number)),
        None => Ok(None),
        Some(Err(_)) => Err(Malformed(format!("{} names no {key} in its file", tensor.name))),
    };
    let location = said("location").unwrap_or_default();
    let steps_out = location.split(['/', '\\']).any(|step| step == "..");
    if location.is_empty() || location.starts_with(['/', '\\']) || location.contains(':') || steps_out {
        return Err(Malformed(format!("{} must be in a file of the model's folder, got {location:?}", tensor.name)));
    }
    let length = number("length")?.or(size);
    let length = length.ok_or_else(|| Malformed(format!("{} does not say how long it is", tensor.name)))?;
    Ok(Place::File { location: location.to_owned(), offset: number("offset")?.unwrap_or(0), length })
}

/// The values that stand in a tensor, in whichever of its fields.
fn values(tensor: &Tensor) -> Vec<u8> {
    if !tensor.raw.is_empty() {
        return tensor.raw.clone();
    }
    let integers = |bytes: usize| tensor.integers.iter().flat_map(move |value| value.to_le_bytes()[..bytes].to_vec());
    match Element::of(tensor.element) {
        Element::F32 => tensor.floats.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Element::F64 => tensor.doubles.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Element::I64 => tensor.longs.iter().flat_map(|value| value.to_le_bytes()).collect(),
        Element::I32 => integers(4).collect(),
        Element::F16 | Element::Bf16 => integers(2).collect(),
        Element::I8 | Element::U8 | Element::Bool | Element::I4 | Element::U4 => integers(1).collect(),
        Element::Other(_) => Vec::new(),
    }
}
