//! How sessions are made and used.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::accelerator::{Accelerator, Choice};
use super::super::cache::Cache;
use super::super::memory;

/// How sessions are made and used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What the graphs run on.
    pub accelerator: Choice,
    /// What some of them run on instead, by the name of their folder, such as `vae_decoder`.
    pub graphs: BTreeMap<String, Choice>,
    /// Whether every node has to run on its graph's accelerator.
    pub strict: bool,
    /// Where optimised graphs and compiled engines are kept for the next start; nowhere if absent.
    pub cache: Option<Cache>,
    /// Threads of one pass; ONNX Runtime's choice (one a core) if absent.
    pub threads: Option<usize>,
    /// How much a pass of the U-Net may hold, in latents of one channel; by the accelerator if absent. What is more runs
    /// in several passes, with the same results.
    pub room: Option<usize>,
    /// Whether several callers at the same time share passes of the U-Net, whatever step each is at.
    pub joins: bool,
    /// Memory that loaded graphs may take together, in bytes; half of the machine's if absent.
    pub memory: Option<u64>,
}

/// Latents of a picture of 512x512 pixels.
const PICTURE: usize = 64 * 64;

impl Options {
    /// How much a pass of the U-Net may hold, in latents of one channel.
    ///
    /// GPUs are faster with large batches. On the processor those only take more memory, but many small pictures
    /// together save time.
    pub(in crate::model) fn room(&self) -> usize {
        let accelerator = self.graphs.get("unet").unwrap_or(&self.accelerator).accelerator;
        self.room.unwrap_or(match accelerator {
            Accelerator::Cuda | Accelerator::TensorRt => 8 * PICTURE,
            _ => PICTURE,
        })
    }

    /// Bytes that loaded graphs may take together.
    pub fn budget(&self) -> u64 {
        self.memory.unwrap_or_else(memory::half)
    }

    /// What a graph runs on; its file lies in the folder that names its part.
    pub(in crate::model) fn choice(&self, file: &Path) -> &Choice {
        self.graphs.get(part(file)).unwrap_or(&self.accelerator)
    }
}

/// The name of the folder that a graph lies in.
pub(in crate::model) fn part(file: &Path) -> &str {
    file.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default()
}
