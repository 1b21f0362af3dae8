//! Tests of the pipeline on the model in miniature.

use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::{Pipeline, Source, Trace};
use crate::job::units::Seed;
use crate::job::{Code, Failure, Generate, Limits, Made, Reading, Recipe, Rules, Stage, Stop};
use crate::model::testing::{Miniature, Notes, runtime};
use crate::model::{Choice, LoadError, Options};
use crate::picture::{Encoding, Format, Picture, encode};
use crate::prompt::{Prompt, Syntax};

fn rules(pipeline: &Pipeline) -> Rules {
    Rules::bare(Limits::WIDEST, pipeline.facts())
}

pub(super) fn load(model: &Miniature) -> Result<Pipeline, LoadError> {
    let source = Source { name: "mini".to_owned(), folder: model.path().to_owned(), safety: true };
    Pipeline::load(runtime(), Options { threads: Some(1), ..Options::default() }, &[source], None)
}

/// A recipe of four steps with the given fields besides.
pub(super) fn recipe(pipeline: &Pipeline, fields: Value) -> Recipe {
    let mut all = json!({"prompt": "ab c", "steps": 4, "seed": 5});
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let Value::Object(all) = all else { unreachable!() };
    Recipe::from_fields(all, Seed::from(0), &rules(pipeline)).unwrap().recipe
}

/// A picture as it stands in a request.
pub(super) fn photo(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Value {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y))).flat_map(|(x, y)| pixel(x, y)).collect();
    let encoding = Encoding::of(Format::Png);
    let file = encode(&Picture::new(width, height, pixels).unwrap(), &encoding).unwrap();
    json!({"data": STANDARD.encode(file.bytes)})
}

fn make(pipeline: &Pipeline, fields: Value) -> Vec<Made> {
    pipeline.generate(&recipe(pipeline, fields), &Notes::default()).unwrap()
}

#[test]
fn picture_k_has_seed_plus_k_and_is_the_same_alone() {
    let pipeline = load(&Miniature::new()).unwrap();
    let both = make(&pipeline, json!({"count": 2}));
    assert_eq!(both.iter().map(|made| made.seed.get()).collect::<Vec<_>>(), [5, 6]);
    assert_ne!(both[0].picture, both[1].picture);
    assert_eq!(make(&pipeline, json!({"seed": 6}))[0], both[1]);
    assert_eq!((both[0].picture.width(), both[0].picture.height()), (8, 8));
}

#[test]
fn another_size_prompt_or_sampler_gives_another_picture() {
    let pipeline = load(&Miniature::new()).unwrap();
    let plain = make(&pipeline, json!({}));
    for other in [json!({"prompt": "z z z"}), json!({"negative_prompt": "z z"}), json!({"sampler": "euler"})] {
        assert_ne!(make(&pipeline, other.clone())[0].picture, plain[0].picture, "{other}");
    }
    let wide = make(&pipeline, json!({"width": 24, "height": 16}));
    assert_eq!((wide[0].picture.width(), wide[0].picture.height()), (24, 16));
}

#[test]
fn every_variant_of_the_graphs_gives_the_same_picture() {
    let plain = make(&load(&Miniature::new()).unwrap(), json!({}));
    let legacy = Miniature::new()
        .with("text_encoder", "text_encoder_i32")
        .with("unet", "unet_legacy")
        .with("vae_decoder", "decoder_tensorrt");
    assert_eq!(make(&load(&legacy).unwrap(), json!({})), plain);
    for graph in ["unet_batch_1", "unet_batch_3"] {
        assert_eq!(make(&load(&Miniature::new().with("unet", graph)).unwrap(), json!({})), plain, "{graph}");
    }
}

/// The model with sizes for dimensions that its U-Net leaves free.
fn with_sizes(model: &Miniature, sizes: &[(&str, u32)]) -> Result<Pipeline, LoadError> {
    let dimensions = sizes.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
    let graphs = [("unet".to_owned(), Choice { dimensions, ..Choice::default() })].into();
    let source = Source { name: "mini".to_owned(), folder: model.path().to_owned(), safety: true };
    Pipeline::load(runtime(), Options { threads: Some(1), graphs, ..Options::default() }, &[source], None)
}

#[test]
fn a_u_net_whose_sizes_are_fixed_by_the_configuration_is_one_that_was_exported_so() {
    let model = Miniature::new();
    let fixed = with_sizes(&model, &[("b", 2), ("h", 16), ("w", 24), ("s", 8)]).unwrap();
    let facts = fixed.facts().remove(0);
    assert_eq!((facts.fixed_size, facts.size.width(), facts.size.height()), (true, 24, 16));
    let free = load(&model).unwrap();
    let same = json!({"width": 24, "height": 16, "count": 3});
    assert_eq!(make(&fixed, same.clone()), make(&free, same));
    let error = Recipe::from_fields(
        json!({"prompt": "a", "width": 16, "height": 16}).as_object().unwrap().clone(),
        Seed::from(0),
        &rules(&fixed),
    );
    assert_eq!(error.unwrap_err().code, Code::SizeNotSupported);
}

#[test]
fn a_size_for_a_dimension_that_a_graph_does_not_have_is_a_fault_that_names_those_it_has() {
    let error = with_sizes(&Miniature::new(), &[("h", 8), ("height", 8)]).err().unwrap().to_string();
    let wanted = "unet/model.onnx: dimensions must be among those that it leaves free, b, h, s, w, got height";
    assert!(error.ends_with(wanted), "{error}");
}

#[test]
fn guidance_0_ignores_the_prompt_and_1_the_negative_prompt() {
    let pipeline = load(&Miniature::new()).unwrap();
    let ignoring = |scale: f64| {
        let fields = |prompt, negative| json!({"guidance_scale": scale, "prompt": prompt, "negative_prompt": negative});
        let of = |prompt: &str, negative: &str| make(&pipeline, fields(prompt.to_owned(), negative.to_owned()));
        (of("a", "b") == of("z z", "b"), of("a", "b") == of("a", "z z"))
    };
    assert_eq!(ignoring(0.0), (true, false));
    assert_eq!(ignoring(1.0), (false, true));
    assert_eq!(ignoring(7.5), (false, false));
}

#[test]
fn a_model_without_guidance_makes_one_pass_a_step() {
    let model = Miniature::new().set("diffused.json", "guidance", "none".into());
    let pipeline = load(&model).unwrap();
    assert_eq!(pipeline.facts()[0].guidance, "none");
    let watch = Notes::default();
    pipeline.generate(&recipe(&pipeline, json!({"guidance_scale": 7.5})), &watch).unwrap();
    assert_eq!(watch.heartbeats.load(Ordering::Relaxed), 1 + 4 + 1);
}

#[test]
fn what_the_safety_checker_flags_is_unsafe_content() {
    let model = Miniature::new()
        .with("safety_checker", "safety")
        .text("feature_extractor/preprocessor_config.json", r#"{"image_mean": [-9, -9, -9]}"#);
    let source = |safety| Source { name: "mini".to_owned(), folder: model.path().to_owned(), safety };
    let load =
        |safety| Pipeline::load(runtime(), Options { threads: Some(1), ..Options::default() }, &[source(safety)], None);
    let checked = load(true).unwrap();
    let failure = checked.generate(&recipe(&checked, json!({})), &Notes::default()).unwrap_err();
    assert_eq!(failure.code, Code::UnsafeContent);
    let unchecked = load(false).unwrap();
    assert_eq!(unchecked.generate(&recipe(&unchecked, json!({})), &Notes::default()).unwrap().len(), 1);
}

#[test]
fn progress_tells_every_stage_and_step_of_every_picture() {
    let pipeline = load(&Miniature::new()).unwrap();
    let watch = Notes::default();
    pipeline.generate(&recipe(&pipeline, json!({"count": 2})), &watch).unwrap();
    let seen = watch.progress.into_inner().unwrap();
    let seen: Vec<_> = seen.iter().map(|one| (one.stage, one.k, one.step)).collect();
    // Both pictures are small enough to be made together.
    let mut expected = vec![(Stage::Text, 0, 0)];
    expected.extend((0..4).map(|step| (Stage::Denoise, 0, step)));
    expected.extend([(Stage::Decode, 0, 4), (Stage::Decode, 1, 4)]);
    assert_eq!(seen, expected);
}

#[test]
fn it_stops_before_the_next_step() {
    let pipeline = load(&Miniature::new()).unwrap();
    for limit in 0..4 {
        let watch = Notes { stop_after: Some(limit), ..Notes::default() };
        let failure = pipeline.generate(&recipe(&pipeline, json!({})), &watch).unwrap_err();
        assert_eq!(failure, Failure::stopped(Stop::Cancelled));
        // A slow machine may be asked during a pass too, so there may be fewer steps.
        assert!(watch.progress.into_inner().unwrap().len() <= limit);
    }
}

#[test]
fn a_trace_holds_every_pass() {
    let pipeline = load(&Miniature::new()).unwrap();
    let mut trace = Trace::on();
    pipeline.trace(&recipe(&pipeline, json!({"count": 2})), &Notes::default(), &mut trace).unwrap();
    let file = trace.to_safetensors().unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    assert_eq!(tensors.tensor("tokens.conditional").unwrap().shape(), [8]);
    assert_eq!(tensors.tensor("embeddings.unconditional").unwrap().shape(), [1, 8, 1]);
    for k in 0..2 {
        // The first thing that the U-Net sees is the noise itself.
        let of = |name: &str| tensors.tensor(&format!("{k}.{name}")).unwrap().data().to_vec();
        assert_eq!(of("noise"), of("call.000.input"));
        assert_ne!(of("call.003.conditional"), of("call.003.unconditional"));
    }
    assert!(tensors.tensor("0.call.004.input").is_err());
}

#[test]
fn a_size_that_the_unet_cannot_halve_is_refused() {
    let model = Miniature::new().set("unet/config.json", "block_out_channels", json!([1, 1, 1, 1, 1]));
    let error = load(&model).err().unwrap().to_string();
    assert!(
        error.ends_with("diffused.json: width and height must be multiples of 16 for this U-Net, got 8x8"),
        "{error}"
    );
    let pipeline =
        load(&model.set("diffused.json", "width", 16.into()).set("diffused.json", "height", 16.into())).unwrap();
    let Value::Object(fields) = json!({"prompt": "a", "width": 24}) else { unreachable!() };
    let rejection = Recipe::from_fields(fields, Seed::from(0), &rules(&pipeline)).unwrap_err();
    assert_eq!(rejection.code, Code::SizeNotSupported);
    assert_eq!(rejection.message, "this model makes pictures with sides in multiples of 16, got 24x16");
}

#[test]
fn a_graph_for_one_size_makes_that_the_only_one() {
    let facts = load(&Miniature::new().with("unet", "unet_fixed_size")).unwrap().facts();
    assert_eq!((facts[0].size.to_string().as_str(), facts[0].fixed_size), ("16x8", true));
}

#[test]
fn tokens_are_counted_as_the_model_reads_them() {
    let facts = load(&Miniature::new()).unwrap().facts();
    let measure = |text: &str| {
        let Reading { tokens, chunks, embeddings, lost } =
            (facts[0].read)(&Prompt::parse(text, Syntax::Weighted), 4.try_into().unwrap());
        assert!(embeddings.is_empty() && lost == 0);
        (tokens, chunks)
    };
    assert_eq!(measure("ab c"), (3, 1));
    assert_eq!(measure("a [b c:d:2] [e|f g] (h:1.5) AND i"), (7, 1));
    assert_eq!(measure(&"a ".repeat(13)), (13, 3));
}

#[test]
fn an_empty_negative_prompt_is_nothing_where_the_model_was_trained_so() {
    let unconditional = |model: &Miniature, fields: Value| {
        let (pipeline, mut trace) = (load(model).unwrap(), Trace::on());
        pipeline.trace(&recipe(&pipeline, fields), &Notes::default(), &mut trace).unwrap();
        let bytes = trace.to_safetensors().unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let all = ["embeddings.unconditional", "pooled.unconditional"].map(|name| tensors.tensor(name).unwrap());
        let values = all.iter().flat_map(|tensor| tensor.data().as_chunks().0).map(|it| f32::from_le_bytes(*it));
        (all[0].shape().to_vec(), values.sum::<f32>())
    };
    let keeps = Miniature::sdxl().set("model_index.json", "force_zeros_for_empty_prompt", false.into());
    assert_eq!(unconditional(&Miniature::sdxl(), json!({})).1, 0.0);
    assert_eq!(unconditional(&Miniature::sdxl(), json!({"prompt": "a b c d e f g"})), (vec![1, 16, 3], 0.0));
    assert!(unconditional(&Miniature::sdxl(), json!({"negative_prompt": "a"})).1 > 0.0);
    assert!(unconditional(&keeps, json!({})).1 > 0.0);
}

#[test]
fn a_pass_that_fails_is_an_inference_failure() {
    // The graph wants 8x16 latents, whatever the folder says.
    let model = Miniature::new().with("unet", "unet_fixed_size");
    let pipeline = load(&model).unwrap();
    let mut recipe = recipe(&pipeline, json!({}));
    recipe.size = crate::job::units::Size::new(8, 8).unwrap();
    let failure = pipeline.generate(&recipe, &Notes::default()).unwrap_err();
    assert_eq!((failure.code, failure.stop), (Code::Inference, None));
}
