//! The element types that safetensors files know by whole bytes.

use half::{bf16, f16};

/// The element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// IEEE 754, 64 bits.
    F64,
    /// IEEE 754, 32 bits.
    F32,
    /// IEEE 754, 16 bits.
    F16,
    /// The upper half of a 32-bit float.
    Bf16,
    /// Four bits of exponent and three of mantissa, no infinity (Micikevicius et al. 2022, "FP8 formats for deep learning").
    F8E4m3,
    /// The upper half of a 16-bit float (the same source).
    F8E5m2,
    /// A power of two, 8 bits of exponent alone.
    F8E8m0,
    /// Two 32-bit floats.
    C64,
    /// Signed whole numbers, 64 bits.
    I64,
    /// Signed whole numbers, 32 bits.
    I32,
    /// Signed whole numbers, 16 bits.
    I16,
    /// Signed whole numbers, 8 bits.
    I8,
    /// Unsigned whole numbers, 64 bits.
    U64,
    /// Unsigned whole numbers, 32 bits.
    U32,
    /// Unsigned whole numbers, 16 bits.
    U16,
    /// Unsigned whole numbers, 8 bits.
    U8,
    /// A byte that is zero or one.
    Bool,
}

impl Dtype {
    /// The type of this name in a safetensors file. Types of less than a byte are not among them.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "F64" => Self::F64,
            "F32" => Self::F32,
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "F8_E4M3" => Self::F8E4m3,
            "F8_E5M2" => Self::F8E5m2,
            "F8_E8M0" => Self::F8E8m0,
            "C64" => Self::C64,
            "I64" => Self::I64,
            "I32" => Self::I32,
            "I16" => Self::I16,
            "I8" => Self::I8,
            "U64" => Self::U64,
            "U32" => Self::U32,
            "U16" => Self::U16,
            "U8" => Self::U8,
            "BOOL" => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::C64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 | Self::I16 | Self::U16 => 2,
            Self::F8E4m3 | Self::F8E5m2 | Self::F8E8m0 | Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether [`floats`](Self::floats) reads it.
    pub fn is_float(self) -> bool {
        self.floats(&[]).is_some()
    }

    /// Little-endian elements as 32-bit numbers, if they are floating point numbers.
    pub fn floats(self, bytes: &[u8]) -> Option<Vec<f32>> {
        Some(match self {
            Self::F64 => elements(bytes).map(|e| f64::from_le_bytes(e) as f32).collect(),
            Self::F32 => elements(bytes).map(f32::from_le_bytes).collect(),
            Self::F16 => elements(bytes).map(|e| f16::from_le_bytes(e).to_f32()).collect(),
            Self::Bf16 => elements(bytes).map(|e| bf16::from_le_bytes(e).to_f32()).collect(),
            Self::F8E4m3 => bytes.iter().map(|byte| e4m3(*byte)).collect(),
            Self::F8E5m2 => bytes.iter().map(|byte| f16::from_le_bytes([0, *byte]).to_f32()).collect(),
            _ => return None,
        })
    }

    /// Little-endian elements as 32-bit numbers, if they are signed whole numbers or `U8`.
    pub(super) fn wholes(self, bytes: &[u8]) -> Option<Vec<f32>> {
        Some(match self {
            Self::I64 => elements(bytes).map(|e| i64::from_le_bytes(e) as f32).collect(),
            Self::I32 => elements(bytes).map(|e| i32::from_le_bytes(e) as f32).collect(),
            Self::I16 => elements(bytes).map(|e| i16::from_le_bytes(e).into()).collect(),
            Self::I8 => elements(bytes).map(|e| i8::from_le_bytes(e).into()).collect(),
            Self::U8 => bytes.iter().map(|byte| (*byte).into()).collect(),
            _ => return None,
        })
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", format!("{self:?}").to_uppercase())
    }
}

/// Its bits are those of a 16-bit float whose exponent counts from 15 where this one counts from 7.
fn e4m3(byte: u8) -> f32 {
    match byte & 0x7f {
        0x7f => f32::NAN,
        rest => f16::from_bits(u16::from(byte & 0x80) << 8 | u16::from(rest) << 7).to_f32() * 256.0,
    }
}

fn elements<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks().0.iter().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_are_the_numbers_that_the_standard_says() {
        let all = |dtype: Dtype| dtype.floats(&(0..=255).collect::<Vec<u8>>()).unwrap();
        let (narrow, wide) = (all(Dtype::F8E4m3), all(Dtype::F8E5m2));
        // Table 1 of the paper: largest, smallest normal and smallest number; one and its neighbour.
        let at = |values: &[f32], places: [usize; 5]| places.map(|place| values[place]);
        assert_eq!(at(&narrow, [0x7e, 0x08, 0x01, 0x38, 0xb9]), [448.0, 0.015625, 0.001953125, 1.0, -1.125]);
        assert_eq!(at(&wide, [0x7b, 0x04, 0x01, 0x3c, 0xbd]), [57344.0, 2f32.powi(-14), 2f32.powi(-16), 1.0, -1.25]);
        let odd = |values: &[f32]| values.iter().filter(|value| !value.is_finite()).count();
        assert_eq!((odd(&narrow), odd(&wide)), (2, 8), "NaN alone, and infinities and NaN");
        assert!(narrow[0x7f].is_nan() && wide[0x7c].is_infinite());
        assert!(narrow[..0x7f].is_sorted() && wide[..0x7d].is_sorted());
    }
}
