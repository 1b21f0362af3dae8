//! The instructions that bring their object with them.

use super::graph::Object;
use super::reader::{self, Rest};
use crate::weights::WeightsError;

/// The object that an instruction brings with it.
pub(super) fn literal(instruction: u8, rest: &mut Rest) -> Result<Object, WeightsError> {
    Ok(match instruction {
        b'N' => Object::None,
        0x88 => Object::Bool(true),
        0x89 => Object::Bool(false),
        b'J' => Object::Int(i32::from_le_bytes(reader::array(rest)?).into()),
        b'K' => Object::Int(reader::byte(rest)?.into()),
        b'M' => Object::Int(u16::from_le_bytes(reader::array(rest)?).into()),
        0x8a => {
            let length = reader::number(rest, 1)?;
            Object::Int(long(reader::take(rest, length)?)?)
        }
        b'G' => Object::Float(f64::from_be_bytes(reader::array(rest)?)),
        // Python 2 wrote its byte strings with T and U, and they were texts.
        b'X' | b'T' => text(rest, 4)?,
        0x8c | b'U' => text(rest, 1)?,
        0x8d => text(rest, 8)?,
        b'B' => bytes(rest, 4)?,
        b'C' => bytes(rest, 1)?,
        0x8e => bytes(rest, 8)?,
        b')' => Object::Tuple(Vec::new()),
        b']' | 0x8f => Object::List(Vec::new()),
        b'}' => Object::Dict(Vec::new()),
        // INST, which names what it calls, and is not written since Python 2 got new classes.
        b'i' => {
            let name = format!("{}.{}", reader::line(rest)?, reader::line(rest)?);
            return Err(WeightsError::Forbidden(name));
        }
        0x82..=0x84 => return Err(WeightsError::Forbidden("an extension by its number".to_owned())),
        _ => return Err(WeightsError::Unsupported(format!("the pickle instruction {instruction:#04x}"))),
    })
}

fn text(rest: &mut Rest, width: usize) -> Result<Object, WeightsError> {
    let length = reader::number(rest, width)?;
    reader::text(rest, length).map(Object::Text)
}

fn bytes(rest: &mut Rest, width: usize) -> Result<Object, WeightsError> {
    let length = reader::number(rest, width)?;
    Ok(Object::Bytes(reader::take(rest, length)?.to_vec()))
}

/// A whole number in two's complement, little-endian.
fn long(bytes: &[u8]) -> Result<i64, WeightsError> {
    if bytes.len() > 8 {
        return Err(WeightsError::Unsupported(format!("a whole number of {} bytes", bytes.len())));
    }
    let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
    let mut whole = [sign; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    Ok(i64::from_le_bytes(whole))
}
