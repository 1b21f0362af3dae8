//! The web UI's embeddings in pictures: the text chunk `sd-ti-embedding` of a PNG, base64 of JSON.
//!
//! The same web UI also hides the embedding in the pixels beside the picture, which is not read here: every card that it
//! writes as PNG has the chunk too.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{Dtype, Tensor, WeightsError};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const KEYWORD: &[u8] = b"sd-ti-embedding\0";

/// What the JSON says, as far as it matters.
#[derive(Deserialize)]
struct Card {
    string_to_param: BTreeMap<String, Vectors>,
}

#[derive(Deserialize)]
struct Vectors {
    #[serde(rename = "TORCHTENSOR")]
    rows: Vec<Vec<f32>>,
}

/// Whether a file is a picture of a kind that the web UI takes for a card.
pub(super) fn is_picture(file: &[u8]) -> bool {
    file.starts_with(PNG) || file.starts_with(b"RIFF")
}

/// The embedding of a card, [vectors, width].
///
/// Source: `modules/textual_inversion/image_embedding.py` of AUTOMATIC1111's web UI.
pub(super) fn tensor(file: &[u8]) -> Result<Tensor, WeightsError> {
    let text = chunk(file)
        .ok_or_else(|| WeightsError::Unsupported("a picture without the text sd-ti-embedding".to_owned()))?;
    let json = STANDARD.decode(text).map_err(|error| broken(&error))?;
    let card: Card = serde_json::from_slice(&json).map_err(|error| broken(&error))?;
    let mut words = card.string_to_param.into_values();
    let (Some(Vectors { rows }), None) = (words.next(), words.next()) else {
        return Err(WeightsError::malformed("the card must hold one embedding"));
    };
    let width = rows.first().map_or(0, Vec::len);
    if rows.iter().any(|row| row.len() != width) {
        return Err(WeightsError::malformed("the vectors of the card must be equally long"));
    }
    let bytes = rows.iter().flatten().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new(Dtype::F32, vec![rows.len(), width], bytes)
}

/// The content of the text chunk. A chunk is a length, a kind, the content and a checksum.
fn chunk(file: &[u8]) -> Option<&[u8]> {
    let mut rest = file.strip_prefix(PNG)?;
    loop {
        let (length, after) = rest.split_first_chunk()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let (content, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        if kind == b"tEXt" && content.starts_with(KEYWORD) {
            return content.strip_prefix(KEYWORD);
        }
        rest = after.get(4..)?;
    }
}

fn broken(error: &dyn std::fmt::Display) -> WeightsError {
    WeightsError::Malformed(format!("the embedding of the card is broken: {error}"))
}
