//! How a module's weight is changed: the algorithms, and which tensors each is made of.

use std::collections::BTreeMap;

use super::LoraError;
use super::entry::Entry;
use super::key::Role;
use super::matrix::Matrix;

/// The tensors that change one module, generic in whether they are entries of a header or values.
#[derive(Clone, Debug)]
pub(super) struct Change<T> {
    /// None where only the bias is changed.
    pub(super) form: Option<Form<T>>,
    /// One number.
    pub(super) alpha: Option<T>,
    pub(super) magnitude: Option<Magnitude<T>>,
    /// What is added to the module's bias, [outputs].
    pub(super) bias: Option<T>,
}

/// The algorithm of the change D of a weight [outputs, inputs x kernel], or of a norm's weight [outputs].
#[derive(Clone, Debug)]
pub(super) enum Form<T> {
    /// LoRA and LoCon: D is a product (Hu et al. 2021).
    LowRank(Matrix<T>),
    /// LoHa: D is two products, multiplied element by element (Hyeon-Woo et al. 2021).
    Hadamard(Matrix<T>, Matrix<T>),
    /// LoKr: D is the Kronecker product of two matrices (Edalati et al. 2022).
    Kronecker(Matrix<T>, Matrix<T>),
    /// D as it is.
    Full(T),
}

/// DoRA (Liu et al. 2024): the lengths that the changed weight's vectors are given.
#[derive(Clone, Debug)]
pub(super) enum Magnitude<T> {
    /// One length for each output, over all inputs and the kernel.
    Outputs(T),
    /// One length for each input, over all outputs and the kernel: LyCORIS's first form.
    Inputs(T),
}

impl Change<Entry> {
    /// The change that the tensors of the module `module` make, when they are those of one algorithm. None if they change
    /// nothing: an alpha or the lengths of DoRA without matrices.
    pub(super) fn of(module: &str, mut tensors: BTreeMap<Role, Entry>) -> Result<Option<Self>, LoraError> {
        let alpha = tensors.remove(&Role::Alpha);
        let bias = tensors.remove(&Role::DiffBias);
        let outputs = tensors.remove(&Role::Magnitude).map(Magnitude::Outputs);
        let magnitude = outputs.or_else(|| tensors.remove(&Role::DoraScale).map(Magnitude::told_by_shape));
        let form = if tensors.is_empty() { None } else { Some(Form::of(module, &mut tensors)?) };
        if let Some(Entry { key, .. }) = tensors.into_values().next() {
            return Err(LoraError::Unsupported { algorithm: "a second change of a module", key });
        }
        // Without alpha, which is a whole number in kohya's first files.
        let change = Self { form, alpha: None, magnitude, bias };
        change.try_map(Entry::check_float)?;
        Ok(Some(Self { alpha, ..change }).filter(|change| change.form.is_some() || change.bias.is_some()))
    }
}

impl<T> Magnitude<T> {
    pub(super) fn lengths(&self) -> &T {
        match self {
            Self::Outputs(lengths) | Self::Inputs(lengths) => lengths,
        }
    }
}

impl Magnitude<Entry> {
    /// `dora_scale` is [outputs, 1, ..] or [1, inputs, ..].
    fn told_by_shape(entry: Entry) -> Self {
        match entry.shape.as_slice() {
            [1, inputs, ..] if *inputs != 1 => Self::Inputs(entry),
            _ => Self::Outputs(entry),
        }
    }
}

impl Form<Entry> {
    fn of(module: &str, tensors: &mut BTreeMap<Role, Entry>) -> Result<Self, LoraError> {
        let mut parts = Parts { module, tensors };
        if parts.any(&[Role::Up, Role::Down, Role::Mid]) {
            let (up, down) = (parts.need(Role::Up, "its `up` matrix")?, parts.need(Role::Down, "its `down` matrix")?);
            return Ok(Self::LowRank(match parts.take(Role::Mid) {
                Some(core) => Matrix::Mid { up, core, down },
                None => Matrix::Product { up, down },
            }));
        }
        if parts.any(&[Role::Hada1A, Role::Hada1B, Role::Hada2A, Role::Hada2B]) {
            let left = parts.product(Role::Hada1A, Role::Hada1B, Role::Hada1Core)?;
            return Ok(Self::Hadamard(left, parts.product(Role::Hada2A, Role::Hada2B, Role::Hada2Core)?));
        }
        if parts.any(&[Role::Lokr1, Role::Lokr1A, Role::Lokr2, Role::Lokr2A]) {
            let left = match parts.take(Role::Lokr1) {
                Some(whole) => Matrix::Whole(whole),
                None => Matrix::Product {
                    up: parts.need(Role::Lokr1A, "`lokr_w1` or `lokr_w1_a`")?,
                    down: parts.need(Role::Lokr1B, "`lokr_w1_b`")?,
                },
            };
            let right = match parts.take(Role::Lokr2) {
                Some(whole) => Matrix::Whole(whole),
                None => parts.product(Role::Lokr2A, Role::Lokr2B, Role::Lokr2Core)?,
            };
            return Ok(Self::Kronecker(left, right));
        }
        parts.need(Role::Diff, "the matrices that change it").map(Self::Full)
    }

    /// The change's shape: [outputs, inputs, kernel..], or [outputs, inputs x kernel] where the tensors do not tell.
    pub(super) fn shape(&self) -> Result<Vec<usize>, LoraError> {
        match self {
            Self::Full(whole) => match whole.shape.as_slice() {
                // Of a norm.
                [length] if *length > 0 => Ok(vec![*length]),
                _ => whole.flat().map(|_| whole.shape.clone()),
            },
            Self::LowRank(matrix) => Ok(matrix.shape(matrix.size()?)),
            Self::Hadamard(left, right) => match (left.size()?, right.size()?) {
                (first, second) if first == second => Ok(left.shape(first)),
                (first, second) => Err(right.odd(format!("factors of {first:?} as beside it, not of {second:?}"))),
            },
            Self::Kronecker(left, right) => {
                let ((rows, columns), (inner_rows, inner_columns)) = (left.size()?, right.size()?);
                let shape = rows.checked_mul(inner_rows).zip(columns.checked_mul(inner_columns));
                shape.map(|(rows, columns)| vec![rows, columns]).ok_or_else(|| right.odd("a smaller shape".to_owned()))
            }
        }
    }

    /// The number that alpha is divided by; None where alpha has no say.
    pub(super) fn rank(&self) -> Option<usize> {
        match self {
            Self::LowRank(matrix) | Self::Hadamard(matrix, _) => matrix.rank(),
            Self::Kronecker(left, right) => left.rank().or_else(|| right.rank()),
            Self::Full(_) => None,
        }
    }
}

impl<T> Change<T> {
    /// The same change with every tensor replaced by what `read` gives for it.
    pub(super) fn try_map<U, E>(&self, mut read: impl FnMut(&T) -> Result<U, E>) -> Result<Change<U>, E> {
        let read = &mut read;
        Ok(Change {
            form: self.form.as_ref().map(|form| form.try_map(read)).transpose()?,
            alpha: self.alpha.as_ref().map(&mut *read).transpose()?,
            magnitude: match &self.magnitude {
                Some(Magnitude::Outputs(lengths)) => Some(Magnitude::Outputs(read(lengths)?)),
                Some(Magnitude::Inputs(lengths)) => Some(Magnitude::Inputs(read(lengths)?)),
                None => None,
            },
            bias: self.bias.as_ref().map(read).transpose()?,
        })
    }
}

impl<T> Form<T> {
    fn try_map<U, E>(&self, read: &mut impl FnMut(&T) -> Result<U, E>) -> Result<Form<U>, E> {
        Ok(match self {
            Self::LowRank(matrix) => Form::LowRank(matrix.try_map(read)?),
            Self::Hadamard(left, right) => Form::Hadamard(left.try_map(read)?, right.try_map(read)?),
            Self::Kronecker(left, right) => Form::Kronecker(left.try_map(read)?, right.try_map(read)?),
            Self::Full(whole) => Form::Full(read(whole)?),
        })
    }
}

/// The tensors of a module, to be taken one by one.
struct Parts<'a> {
    module: &'a str,
    tensors: &'a mut BTreeMap<Role, Entry>,
}

impl Parts<'_> {
    fn any(&self, roles: &[Role]) -> bool {
        roles.iter().any(|role| self.tensors.contains_key(role))
    }

    fn take(&mut self, role: Role) -> Option<Entry> {
        self.tensors.remove(&role)
    }

    fn need(&mut self, role: Role, missing: &'static str) -> Result<Entry, LoraError> {
        self.take(role).ok_or_else(|| LoraError::Incomplete { module: self.module.to_owned(), missing })
    }

    fn product(&mut self, up: Role, down: Role, core: Role) -> Result<Matrix<Entry>, LoraError> {
        let missing = "one of the two factors of a product";
        let (up, down) = (self.need(up, missing)?, self.need(down, missing)?);
        Ok(match self.take(core) {
            Some(core) => Matrix::Tucker { up, core, down },
            None => Matrix::Product { up, down },
        })
    }
}
