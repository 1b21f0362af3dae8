//! Taking numbers and texts off the front of a pickle's bytes.

use crate::weights::WeightsError;

/// The bytes that are not read yet.
pub(super) type Rest<'a> = &'a [u8];

/// The next `count` bytes.
pub(super) fn take<'a>(rest: &mut Rest<'a>, count: u64) -> Result<&'a [u8], WeightsError> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let (taken, left) = rest.split_at_checked(count).ok_or_else(ended)?;
    *rest = left;
    Ok(taken)
}

/// The next `N` bytes.
pub(super) fn array<const N: usize>(rest: &mut Rest) -> Result<[u8; N], WeightsError> {
    let (taken, left) = rest.split_first_chunk().ok_or_else(ended)?;
    *rest = left;
    Ok(*taken)
}

/// The next byte.
pub(super) fn byte(rest: &mut Rest) -> Result<u8, WeightsError> {
    array(rest).map(|[byte]| byte)
}

/// An unsigned little-endian number of 1, 2, 4 or 8 bytes.
pub(super) fn number(rest: &mut Rest, bytes: usize) -> Result<u64, WeightsError> {
    let taken = take(rest, bytes as u64)?;
    Ok(taken.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

/// A text of that many bytes. Surrogates, which Python lets pass, are replaced.
pub(super) fn text(rest: &mut Rest, bytes: u64) -> Result<String, WeightsError> {
    Ok(String::from_utf8_lossy(take(rest, bytes)?).into_owned())
}

/// The text up to the end of the line, which is taken too.
pub(super) fn line<'a>(rest: &mut Rest<'a>) -> Result<&'a str, WeightsError> {
    let length = rest.iter().position(|byte| *byte == b'\n').ok_or_else(ended)?;
    let line = take(rest, length as u64)?;
    byte(rest)?;
    std::str::from_utf8(line).map_err(|_| WeightsError::malformed("a name in the pickle is no UTF-8"))
}

fn ended() -> WeightsError {
    WeightsError::malformed("the pickle ends in the middle of an instruction")
}
