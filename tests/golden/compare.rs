//! How near two runs are.

use std::collections::BTreeMap;

/// The values of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Token ids.
    Ids(Vec<i64>),
    /// Everything else.
    Numbers(Vec<f32>),
}

/// What is kept of a run: tensors by the names of a trace, and the pictures as RGB.
#[derive(Clone, Debug, Default)]
pub struct Run {
    pub tensors: BTreeMap<String, Values>,
    pub pictures: Vec<Vec<u8>>,
}

/// How far two runs may be apart. Token ids and noise must be equal.
#[derive(Clone, Copy, Debug)]
pub struct Tolerance {
    /// Of each tensor: largest difference, as a share of its largest value.
    pub tensors: f32,
    /// Of a byte of a picture, ...
    pub usual_byte: u8,
    /// ... for all bytes but this share, ...
    pub unusual: f32,
    /// ... which may differ by this.
    pub worst_byte: u8,
}

/// Graphs in 32-bit floats: torch and ONNX Runtime add up numbers in another order.
pub const FLOAT32: Tolerance = Tolerance { tensors: 1e-4, usual_byte: 1, unusual: 1e-3, worst_byte: 3 };

impl Tolerance {
    /// Where `ours` departs from the reference: whatever that has must be there and near enough.
    pub fn faults(&self, ours: &Run, theirs: &Run) -> Vec<String> {
        let tensors = theirs.tensors.iter().filter_map(|(name, wanted)| {
            let fault = match (ours.tensors.get(name), wanted) {
                (None, _) => "is missing".to_owned(),
                (Some(Values::Numbers(found)), Values::Numbers(wanted)) => self.apart(name, found, wanted)?,
                (Some(found), wanted) if found == wanted => return None,
                (Some(found), wanted) => format!("is {found:?}, expected {wanted:?}"),
            };
            Some(format!("{name} {fault}"))
        });
        tensors.chain(self.pictures_apart(&ours.pictures, &theirs.pictures)).collect()
    }

    fn apart(&self, name: &str, ours: &[f32], theirs: &[f32]) -> Option<String> {
        let (gap, allowed) = (difference(ours, theirs), if name.ends_with(".noise") { 0.0 } else { self.tensors });
        // The model cannot tell apart what is less than one timestep.
        let least = if name.ends_with(".timestep") { 1.0 } else { 0.0 };
        let most = theirs.iter().fold(least, |most: f32, value| most.max(value.abs()));
        (gap > allowed * most).then(|| format!("differs by {:.1e} of its largest value", gap / most))
    }

    /// A reference may go without pictures.
    fn pictures_apart(&self, ours: &[Vec<u8>], theirs: &[Vec<u8>]) -> Vec<String> {
        if !theirs.is_empty() && ours.len() != theirs.len() {
            return vec![format!("there are {} pictures, expected {}", ours.len(), theirs.len())];
        }
        let pairs = ours.iter().zip(theirs).enumerate();
        pairs
            .filter_map(|(k, (ours, theirs))| Some(format!("picture {k} {}", self.bytes_apart(ours, theirs)?)))
            .collect()
    }

    fn bytes_apart(&self, ours: &[u8], theirs: &[u8]) -> Option<String> {
        if ours.len() != theirs.len() {
            return Some(format!("has {} bytes, expected {}", ours.len(), theirs.len()));
        }
        let gaps: Vec<u8> = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).collect();
        let unusual = gaps.iter().filter(|gap| **gap > self.usual_byte).count();
        let worst = gaps.iter().max().copied().unwrap_or(0);
        let near = worst <= self.worst_byte && unusual as f32 <= self.unusual * gaps.len() as f32;
        (!near).then(|| format!("differs by up to {worst}, by more than {} in {unusual} bytes", self.usual_byte))
    }
}

/// Largest difference; infinite where the lengths differ or a value is no number.
pub fn difference(ours: &[f32], theirs: &[f32]) -> f32 {
    let gap = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() };
    let most = ours.iter().zip(theirs).map(gap).fold(0.0, f32::max);
    if ours.len() == theirs.len() { most } else { f32::INFINITY }
}
