//! Adapters that a prompt names: `<lora:name:0.8>` and its like.

use super::lexer::number;

/// What kind of adapter is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Low-rank changes of the weights.
    Lora,
    /// A small network before keys and values of the attention.
    Hypernetwork,
    /// A pair of embeddings, one of them for the negative prompt.
    DreamArtist,
}

/// An adapter that the prompt names. Whether there is one of that name is not known here.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    /// What kind of adapter is meant.
    pub kind: Kind,
    /// Its name; not empty, without blanks at its ends.
    pub name: String,
    /// Scale of the U-Net's part, strength of a hypernetwork, or weight of an embedding: -4 to 4, 1 if not given.
    pub scale: f32,
    /// Scale of a LoRA's part for the text encoder, -4 to 4; for other kinds the same as `scale`.
    pub text_scale: f32,
}

/// The largest scale of an adapter.
const LARGEST: f64 = 4.0;

impl Reference {
    /// Reads what stands between `<` and `>`; none if it is not well-formed.
    ///
    /// As in the common web interface a LoRA may have two scales, and `te=` and `unet=` name them; other named
    /// arguments are for its extensions and mean nothing here.
    pub(super) fn read(inside: &str) -> Option<Self> {
        let (kind, arguments) = inside.split_once(':')?;
        let kind = match kind {
            "lora" | "lyco" => Kind::Lora,
            "hypernet" | "hypernetwork" => Kind::Hypernetwork,
            "dreamartist" => Kind::DreamArtist,
            _ => return None,
        };
        let mut arguments = arguments.split(':').map(str::trim);
        let name = arguments.next().filter(|name| !name.is_empty())?.to_owned();
        let (mut given, mut text, mut unet) = (Vec::new(), None, None);
        for argument in arguments {
            match argument.split_once('=') {
                Some(("te", value)) => text = Some(scale(value)?),
                Some(("unet", value)) => unet = Some(scale(value)?),
                Some(_) => {}
                None => given.push(scale(argument)?),
            }
        }
        let lora = kind == Kind::Lora;
        if given.len() > if lora { 2 } else { 1 } || !lora && text.or(unet).is_some() {
            return None;
        }
        let text_scale = text.or(given.first().copied()).unwrap_or(1.0);
        let scale = unet.or(given.get(1).copied()).unwrap_or(text_scale);
        Some(Self { kind, name, scale, text_scale })
    }
}

fn scale(text: &str) -> Option<f32> {
    number(text).filter(|scale| scale.abs() <= LARGEST).map(|scale| scale as f32)
}
