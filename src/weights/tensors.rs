//! Tensors as they stand in a file: an element type, a shape and bytes.

use ndarray::{ArrayD, IxDyn};

use super::{Dtype, WeightsError};

/// A weight has at most five.
pub(super) const MOST_DIMENSIONS: usize = 8;

impl Dtype {
    /// Bytes of a tensor of this shape.
    pub(super) fn bytes(self, shape: &[usize]) -> Result<usize, WeightsError> {
        WeightsError::check_limit("the number of a tensor's dimensions", MOST_DIMENSIONS as u64, shape.len() as u64)?;
        // Zeros do not excuse the other sides: later arithmetic multiplies them without looking.
        let sides = shape.iter().try_fold(1usize, |product, side| product.checked_mul((*side).max(1)));
        let whole =
            sides.and_then(|product| product.checked_mul(self.size())).filter(|bytes| *bytes <= isize::MAX as usize);
        match whole {
            Some(_) if shape.contains(&0) => Ok(0),
            Some(bytes) => Ok(bytes),
            None => {
                Err(WeightsError::malformed(format!("a tensor of shape {shape:?} is larger than the memory can be")))
            }
        }
    }
}

/// A tensor as it stands in a file: little-endian elements in row-major order, exactly as many as the shape says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Tensor {
    /// A tensor of these little-endian elements; an error unless there are as many as the shape says.
    pub fn new(dtype: Dtype, shape: Vec<usize>, bytes: Vec<u8>) -> Result<Self, WeightsError> {
        let expected = dtype.bytes(&shape)?;
        if bytes.len() == expected {
            return Ok(Self { dtype, shape, bytes });
        }
        let got = bytes.len();
        Err(WeightsError::malformed(format!(
            "a tensor of shape {shape:?} of {dtype} must have {expected} bytes, got {got}"
        )))
    }

    /// The element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The number of elements along each dimension; empty for a single number.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements, little-endian, in row-major order.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The values as 32-bit numbers, in the tensor's shape. `name` is for the error.
    ///
    /// An error if it holds whole numbers, or a value that is infinite or not a number, also one that only becomes infinite by
    /// having too few bits now.
    pub fn to_f32(&self, name: &str) -> Result<ArrayD<f32>, WeightsError> {
        self.array(name, self.dtype.floats(&self.bytes))
    }

    /// As [`to_f32`](Self::to_f32), and whole numbers too.
    pub fn to_numbers(&self, name: &str) -> Result<ArrayD<f32>, WeightsError> {
        self.array(name, self.dtype.floats(&self.bytes).or_else(|| self.dtype.wholes(&self.bytes)))
    }

    fn array(&self, name: &str, values: Option<Vec<f32>>) -> Result<ArrayD<f32>, WeightsError> {
        let values = values.ok_or_else(|| WeightsError::NotFloat { name: name.to_owned(), dtype: self.dtype })?;
        if let Some((index, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(WeightsError::NotFinite { name: name.to_owned(), value: *value, index });
        }
        ArrayD::from_shape_vec(IxDyn(&self.shape), values).map_err(|error| WeightsError::malformed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use half::{bf16, f16};

    use super::*;

    fn halves(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect()
    }

    #[test]
    fn every_kind_of_float_gives_the_same_values() {
        let values = [1.5f32, -0.25, 0.0, 96.0, 2.0, -8.0];
        let shape = vec![2, 3];
        let doubles = values.iter().flat_map(|value| f64::from(*value).to_le_bytes()).collect();
        let floats = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let brains = values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect();
        let kinds = [(Dtype::F64, doubles), (Dtype::F32, floats), (Dtype::F16, halves(&values)), (Dtype::Bf16, brains)];
        for (dtype, bytes) in kinds {
            let array = Tensor::new(dtype, shape.clone(), bytes).unwrap().to_f32("x").unwrap();
            assert_eq!(array.shape(), shape, "{dtype}");
            assert_eq!(array.iter().copied().collect::<Vec<_>>(), values, "{dtype}");
        }
    }

    #[test]
    fn a_value_that_is_no_number_is_refused_with_the_name() {
        let error = Tensor::new(Dtype::F16, vec![2], halves(&[1.0, f32::NAN])).unwrap().to_f32("clip_l").unwrap_err();
        assert_eq!(error.to_string(), "the tensor \"clip_l\" has a value that is not a number: NaN at index 1");
        let large = Tensor::new(Dtype::F64, vec![1], 1e300f64.to_le_bytes().to_vec()).unwrap();
        assert!(matches!(large.to_f32("x"), Err(WeightsError::NotFinite { .. })));
    }

    #[test]
    fn whole_numbers_are_no_weights() {
        let error = Tensor::new(Dtype::I64, vec![1], vec![0; 8]).unwrap().to_f32("alpha").unwrap_err();
        assert_eq!(error.to_string(), "the tensor \"alpha\" must hold floating point numbers, got I64");
        assert!(Tensor::new(Dtype::U64, vec![1], vec![0; 8]).unwrap().to_numbers("alpha").is_err());
    }

    #[test]
    fn whole_numbers_are_numbers_where_they_are_asked_for() {
        let four: [(Dtype, &[u8]); 5] = [
            (Dtype::I64, &(-4i64).to_le_bytes()),
            (Dtype::I32, &(-4i32).to_le_bytes()),
            (Dtype::I16, &(-4i16).to_le_bytes()),
            (Dtype::I8, &(-4i8).to_le_bytes()),
            (Dtype::F32, &(-4f32).to_le_bytes()),
        ];
        for (dtype, bytes) in four {
            let alpha = Tensor::new(dtype, vec![], bytes.to_vec()).unwrap().to_numbers("alpha").unwrap();
            assert_eq!(alpha.first(), Some(&-4.0), "{dtype}");
        }
    }

    #[test]
    fn a_shape_that_does_not_fit_its_bytes_is_refused() {
        assert!(Tensor::new(Dtype::F32, vec![2, 2], vec![0; 15]).is_err());
        assert!(Tensor::new(Dtype::F32, vec![usize::MAX, 2], vec![]).is_err());
        assert!(Tensor::new(Dtype::F32, vec![0, usize::MAX, usize::MAX], vec![]).is_err());
        assert!(Tensor::new(Dtype::F32, vec![1; 9], vec![0; 4]).is_err());
        assert_eq!(Tensor::new(Dtype::F32, vec![0, 3], vec![]).unwrap().to_f32("x").unwrap().shape(), [0, 3]);
    }
}
