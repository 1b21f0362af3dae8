//! Types of the elements of tensors.

use half::{bf16, f16};

/// The type of a tensor's elements, as `TensorProto.DataType` numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 16-bit float, IEEE 754.
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
    /// Signed, 8 bits.
    I8,
    /// Unsigned, 8 bits.
    U8,
    /// Signed, 32 bits.
    I32,
    /// Signed, 64 bits.
    I64,
    /// Truth values, a byte each.
    Bool,
    /// Signed, two in a byte.
    I4,
    /// Unsigned, two in a byte.
    U4,
    /// Any other, with its number.
    Other(i32),
}

/// Each type with its number and its size in bits.
const TABLE: [(Element, i32, u64); 11] = [
    (Element::F32, 1, 32),
    (Element::U8, 2, 8),
    (Element::I8, 3, 8),
    (Element::I32, 6, 32),
    (Element::I64, 7, 64),
    (Element::Bool, 9, 8),
    (Element::F16, 10, 16),
    (Element::F64, 11, 64),
    (Element::Bf16, 16, 16),
    (Element::U4, 21, 4),
    (Element::I4, 22, 4),
];

impl Element {
    /// The type of that number.
    pub fn of(code: i32) -> Self {
        TABLE.iter().find(|row| row.1 == code).map_or(Self::Other(code), |row| row.0)
    }

    /// Its number.
    pub fn code(self) -> i32 {
        match self {
            Self::Other(code) => code,
            known => TABLE.iter().find(|row| row.0 == known).map_or(0, |row| row.1),
        }
    }

    /// What weights of this type are commonly called, such as `fp16`; `None` for types that weights do not have.
    pub fn precision(self) -> Option<&'static str> {
        match self {
            Self::F64 => Some("fp64"),
            Self::F32 => Some("fp32"),
            Self::F16 => Some("fp16"),
            Self::Bf16 => Some("bf16"),
            Self::I8 | Self::U8 => Some("int8"),
            Self::I4 | Self::U4 => Some("int4"),
            Self::I32 | Self::I64 | Self::Bool | Self::Other(_) => None,
        }
    }

    /// The bytes that so many elements take one after the other; `None` if the type is not known or the number too large.
    pub fn bytes(self, elements: u64) -> Option<u64> {
        let bits = TABLE.iter().find(|row| row.0 == self)?.2;
        Some(elements.checked_mul(bits)?.div_ceil(8))
    }

    /// Numbers as they lie in a tensor of this type, which must be one of floats; others give nothing.
    pub(super) fn encode(self, values: impl Iterator<Item = f32>) -> Vec<u8> {
        match self {
            Self::F16 => values.flat_map(|value| f16::from_f32(value).to_le_bytes()).collect(),
            Self::Bf16 => values.flat_map(|value| bf16::from_f32(value).to_le_bytes()).collect(),
            Self::F64 => values.flat_map(|value| f64::from(value).to_le_bytes()).collect(),
            Self::F32 => values.flat_map(f32::to_le_bytes).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether torch parameters of this type are plain numbers, neither integers nor quantised.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::Bf16)
    }
}
