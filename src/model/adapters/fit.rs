//! How far an adapter fits a model.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::store::{Adapters, Content, Entry};
use super::text::most_clip_skip;
use crate::job::{AdapterFacts, AdapterKind, Fit};
use crate::model::anatomy::Anatomy;
use crate::model::folder::Folder;
use crate::model::vocabulary::Vocabulary;
use crate::weights::lora::{Lora, Place};
use crate::weights::names::Part;
use crate::weights::{Embedding, Hypernetwork};

/// A model's graphs that adapters change, read as data; or why they cannot be read so.
#[derive(Debug)]
pub struct Body {
    texts: Vec<Result<Anatomy, String>>,
    unet: Result<Anatomy, String>,
    /// Rows and width of each encoder's token table; or why no rows can be added.
    tables: Result<Vec<(usize, usize)>, String>,
    most_clip_skip: usize,
}

impl Body {
    /// Reads the structure of the U-Net and the text encoders of a model.
    pub fn read(folder: &Folder) -> Self {
        let read = |part: &str| Anatomy::read(&folder.graph(part)).map_err(|error| error.to_string());
        let texts: Vec<_> = folder.texts.iter().map(|facts| read(facts.encoder)).collect();
        let skips = folder.texts.iter().zip(&texts).map(|(facts, graph)| match graph {
            Ok(graph) => most_clip_skip(graph, facts.layer, 4),
            Err(_) => 0,
        });
        let most_clip_skip = skips.min().unwrap_or(0);
        Self { tables: tables(&texts), texts, unet: read("unet"), most_clip_skip }
    }

    /// Layers of the text encoders that can be left out.
    pub fn most_clip_skip(&self) -> usize {
        self.most_clip_skip
    }

    /// Bytes of the text encoders' weights, and of the U-Net's.
    pub fn bytes(&self) -> (u64, u64) {
        let of = |graph: &Result<Anatomy, String>| graph.as_ref().map_or(0, Anatomy::bytes);
        (self.texts.iter().map(of).sum(), of(&self.unet))
    }

    /// What most of the U-Net's weights are stored in, such as `int8`.
    pub fn precision(&self) -> Option<&'static str> {
        self.unet.as_ref().ok()?.skeleton.stored()?.precision()
    }

    /// Every adapter held against this model.
    pub fn facts(&self, adapters: &Adapters) -> Vec<AdapterFacts> {
        let fact = |entry: &Entry| AdapterFacts { kind: entry.kind, name: entry.name.clone(), fit: self.fit(entry) };
        adapters.entries().iter().map(fact).collect()
    }

    /// The textual inversions that fit.
    pub fn vocabulary(&self, adapters: &Adapters) -> Vocabulary {
        let Some(rows) = self.tables.as_ref().ok().and_then(|tables| tables.first().map(|(rows, _)| *rows)) else {
            return Vocabulary::default();
        };
        let named = |(entry, embedding): (&Entry, &Arc<Embedding>)| (entry.name.clone(), Arc::clone(embedding));
        let words: Vec<_> = self.fitting_embeddings(adapters).map(named).collect();
        let all = adapters.entries().iter().filter(|entry| entry.kind == AdapterKind::Embedding);
        let misfits = all.filter(|entry| words.iter().all(|(name, _)| *name != entry.name));
        let misfits = misfits.map(|entry| entry.name.clone()).collect();
        Vocabulary::new(rows as u32, words, misfits)
    }

    /// The textual inversions that fit, with their files.
    pub fn fitting_embeddings<'a>(
        &self,
        adapters: &'a Adapters,
    ) -> impl Iterator<Item = (&'a Entry, &'a Arc<Embedding>)> {
        adapters.entries().iter().filter_map(|entry| match &entry.content {
            Ok(Content::Embedding(embedding)) => self.has_place_for(embedding).is_ok().then_some((entry, embedding)),
            _ => None,
        })
    }

    /// The reason names the file: an embedding's name alone may be a common word, and its file forgotten.
    fn fit(&self, entry: &Entry) -> Result<Fit, String> {
        let fit = entry.content.as_ref().map_err(Clone::clone).and_then(|content| match content {
            Content::Embedding(embedding) => self.has_place_for(embedding),
            Content::Lora(lora) => self.matched(lora),
            Content::Hypernetwork(network) => self.widened(network),
        });
        fit.map_err(|reason| format!("{reason} ({})", entry.place()))
    }

    fn has_place_for(&self, embedding: &Embedding) -> Result<Fit, String> {
        let tables = self.tables.as_ref().map_err(Clone::clone)?;
        let (own, theirs): (Vec<_>, Vec<_>) = (tables.iter().map(|(_, width)| *width).collect(), embedding.widths());
        match own == theirs {
            true => Ok(Fit { matched: embedding.count(), unmatched: 0 }),
            false => {
                let list = |widths: &[usize]| widths.iter().map(usize::to_string).collect::<Vec<_>>().join(" and ");
                Err(format!("its vectors must be {} wide, got {}", list(&own), list(&theirs)))
            }
        }
    }

    fn matched(&self, lora: &Lora) -> Result<Fit, String> {
        let parts = self.parts()?;
        let names: Vec<_> = parts.iter().map(|(part, graph)| (*part, graph.modules())).collect();
        let fit = lora.fit(&names);
        for place in &fit.places {
            let graph = parts.iter().find(|(part, _)| *part == place.part).map(|(_, graph)| graph);
            let parameter = |name| graph.and_then(|graph| graph.modules.get(&place.module, name));
            let group = &lora.groups()[place.group];
            if let Some(weight) = parameter("weight") {
                group.check(&weight.shape).map_err(|error| error.to_string())?;
            }
            if group.has_bias() && parameter("bias").is_none() {
                return Err(format!("it changes a bias of {}, which has none", place.module));
            }
        }
        match fit.places.len() {
            0 => {
                let (count, first) = (lora.groups().len(), lora.groups().first().map_or("", |group| group.name()));
                Err(format!("it has a place for none of the {count} modules, such as {first}"))
            }
            matched => Ok(Fit { matched, unmatched: fit.unmatched.len() }),
        }
    }

    /// All graphs that a LoRA may change.
    fn parts(&self) -> Result<Vec<(Part, &Anatomy)>, String> {
        let texts = (0..).zip(&self.texts).map(|(place, graph)| (Part::Text(place), graph));
        let all = texts.chain([(Part::Unet, &self.unet)]);
        all.map(|(part, graph)| graph.as_ref().map(|graph| (part, graph)).map_err(Clone::clone)).collect()
    }

    /// Bytes of the weights that a LoRA changes, in the text encoders and in the U-Net; nothing where it changes nothing.
    pub fn changed_bytes(&self, lora: &Lora) -> (Option<u64>, Option<u64>) {
        let parts = self.parts().unwrap_or_default();
        let names: Vec<_> = parts.iter().map(|(part, graph)| (*part, graph.modules())).collect();
        let size = |place: &Place| {
            let (_, graph) = parts.iter().find(|(part, _)| *part == place.part)?;
            graph.skeleton.initializer(&graph.modules.get(&place.module, "weight")?.initializer)?.size()
        };
        lora.fit(&names).places.iter().fold((None, None), |(texts, unet), place| {
            let more = |sum: Option<u64>| Some(sum.unwrap_or(0) + size(place).unwrap_or(0));
            if place.part == Part::Unet { (texts, more(unet)) } else { (more(texts), unet) }
        })
    }

    fn widened(&self, network: &Hypernetwork) -> Result<Fit, String> {
        let graph = self.unet.as_ref().map_err(Clone::clone)?;
        // Keys and values are made of what is as wide as the rows of their weights.
        let keys =
            graph.modules.iter().filter(|(module, parameter, _)| module.ends_with(".to_k") && *parameter == "weight");
        let own: BTreeSet<usize> = keys.filter_map(|(_, _, weight)| weight.shape.get(1).copied()).collect();
        let theirs: Vec<usize> = network.layers().keys().copied().collect();
        match theirs.iter().filter(|width| own.contains(width)).count() {
            0 => Err(format!("its widths {theirs:?} must be some of {own:?}")),
            matched => Ok(Fit { matched, unmatched: theirs.len() - matched }),
        }
    }
}

/// Rows and width of each encoder's token table. The names of embeddings stand for the same rows in all of them.
fn tables(texts: &[Result<Anatomy, String>]) -> Result<Vec<(usize, usize)>, String> {
    let size = |graph: &Result<Anatomy, String>| graph.as_ref().map_err(Clone::clone)?.growing_table();
    let sizes: Vec<_> = texts.iter().map(size).collect::<Result<_, _>>()?;
    match sizes.windows(2).all(|pair| pair[0].0 == pair[1].0) {
        true => Ok(sizes),
        false => Err("the text encoders have different vocabularies".to_owned()),
    }
}
