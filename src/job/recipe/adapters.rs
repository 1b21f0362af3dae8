//! Adapters that a recipe names: in fields of their own and in the prompt.

use serde_json::{Value, json};

use super::Recipe;
use super::texts::Readings;
use crate::job::adapters::{self, AdapterKind};
use crate::job::fields::Fields;
use crate::job::outcome::Rejection;
use crate::job::rules::ModelFacts;
use crate::job::units::AdapterScale;
use crate::prompt::{Kind, Prompt};

/// A LoRA with its scales; a scale of 0 is as good as none.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// Its name in the store.
    pub name: String,
    /// How much it changes the text encoders.
    pub text: f64,
    /// How much it changes the U-Net.
    pub unet: f64,
}

/// A hypernetwork with its strength.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypernetwork {
    /// Its name in the store.
    pub name: String,
    /// How much it counts.
    pub strength: f64,
}

/// More of one kind than this are refused.
const MOST: usize = 16;

/// What a DreamArtist pair's second half is called.
const NEGATIVE: &str = "-neg";

/// Adapters that have fields of their own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AdapterWish {
    loras: Vec<Lora>,
    hypernetworks: Vec<Hypernetwork>,
}

impl AdapterWish {
    pub(super) fn take(fields: &mut Fields) -> Result<Self, Rejection> {
        let loras = list(fields, "loras", "loras.", |one| {
            let (name, scale) = named(one, "loras.name")?;
            let text: Option<AdapterScale> = one.real("text_encoder_scale")?;
            Ok(Lora { name, text: text.map_or(scale, AdapterScale::get), unet: scale })
        })?;
        let hypernetworks = list(fields, "hypernetworks", "hypernetworks.", |one| {
            named(one, "hypernetworks.name").map(|(name, strength)| Hypernetwork { name, strength })
        })?;
        Ok(Self { loras, hypernetworks })
    }

    pub(super) fn to_fields(&self) -> Vec<(&'static str, Value)> {
        let lora = |it: &Lora| json!({"name": it.name, "scale": it.unet, "text_encoder_scale": it.text});
        let hypernetwork = |it: &Hypernetwork| json!({"name": it.name, "scale": it.strength});
        vec![
            ("loras", self.loras.iter().map(lora).collect()),
            ("hypernetworks", self.hypernetworks.iter().map(hypernetwork).collect()),
        ]
    }

    /// The same as references in a prompt.
    pub(super) fn in_prompt(&self) -> String {
        let loras = self.loras.iter().map(|it| format!(" <lora:{}:{}:{}>", it.name, it.text, it.unet));
        let networks = self.hypernetworks.iter().map(|it| format!(" <hypernet:{}:{}>", it.name, it.strength));
        loras.chain(networks).collect()
    }
}

impl Recipe {
    /// The LoRAs of the fields and of the prompt; one that is named twice has the sum of the scales.
    pub fn loras(&self) -> Vec<Lora> {
        let prompt = self.prompt.references().iter().filter(|it| it.kind == Kind::Lora);
        let prompt =
            prompt.map(|it| Lora { name: it.name.clone(), text: f64::from(it.text_scale), unet: f64::from(it.scale) });
        let add = |known: &mut Lora, more: &Lora| {
            known.text += more.text;
            known.unet += more.unet;
        };
        summed(self.adapters.loras.iter().cloned().chain(prompt), |lora| &lora.name, add)
    }

    /// The hypernetworks of the fields and of the prompt, in the order in which they are applied.
    pub fn hypernetworks(&self) -> Vec<Hypernetwork> {
        let prompt = self.prompt.references().iter().filter(|it| it.kind == Kind::Hypernetwork);
        let prompt = prompt.map(|it| Hypernetwork { name: it.name.clone(), strength: f64::from(it.scale) });
        let add = |known: &mut Hypernetwork, more: &Hypernetwork| known.strength += more.strength;
        summed(self.adapters.hypernetworks.iter().cloned().chain(prompt), |network| &network.name, add)
    }

    /// The negative prompt with the second halves of the DreamArtist pairs that the prompt names.
    pub fn whole_negative_prompt(&self) -> Prompt {
        self.dream_artists().fold(self.negative_prompt.clone(), |prompt, (name, weight)| {
            prompt.with_embedding(&format!("{name}{NEGATIVE}"), weight)
        })
    }

    fn dream_artists(&self) -> impl Iterator<Item = (&str, f32)> {
        let pairs = self.prompt.references().iter().filter(|it| it.kind == Kind::DreamArtist);
        pairs.map(|it| (it.name.as_str(), it.scale))
    }

    /// Fails unless the store has all of it and it fits the model.
    pub(super) fn has_adapters(&self, model: &ModelFacts, readings: &Readings) -> Result<(), Rejection> {
        let place = |own: bool, field: &'static str| if own { field } else { "prompt" };
        let check = |kind, name: &str, field| adapters::fitting(&model.adapters, kind, name, field).map(drop);
        for lora in self.loras() {
            let own = self.adapters.loras.iter().any(|own| own.name == lora.name);
            check(AdapterKind::Lora, &lora.name, place(own, "loras"))?;
        }
        for network in self.hypernetworks() {
            let own = self.adapters.hypernetworks.iter().any(|own| own.name == network.name);
            check(AdapterKind::Hypernetwork, &network.name, place(own, "hypernetworks"))?;
        }
        for (field, reading) in readings {
            reading.embeddings.iter().try_for_each(|name| check(AdapterKind::Embedding, name, field))?;
        }
        for (name, _) in self.dream_artists() {
            check(AdapterKind::Embedding, name, "prompt")?;
            check(AdapterKind::Embedding, &format!("{name}{NEGATIVE}"), "prompt")?;
        }
        match self.loras().len().max(self.hypernetworks().len()) {
            count if count > MOST => {
                Err(Rejection::field("prompt", format!("at most {MOST} adapters of a kind may be used, got {count}")))
            }
            _ => Ok(()),
        }
    }

    /// How many modules of the LoRAs have no place in the model, by name; those that fit wholly are left out.
    pub fn unmatched(&self, model: &ModelFacts) -> Vec<(String, adapters::Fit)> {
        let fit = |name: &str| adapters::fitting(&model.adapters, AdapterKind::Lora, name, "").ok()?.fit.clone().ok();
        let found = self.loras().into_iter().filter_map(|lora| fit(&lora.name).map(|fit| (lora.name, fit)));
        found.filter(|(_, fit)| fit.unmatched > 0).collect()
    }
}

/// All of them in their order; one of a name that was there before is added to that.
fn summed<T>(all: impl Iterator<Item = T>, name: impl Fn(&T) -> &String, add: impl Fn(&mut T, &T)) -> Vec<T> {
    let mut sums: Vec<T> = Vec::new();
    for one in all {
        match sums.iter_mut().find(|known| name(known) == name(&one)) {
            Some(known) => add(known, &one),
            None => sums.push(one),
        }
    }
    sums
}

/// The objects of a list, each read whole.
fn list<T>(
    fields: &mut Fields,
    key: &str,
    place: &'static str,
    read: impl Fn(&mut Fields) -> Result<T, Rejection>,
) -> Result<Vec<T>, Rejection> {
    let wrong = || Rejection::field(key, format!("{key} must be a list of at most {MOST} objects with name and scale"));
    match fields.given(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(list)) if list.len() <= MOST => list
            .into_iter()
            .map(|one| {
                let Value::Object(map) = one else { return Err(wrong()) };
                let mut one = Fields::within(map, place);
                let value = read(&mut one)?;
                one.finish().map(|()| value)
            })
            .collect(),
        Some(_) => Err(wrong()),
    }
}

fn named(fields: &mut Fields, place: &str) -> Result<(String, f64), Rejection> {
    let name = fields.text("name")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Rejection::field(place, format!("{place} is required")))?;
    let scale: Option<AdapterScale> = fields.real("scale")?;
    Ok((name, scale.map_or(1.0, AdapterScale::get)))
}
