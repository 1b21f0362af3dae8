//! A model folder: what its JSON files say about the graphs in it.

mod facts;
mod index;
mod ours;
mod read;
mod text;
mod unet;
mod vae;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use self::facts::{Autoencoder, Defaults, Extra, Family, Guided, Layer, TextFacts, UnetFacts, VaeFacts};

use self::index::ModelIndex;
use self::ours::Diffused;
use self::read::Reader;
use self::text::{SpecialTokens, TextEncoder, TokenizerConfig};
use self::unet::Unet;
use self::vae::Vae;
use super::error::LoadError;
use crate::diffusion::{LatentRgb, SchedulerConfig};
use crate::job::Mode;

/// Everything that the folder's JSON files say and this version needs. One that exists can be worked with, as far as
/// these files tell.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
    /// What kind of model it is.
    pub family: Family,
    /// The noise schedule it was trained with.
    pub scheduler: SchedulerConfig,
    /// How text becomes what the U-Net is conditioned on: one encoder, or two whose outputs stand side by side.
    pub texts: Vec<TextFacts>,
    /// Whether an empty negative prompt stands for zeros rather than for the embeddings of the empty text.
    pub force_zeros_for_empty_prompt: bool,
    /// What the U-Net is given.
    pub unet: UnetFacts,
    /// How latents become pixels.
    pub vae: VaeFacts,
    /// The same for the small decoder of previews, where there is one.
    pub taesd: Option<VaeFacts>,
    /// Coefficients for previews, where the model's makers give them.
    pub preview: Option<LatentRgb>,
    /// Channels of the latents.
    pub channels: usize,
    /// Sides of a picture must be multiples of this, in pixels: the U-Net halves its latents so often.
    pub multiple: u32,
    /// What is used where a request says nothing.
    pub defaults: Defaults,
}

/// Our own file.
const OURS: &str = "diffused.json";

impl Folder {
    /// Reads the folder's JSON files; every fault names the file, what was expected and what came.
    ///
    /// In folders of diffusers' first converter, which wrote no `config.json` beside the graphs, the graphs' own
    /// declarations stand in for these.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let index: ModelIndex = Reader { path, bare: false }.json("model_index.json", ModelIndex::check)?;
        let reader = Reader { path, bare: index.bare() };
        let config: Unet = reader.part("unet", Unet::bare, Unet::check)?;
        let (texts, encoders) = texts(&reader, &config)?;
        let family = family(&config, &encoders);
        let unet = config.facts(family, &encoders).map_err(|reason| reader.fault_of("unet", reason))?;
        let (vae, scheduler) = (vae(&reader, config.out_channels)?, scheduler(&reader)?);
        let ours = ours(&reader)?;
        let fault = |reason| reader.fault(OURS, reason);
        let defaults = ours.defaults(&scheduler, &unet, config.size(), vae.downscale).map_err(fault)?;
        tracing::debug!(folder = %path.display(), class = index.class_name, "model folder read");
        Ok(Self {
            path: path.to_owned(),
            family,
            scheduler,
            texts,
            // The class's default is true, and the other families do not have it.
            force_zeros_for_empty_prompt: family == Family::Sdxl && index.force_zeros_for_empty_prompt.unwrap_or(true),
            unet,
            vae: VaeFacts { tile: vae.tile.max(defaults.size.width()).max(defaults.size.height()), ..vae },
            taesd: taesd(&reader, config.out_channels)?,
            preview: ours.preview(config.out_channels).map_err(fault)?,
            channels: config.out_channels,
            multiple: vae.downscale * config.downscale(),
            defaults,
        })
    }

    /// The graph of a part, such as `vae_encoder`.
    pub fn graph(&self, part: &str) -> PathBuf {
        self.path.join(part).join("model.onnx")
    }

    /// What it can start from. Inpainting models encode a picture even where nothing is masked.
    pub fn modes(&self) -> Vec<Mode> {
        let (extra, encodes) = (self.unet.extra, self.has("vae_encoder"));
        let all = [
            (Mode::Text, extra == Extra::None || extra == Extra::Inpaint && encodes),
            (Mode::Image, encodes),
            (Mode::Inpaint, encodes),
            (Mode::Depth, extra == Extra::Depth),
        ];
        all.into_iter().filter_map(|(mode, able)| able.then_some(mode)).collect()
    }

    /// Reads another JSON file of the folder.
    pub(super) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<T, LoadError> {
        Reader { path: &self.path, bare: false }.json(name, |_| Ok(()))
    }

    /// Whether the folder has a part; a pipeline can do without some of them.
    pub fn has(&self, part: &str) -> bool {
        self.graph(part).is_file()
    }
}

fn family(unet: &Unet, texts: &[TextEncoder]) -> Family {
    match texts {
        _ if unet.is_sdxl() => Family::Sdxl,
        [first, ..] => first.family(),
        [] => Family::Sd1,
    }
}

/// The text encoders with their tokenizers, as far as described; SDXL has two.
fn texts(reader: &Reader, unet: &Unet) -> Result<(Vec<TextFacts>, Vec<TextEncoder>), LoadError> {
    let sdxl = unet.is_sdxl();
    let pairs: &[_] = match sdxl {
        true => &[("text_encoder", "tokenizer"), ("text_encoder_2", "tokenizer_2")],
        false => &[("text_encoder", "tokenizer")],
    };
    let mut both = (Vec::new(), Vec::new());
    for &(encoder, tokenizer) in pairs {
        let config: TextEncoder =
            reader.part(encoder, |graph| TextEncoder::bare(graph, unet.width()), TextEncoder::check)?;
        both.0.push(TextFacts {
            encoder,
            tokenizer,
            layer: if sdxl { Layer::Penultimate } else { Layer::Last },
            pooled: encoder == "text_encoder_2",
            pad: pad(reader, tokenizer)?,
            length: config.max_position_embeddings,
            width: config.hidden_size,
        });
        both.1.push(config);
    }
    Ok(both)
}

/// The token that a tokenizer fills up with.
fn pad(reader: &Reader, tokenizer: &str) -> Result<String, LoadError> {
    let config: TokenizerConfig = reader.json(&format!("{tokenizer}/tokenizer_config.json"), TokenizerConfig::check)?;
    let map = format!("{tokenizer}/special_tokens_map.json");
    let map = if reader.at(&map).exists() { reader.json(&map, |_| Ok(()))? } else { SpecialTokens::default() };
    Ok(config.pad(map))
}

fn vae(reader: &Reader, channels: usize) -> Result<VaeFacts, LoadError> {
    let vae: Vae = match reader.describes("vae_decoder") {
        true => reader.json("vae_decoder/config.json", |_| Ok(()))?,
        false => Vae::of_the_first_models(),
    };
    vae.check(channels).map_err(|reason| reader.fault_of("vae_decoder", reason))?;
    Ok(vae.facts())
}

/// The small decoder, which may be absent, or be without a configuration.
fn taesd(reader: &Reader, channels: usize) -> Result<Option<VaeFacts>, LoadError> {
    let name = "taesd_decoder/config.json";
    if reader.at(name).exists() {
        return reader.json(name, |vae: &Vae| vae.check(channels)).map(|vae| Some(vae.facts()));
    }
    Ok(reader.at("taesd_decoder/model.onnx").exists().then(|| Vae::tiny().facts()))
}

fn scheduler(reader: &Reader) -> Result<SchedulerConfig, LoadError> {
    let name = "scheduler/scheduler_config.json";
    SchedulerConfig::parse(&reader.text(name)?).map_err(|error| reader.fault(name, error.to_string()))
}

fn ours(reader: &Reader) -> Result<Diffused, LoadError> {
    if reader.at(OURS).exists() { reader.json(OURS, Diffused::check) } else { Ok(Diffused::default()) }
}

#[cfg(test)]
mod tests;
