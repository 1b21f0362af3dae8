//! All names against diffusers' converters, which go the other way.

use std::collections::BTreeMap;

use super::{Blocks, Checkpoint, Part, Source, in_folder};

/// Made by `tests/golden/names.py`: part, model, parameter and where it stands.
const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/names.json"));

type Golden = BTreeMap<String, BTreeMap<String, BTreeMap<String, Found>>>;

#[derive(serde::Deserialize)]
struct Found {
    whole: Option<String>,
    rows: Option<String>,
    third: Option<usize>,
    transposed: Option<String>,
    squeezed: Option<String>,
}

impl Found {
    fn source(&self) -> Source {
        match (&self.whole, &self.rows, self.third, &self.transposed, &self.squeezed) {
            (Some(key), ..) => Source::Whole(key.clone()),
            (_, Some(key), Some(third), ..) => Source::Rows { key: key.clone(), third },
            (.., Some(key), _) => Source::Transposed(key.clone()),
            (.., Some(key)) => Source::Squeezed(key.clone()),
            _ => panic!("a source of no kind"),
        }
    }
}

#[test]
fn every_parameter_is_found_where_diffusers_found_it() {
    let golden: Golden = serde_json::from_str(GOLDEN).unwrap();
    for (part, models) in &golden {
        let part = match part.as_str() {
            "unet" => Part::Unet,
            "vae" => Part::Vae,
            "text" => Part::Text(0),
            _ => Part::Text(1),
        };
        for (model, sources) in models {
            assert!(sources.len() >= 19, "{model}: {}", sources.len());
            check(part, model, sources);
        }
    }
}

fn check(part: Part, model: &str, sources: &BTreeMap<String, Found>) {
    let keys: Vec<String> = sources.values().map(|found| found.source().key().to_owned()).collect();
    let checkpoint = Checkpoint::of(keys.iter().map(String::as_str)).unwrap();
    let blocks = Blocks::of(sources.keys().map(String::as_str));
    for (name, found) in sources {
        assert_eq!(checkpoint.source(part, name, &blocks), Some(found.source()), "{part:?} of {model}: {name}");
    }
}

#[test]
fn a_wrong_number_of_layers_would_be_noticed() {
    let golden: Golden = serde_json::from_str(GOLDEN).unwrap();
    let [one, two] = ["toy", "sd1 and sd2"].map(|model| Blocks::of(golden["unet"][model].keys().map(String::as_str)));
    let name = "down_blocks.1.attentions.0.proj_in.weight";
    assert_ne!(super::original_unet(name, &one), super::original_unet(name, &two));
    assert_eq!(super::original_unet(name, &two).unwrap(), "input_blocks.4.1.proj_in.weight");
}

#[test]
fn names_of_no_model_have_no_place() {
    let blocks = Blocks::of(["down_blocks.0.resnets.1.conv1.weight"]);
    for name in ["", ".", "conv_inn.weight", "down_blocks.0", "down_blocks.x.resnets.0.conv1", "mid_block.motion.0.x"] {
        assert_eq!(super::original_unet(name, &blocks), None, "{name}");
    }
    assert_eq!(super::original_unet("down_blocks.99999999999999999999.resnets.0.conv1", &blocks), None);
    assert!(Checkpoint::of(["unet.conv_in.weight", "emb_params"]).is_none());
}

#[test]
fn old_folders_name_the_autoencoders_attention_otherwise() {
    let name = "decoder.mid_block.attentions.0.to_out.0.weight";
    let old = "decoder.mid_block.attentions.0.proj_attn.weight";
    assert_eq!(in_folder(name, |key| key == old), Source::Squeezed(old.to_owned()));
    assert_eq!(in_folder(name, |key| key == name), Source::Whole(name.to_owned()));
    let bias = ("encoder.mid_block.attentions.0.to_q.bias", "encoder.mid_block.attentions.0.query.bias");
    assert_eq!(in_folder(bias.0, |key| key == bias.1), Source::Squeezed(bias.1.to_owned()));
    let checkpoint = Checkpoint::of(["first_stage_model.decoder.mid.block_1.conv1.weight"]).unwrap();
    let exported_long_ago = checkpoint.source(Part::Vae, old, &Blocks::default());
    assert_eq!(
        exported_long_ago,
        Some(Source::Squeezed("first_stage_model.decoder.mid.attn_1.proj_out.weight".into()))
    );
}
