//! A module's change, before and after its tensors are read.

use ndarray::ArrayD;

use super::LoraError;
use super::change::{Change, Form, Magnitude};
use super::entry::Entry;
use super::settings::Scaling;
use crate::weights::names::Part;

/// The tensors in a file that change one module, known by their keys and shapes, which agree with each other.
#[derive(Clone, Debug)]
pub struct Group {
    part: Part,
    module: String,
    outline: Outline,
    change: Change<Entry>,
}

/// What is known of a change without its values.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    /// The module's whole name in the file.
    pub(super) name: String,
    /// [outputs, inputs, kernel..], or [outputs, inputs x kernel] where the tensors do not tell; [outputs] of a norm or
    /// where only the bias is changed.
    pub(super) shape: Vec<usize>,
    rank: Option<usize>,
    scaling: Scaling,
}

/// The tensors that change one module, with their values.
#[derive(Clone, Debug)]
pub struct Factors {
    pub(super) outline: Outline,
    pub(super) change: Change<ArrayD<f32>>,
}

impl Group {
    pub(super) fn new(
        part: Part,
        module: String,
        change: Change<Entry>,
        name: String,
        scaling: Scaling,
    ) -> Result<Self, LoraError> {
        let (form, bias) = (change.form.as_ref(), change.bias.as_ref());
        let shape = form.map(Form::shape).transpose()?;
        let shape = shape.unwrap_or_else(|| bias.and_then(Entry::elements).into_iter().collect());
        let outline = Outline { name, shape, rank: form.and_then(Form::rank), scaling };
        outline.check_sides(&change)?;
        Ok(Self { part, module, outline, change })
    }

    /// The part of the model.
    pub fn part(&self) -> Part {
        self.part
    }

    /// The module's name in the file, without the part.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The module's whole name in the file.
    pub fn name(&self) -> &str {
        &self.outline.name
    }

    /// Whether the module's weight is changed.
    pub fn has_weight(&self) -> bool {
        self.change.form.is_some()
    }

    /// Whether the module's bias is changed.
    pub fn has_bias(&self) -> bool {
        self.change.bias.is_some()
    }

    /// That a weight of this shape (torch's layout) can be changed.
    pub fn check(&self, weight: &[usize]) -> Result<(), LoraError> {
        if !self.has_weight() {
            return self.outline.target(weight.get(..1).unwrap_or_default()).map(drop);
        }
        let target = self.outline.target(weight)?;
        let (Some(Magnitude::Inputs(lengths)), Some(inputs)) = (&self.change.magnitude, weight.get(1)) else {
            return Ok(());
        };
        let inputs = if let Target::FirstInputs(first) = target { first } else { *inputs };
        let expected = || lengths.odd(format!("{inputs} numbers for a weight of shape {weight:?}"));
        if lengths.elements() == Some(inputs) { Ok(()) } else { Err(expected()) }
    }

    /// Reads the tensors: `read` is given a key and returns its values.
    pub fn read<E: From<LoraError>>(&self, mut read: impl FnMut(&str) -> Result<ArrayD<f32>, E>) -> Result<Factors, E> {
        let change = self.change.try_map(|entry| -> Result<_, E> {
            let values = read(&entry.key)?;
            if values.shape() == entry.shape {
                return Ok(values);
            }
            let found = Entry { shape: values.shape().to_vec(), ..entry.clone() };
            Err(found.odd(format!("{:?} as the header told", entry.shape)).into())
        })?;
        Ok(Factors { outline: self.outline.clone(), change })
    }
}

/// How a change goes onto a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// On all of it.
    Whole,
    /// On the first input channels: a change for four on the first convolution of a model with more of them.
    FirstInputs(usize),
}

impl Outline {
    /// That what stands beside the matrices has the lengths that go with them.
    fn check_sides(&self, change: &Change<Entry>) -> Result<(), LoraError> {
        let (outputs, inputs, kernel) = match self.shape.as_slice() {
            [outputs, inputs, kernel @ ..] => (*outputs, *inputs, !kernel.is_empty()),
            [outputs] => (*outputs, 1, false),
            [] => return Ok(()),
        };
        let check = |entry: &Entry, fits: bool, expected: String| if fits { Ok(()) } else { Err(entry.odd(expected)) };
        if let Some(alpha) = &change.alpha {
            check(alpha, alpha.elements() == Some(1), "one number".to_owned())?;
        }
        if let Some(bias) = &change.bias {
            check(bias, bias.elements() == Some(outputs), format!("{outputs} numbers"))?;
        }
        match &change.magnitude {
            Some(Magnitude::Outputs(lengths)) => {
                check(lengths, lengths.elements() == Some(outputs), format!("{outputs} numbers"))
            }
            // Where inputs and kernel are one axis, only the model's weight tells how many inputs there are.
            Some(Magnitude::Inputs(lengths)) => {
                let fits = |number| if kernel { number == inputs } else { inputs.is_multiple_of(number) };
                let fits = lengths.elements().is_some_and(fits);
                check(lengths, fits, format!("{inputs} numbers"))
            }
            None => Ok(()),
        }
    }

    /// How the change goes onto a weight of this shape.
    pub(super) fn target(&self, weight: &[usize]) -> Result<Target, LoraError> {
        let mismatch =
            LoraError::Mismatch { module: self.name.clone(), change: self.shape.clone(), weight: weight.to_vec() };
        match (self.shape.as_slice(), weight) {
            ([outputs], [same]) if outputs == same => Ok(Target::Whole),
            ([a, b, kernel @ ..], [c, d, same @ ..]) if kernel.is_empty() || same.is_empty() || kernel == same => {
                let columns = |inputs: &usize, kernel: &[usize]| inputs * kernel.iter().product::<usize>();
                if a == c && columns(b, kernel) == columns(d, same) {
                    return Ok(Target::Whole);
                }
                let first =
                    ["conv_in", "input_blocks_0_0", "input_blocks.0.0"].iter().any(|end| self.name.ends_with(end));
                if first && a == c && b < d && kernel == same { Ok(Target::FirstInputs(*b)) } else { Err(mismatch) }
            }
            _ => Err(mismatch),
        }
    }

    /// What the change is multiplied by: alpha / rank, or 1 where alpha is missing, zero or has no say.
    pub(super) fn strength(&self, alpha: Option<f32>) -> f32 {
        let alpha = alpha.or(self.scaling.alpha).filter(|alpha| *alpha != 0.0);
        match (alpha, self.rank) {
            (Some(alpha), Some(rank)) if self.scaling.by_root => alpha / (rank as f32).sqrt(),
            (Some(alpha), Some(rank)) => alpha / rank as f32,
            _ => 1.0,
        }
    }
}
