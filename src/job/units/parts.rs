//! Which parts of a picture are meant.

use serde_json::Value;

use crate::job::outcome::Rejection;

/// Ranges of parts, first and last, as a requester asks for them: `[[3,5],9]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRanges(Vec<(u32, u32)>);

/// More gaps than this are asked for in several commands.
const MOST: usize = 64;

impl PartRanges {
    /// Reads a list of 1 to 64 numbers and pairs of numbers, each pair in order.
    pub fn parse(value: &Value) -> Result<Self, Rejection> {
        let wrong = || Rejection::field("parts", "parts must be 1 to 64 numbers or pairs such as [[3,5],9]");
        let list = value.as_array().filter(|list| (1..=MOST).contains(&list.len())).ok_or_else(wrong)?;
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok());
        let range = |value: &Value| match value.as_array().map(Vec::as_slice) {
            Some([first, last]) => Some((number(first)?, number(last)?)).filter(|(first, last)| first <= last),
            Some(_) => None,
            None => number(value).map(|only| (only, only)),
        };
        list.iter().map(range).collect::<Option<_>>().map(Self).ok_or_else(wrong)
    }

    /// First and last of each range.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.0
    }
}
