//! How a U-Net or an autoencoder is cut into blocks, read from the names of its own parameters.

use std::collections::BTreeSet;

/// What the original layout's numbers depend on; toy models have other numbers than the published ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// Residual layers in each down block (`layers_per_block`); up blocks have one more.
    pub(super) layers: usize,
    /// Number of up blocks.
    pub(super) ups: usize,
    /// The up blocks that have attention, after which the original layout moves the upsampler by one place.
    pub(super) attentive_ups: BTreeSet<usize>,
}

impl Blocks {
    /// The structure of the U-Net or the autoencoder with these parameters or modules (diffusers' names, all of them).
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut blocks = Self::default();
        for name in names {
            let name = name.strip_prefix("encoder.").or(name.strip_prefix("decoder.")).unwrap_or(name);
            blocks.note(name);
        }
        blocks
    }

    fn note(&mut self, name: &str) {
        let mut parts = name.split('.');
        let (side, block) = (parts.next(), parts.next().and_then(number));
        let (kind, layer) = (parts.next(), parts.next().and_then(number));
        match (side, block, kind, layer) {
            (Some("down_blocks"), Some(_), Some("resnets" | "attentions"), Some(layer)) => {
                self.layers = self.layers.max(layer + 1);
            }
            (Some("up_blocks"), Some(block), kind, _) => {
                self.ups = self.ups.max(block + 1);
                if kind == Some("attentions") {
                    self.attentive_ups.insert(block);
                }
            }
            _ => {}
        }
    }
}

/// A number of a block or layer. No model has a thousand of them, so that sums of numbers from a file cannot overflow.
pub(super) fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|number| *number < 1000)
}
