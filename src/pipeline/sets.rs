//! Text encoders and U-Nets with the adapters of a recipe in them. Those used last stay loaded.

use std::path::Path;
use std::sync::Arc;

use super::fault;
use super::loaded::Loaded;
use crate::job::{AdapterKind, Code, Failure, Progress, Recipe, Stage, Watch};
use crate::model::{
    Adapters, Content, Entry, EntryId, LoadError, PassError, Residency, Scaled, TextAdapters, TextEncoders, Unet,
    UnetAdapters,
};
use crate::weights::Hypernetwork;

/// What a recipe's passes run on.
pub(super) struct Set {
    pub(super) texts: Arc<TextEncoders>,
    pub(super) unet: Arc<Unet>,
    /// How much each of the U-Net's hypernetworks counts.
    pub(super) strengths: Vec<f32>,
    /// Whether an empty negative prompt stands for zeros.
    pub(super) zeros_for_empty: bool,
    /// Chunks that every text must have, where the U-Net was exported for a fixed number of tokens.
    pub(super) most_chunks: Option<usize>,
}

/// Loaded text encoders and U-Nets of all models.
pub(super) struct Sets(Residency<Key, Part>);

/// What makes a loaded part another one: strengths of hypernetworks do not.
#[derive(Clone, PartialEq)]
struct Key {
    model: String,
    /// Textual inversions, for text encoders alone.
    embeddings: Vec<EntryId>,
    loras: Vec<(EntryId, f32)>,
    kind: Kind,
}

#[derive(Clone, PartialEq)]
enum Kind {
    Texts { clip_skip: usize },
    Unet { hypernetworks: Vec<EntryId> },
}

enum Part {
    Texts(Arc<TextEncoders>),
    Unet(Arc<Unet>),
}

/// What a recipe asks of the store.
#[derive(Default)]
struct Wanted<'a> {
    clip_skip: usize,
    texts: Vec<Merge<'a>>,
    unet: Vec<Merge<'a>>,
    hypernetworks: Vec<(&'a Entry, Arc<Hypernetwork>)>,
    strengths: Vec<f32>,
}

/// A LoRA in the text encoders or in the U-Net.
struct Merge<'a> {
    entry: &'a Entry,
    scaled: Scaled,
    /// Of the weights that it changes.
    bytes: u64,
}

impl Sets {
    /// Keeps at most `memory` bytes of weights loaded, but always what was asked for last.
    pub(super) fn new(memory: u64) -> Self {
        Self(Residency::new(memory))
    }

    /// What a model runs on if nothing is asked of the store but its embeddings.
    pub(super) fn plain(&self, model: &Loaded, adapters: &Adapters) -> Result<Set, LoadError> {
        let clip_skip = usize::from(model.folder.defaults.clip_skip.get());
        self.load(model, adapters, Wanted { clip_skip, ..Wanted::default() }, &|| ())
    }

    /// What `recipe` runs on. Tells `watch` if something has to be loaded for it.
    pub(super) fn of(
        &self,
        model: &Loaded,
        adapters: &Adapters,
        recipe: &Recipe,
        watch: &dyn Watch,
    ) -> Result<Set, Failure> {
        if let Some(stop) = watch.stop() {
            return Err(Failure::stopped(stop));
        }
        let wanted = Wanted::of(model, adapters, recipe)?;
        let steps = usize::from(recipe.steps.get());
        let loading = || watch.progress(Progress { stage: Stage::Load, step: 0, steps, k: 0 });
        self.load(model, adapters, wanted, &loading).map_err(fault::load)
    }

    fn load(
        &self,
        model: &Loaded,
        adapters: &Adapters,
        wanted: Wanted<'_>,
        loading: &dyn Fn(),
    ) -> Result<Set, LoadError> {
        let keys = [wanted.unet_key(model), wanted.texts_key(model, adapters)];
        let sizes = wanted.bytes(model);
        self.0.make_room(&[(&keys[0], sizes[0]), (&keys[1], sizes[1])]);
        let load = || {
            let [unet, texts] = keys.clone();
            let unet = self.unet(model, (unet, sizes[0]), &wanted, loading)?;
            let most_chunks = model.most_chunks(&unet);
            let texts = self.texts(model, adapters, (texts, sizes[1]), &wanted, most_chunks, loading)?;
            Ok((texts, unet, most_chunks))
        };
        let (texts, unet, most_chunks) = match load() {
            // What nobody uses now may be what takes the memory.
            Err(LoadError::Folder { reason, .. }) if PassError::is_about_memory(&reason) => {
                self.0.keep_only(&[&keys[0], &keys[1]]);
                load()?
            }
            other => other?,
        };
        let zeros_for_empty = model.folder.force_zeros_for_empty_prompt;
        Ok(Set { texts, unet, strengths: wanted.strengths.clone(), zeros_for_empty, most_chunks })
    }

    fn texts(
        &self,
        model: &Loaded,
        adapters: &Adapters,
        (key, bytes): (Key, u64),
        wanted: &Wanted<'_>,
        most_chunks: Option<usize>,
        loading: &dyn Fn(),
    ) -> Result<Arc<TextEncoders>, LoadError> {
        let part = self.0.get(key, bytes, || {
            loading();
            let embeddings = &model.body.vocabulary(adapters);
            let (loras, clip_skip) = (&scaled(&wanted.texts), wanted.clip_skip);
            let adapters = TextAdapters { embeddings, loras, clip_skip, most_chunks };
            TextEncoders::load(&model.engine, &model.folder, &adapters).map(|texts| Part::Texts(Arc::new(texts)))
        })?;
        match &*part {
            Part::Texts(texts) => Ok(Arc::clone(texts)),
            Part::Unet(_) => Err(mixed_up(&model.folder.path)),
        }
    }

    fn unet(
        &self,
        model: &Loaded,
        (key, bytes): (Key, u64),
        wanted: &Wanted<'_>,
        loading: &dyn Fn(),
    ) -> Result<Arc<Unet>, LoadError> {
        let part = self.0.get(key, bytes, || {
            loading();
            let hypernetworks: Vec<_> = wanted.hypernetworks.iter().map(|(_, network)| Arc::clone(network)).collect();
            let adapters = UnetAdapters { loras: &scaled(&wanted.unet), hypernetworks: &hypernetworks };
            Unet::load(&model.engine, &model.folder, &adapters).map(|unet| Part::Unet(Arc::new(unet)))
        })?;
        match &*part {
            Part::Unet(unet) => Ok(Arc::clone(unet)),
            Part::Texts(_) => Err(mixed_up(&model.folder.path)),
        }
    }
}

impl<'a> Wanted<'a> {
    /// LoRAs go where they change something, in the order of their names; with scale 0 they are as good as absent.
    fn of(model: &Loaded, adapters: &'a Adapters, recipe: &Recipe) -> Result<Self, Failure> {
        let mut wanted = Self { clip_skip: usize::from(recipe.clip_skip.get()), ..Self::default() };
        let mut loras = recipe.loras();
        loras.sort_by(|one, other| one.name.cmp(&other.name));
        for asked in loras {
            let entry = find(adapters, AdapterKind::Lora, &asked.name)?;
            let Ok(Content::Lora(lora)) = &entry.content else { continue };
            let merge = |bytes: u64, scale: f64| {
                let (path, lora) = (entry.path.clone(), Arc::clone(lora));
                Merge { entry, scaled: Scaled { name: asked.name.clone(), path, lora, scale: scale as f32 }, bytes }
            };
            let (texts, unet) = model.body.changed_bytes(lora);
            wanted.texts.extend(texts.filter(|_| asked.text != 0.0).map(|bytes| merge(bytes, asked.text)));
            wanted.unet.extend(unet.filter(|_| asked.unet != 0.0).map(|bytes| merge(bytes, asked.unet)));
        }
        for asked in recipe.hypernetworks() {
            let entry = find(adapters, AdapterKind::Hypernetwork, &asked.name)?;
            let Ok(Content::Hypernetwork(network)) = &entry.content else { continue };
            wanted.hypernetworks.push((entry, Arc::clone(network)));
            wanted.strengths.push(asked.strength as f32);
        }
        Ok(wanted)
    }

    fn texts_key(&self, model: &Loaded, adapters: &Adapters) -> Key {
        let kind = Kind::Texts { clip_skip: self.clip_skip };
        let embeddings = model.body.fitting_embeddings(adapters).map(|(entry, _)| entry.id()).collect();
        Key { model: model.name.clone(), embeddings, loras: ids(&self.texts), kind }
    }

    /// Bytes of the U-Net and of the text encoders. A session holds changed weights twice, the second time as it packs them.
    fn bytes(&self, model: &Loaded) -> [u64; 2] {
        // Several LoRAs mostly change the same weights.
        let changed = |loras: &[Merge<'_>]| loras.iter().map(|lora| lora.bytes).max().unwrap_or(0);
        let (texts, unet) = model.body.bytes();
        [unet + changed(&self.unet), texts + changed(&self.texts)]
    }

    fn unet_key(&self, model: &Loaded) -> Key {
        let kind = Kind::Unet { hypernetworks: self.hypernetworks.iter().map(|(entry, _)| entry.id()).collect() };
        Key { model: model.name.clone(), embeddings: Vec::new(), loras: ids(&self.unet), kind }
    }
}

/// An adapter may have gone, or become another, since the recipe was accepted.
fn find<'a>(adapters: &'a Adapters, kind: AdapterKind, name: &str) -> Result<&'a Entry, Failure> {
    let entry = adapters.find(kind, name);
    let entry =
        entry.ok_or_else(|| Failure::new(Code::UnknownAdapter, format!("the {} {name} is gone", kind.name())))?;
    match &entry.content {
        Ok(_) => Ok(entry),
        Err(reason) => Err(Failure::new(Code::AdapterMismatch, format!("the {} {name}: {reason}", kind.name()))),
    }
}

fn ids(loras: &[Merge<'_>]) -> Vec<(EntryId, f32)> {
    loras.iter().map(|lora| (lora.entry.id(), lora.scaled.scale)).collect()
}

fn scaled(loras: &[Merge<'_>]) -> Vec<Scaled> {
    loras.iter().map(|lora| lora.scaled.clone()).collect()
}

/// Keys of text encoders never stand for U-Nets.
fn mixed_up(folder: &Path) -> LoadError {
    LoadError::Folder { file: folder.to_owned(), reason: "text encoder and U-Net are mixed up".to_owned() }
}
