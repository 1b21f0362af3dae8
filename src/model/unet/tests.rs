//! Tests of U-Nets: every variant is fed what it declares, and one that is not what the folder says is refused.

use std::sync::atomic::Ordering;

use ndarray::{Array2, Array3, Array4, Axis};
use serde_json::json;

use super::super::testing::{Miniature, Notes, engine, runtime};
use super::super::{Conditioning, Engine, LoadError, Options, Timeline, UnetAdapters};
use super::{Kept, Prompted, Unet};
use crate::diffusion::{Input, Latents, Pass, Predict};

fn unet(graph: &str) -> Result<Unet, LoadError> {
    let model = Miniature::new().with("unet", graph);
    Unet::load(&engine(), &model.folder(), &UnetAdapters::default())
}

fn condition(states: &[f32], pooled: Option<[f32; 2]>) -> Timeline {
    let context = Array3::from_shape_fn([1, 5, states.len()], |(_, _, column)| states[column]);
    let pooled = pooled.map(|values| Array2::from_shape_vec([1, 2], values.to_vec()).unwrap());
    Timeline::constant(Conditioning { context, pooled })
}

/// Two pictures of 16x8 latents; the first is all 0, the second all 1.
fn latents() -> Latents {
    Array4::from_shape_fn([2, 4, 8, 16], |(picture, ..)| picture as f32)
}

const BOTH: [Pass; 2] = [Pass::Unconditional, Pass::Conditional(0)];

/// What the U-Net says to `passes`; it must say the same to each alone.
fn says(prompted: &mut Prompted, passes: &[Pass]) -> Vec<Latents> {
    let latents = latents();
    let input = Input { latents: &latents, timestep: 512.0, step: 0, steps: 1, progress: 0.0 };
    let all = prompted.predict(input, passes).unwrap();
    for (pass, output) in passes.iter().zip(&all) {
        assert_eq!(&prompted.predict(input, &[*pass]).unwrap()[0], output);
    }
    all
}

/// Both guidance passes of two pictures; the graphs compute sample / 2 + mean(text) / 64 + timestep / 4096.
fn passes(unet: &Unet) -> (Latents, Latents) {
    let (conditional, unconditional) = (condition(&[8.0], None), condition(&[16.0], None));
    let watch = Notes::default();
    let mut prompted = Prompted {
        unet,
        conditional: vec![&conditional],
        unconditional: &unconditional,
        extra: None,
        scale: 7.5,
        strengths: &[],
        kept: Kept::nothing(),
        watch: &watch,
    };
    let both = says(&mut prompted, &BOTH);
    (both[1].clone(), both[0].clone())
}

#[test]
fn every_variant_of_a_unet_is_fed_what_it_declares() {
    for graph in ["unet", "unet_legacy", "unet_one_time", "unet_batch_1", "unet_batch_3", "unet_f16", "unet_fixed_size"]
    {
        let (with, without) = passes(&unet(graph).unwrap());
        for picture in 0..2 {
            let (half, time) = (picture as f32 / 2.0, 0.125);
            assert_eq!(with[[picture, 3, 7, 15]], half + 0.125 + time, "{graph}");
            assert_eq!(without[[picture, 0, 0, 0]], half + 0.25 + time, "{graph}");
        }
    }
}

#[test]
fn a_fixed_size_is_known_before_the_first_pass() {
    assert_eq!(unet("unet_fixed_size").unwrap().fixed_size(), Some((16, 8)));
    assert_eq!(unet("unet").unwrap().fixed_size(), None);
}

#[test]
fn an_input_that_cannot_be_fed_is_named() {
    let error = unet("unet_extra_input").err().unwrap().to_string();
    assert!(error.ends_with("unet/model.onnx: this version cannot feed the input class_labels"), "{error}");
}

#[test]
fn another_kind_of_graph_says_what_is_missing() {
    let error = unet("text_encoder").err().unwrap().to_string();
    assert!(error.contains("must have an input sample or latent of rank [4], got input_ids of rank 2"), "{error}");
}

#[test]
fn passes_apart_say_the_same_as_one_batch() {
    let unet = |room| {
        let options = Options { threads: Some(1), room: Some(room), ..Options::default() };
        let model = Miniature::new();
        Unet::load(&Engine::start(runtime(), options).unwrap(), &model.folder(), &UnetAdapters::default()).unwrap()
    };
    assert_eq!(passes(&unet(1)), passes(&unet(1 << 20)));
}

#[test]
fn large_passes_run_apart_unless_a_fixed_batch_holds_them_all() {
    for (graph, runs) in [("unet", 2), ("unet_batch_1", 4), ("unet_batch_3", 2), ("unet_f16", 2)] {
        let options = Options { threads: Some(1), room: Some(2 * 8 * 16), ..Options::default() };
        let model = Miniature::new().with("unet", graph);
        let unet =
            Unet::load(&Engine::start(runtime(), options).unwrap(), &model.folder(), &UnetAdapters::default()).unwrap();
        let (text, watch) = (condition(&[8.0], None), Notes::default());
        let conditional = vec![&text];
        let mut prompted = Prompted {
            unet: &unet,
            conditional,
            unconditional: &text,
            extra: None,
            scale: 1.0,
            strengths: &[],
            kept: Kept::nothing(),
            watch: &watch,
        };
        let latents = latents();
        prompted.predict(Input { latents: &latents, timestep: 1.0, step: 0, steps: 1, progress: 0.0 }, &BOTH).unwrap();
        assert_eq!(watch.heartbeats.load(Ordering::Relaxed), runs, "{graph}");
    }
}

#[test]
fn every_condition_has_its_own_pass() {
    let (unet, watch) = (unet("unet").unwrap(), Notes::default());
    let (first, second) = (condition(&[8.0], None), condition(&[16.0], None));
    let conditional = vec![&first, &second];
    let mut prompted = Prompted {
        unet: &unet,
        conditional,
        unconditional: &first,
        extra: None,
        scale: 1.0,
        strengths: &[],
        kept: Kept::nothing(),
        watch: &watch,
    };
    let outputs = says(&mut prompted, &[Pass::Conditional(0), Pass::Conditional(1)]);
    assert_eq!((outputs[0][[0, 0, 0, 0]], outputs[1][[0, 0, 0, 0]]), (0.25, 0.375));
}

#[test]
fn sdxl_is_given_the_pooled_text_and_the_size() {
    for graph in ["unet_sdxl", "unet_sdxl_batch_1", "unet_sdxl_f16"] {
        let unet =
            Unet::load(&engine(), &Miniature::sdxl().with("unet", graph).folder(), &UnetAdapters::default()).unwrap();
        let with = condition(&[4.0, 8.0, 12.0], Some([1.0, 2.0]));
        let without = condition(&[0.0, 0.0, 0.0], Some([0.0, 0.0]));
        let (watch, conditional) = (Notes::default(), vec![&with]);
        let mut prompted = Prompted {
            unet: &unet,
            conditional,
            unconditional: &without,
            extra: None,
            scale: 1.0,
            strengths: &[],
            kept: Kept::nothing(),
            watch: &watch,
        };
        let outputs = says(&mut prompted, &BOTH);
        // Height 8 and width 16 as those of the original and of the result; nothing is cut off.
        let size = 8.0 / 64.0 + 16.0 / 32.0 + 8.0 / 16.0 + 16.0 / 8.0;
        for picture in 0..2 {
            let plain = picture as f32 / 2.0 + 0.125 + size;
            assert_eq!(outputs[0][[picture, 0, 0, 0]], plain, "{graph}");
            assert_eq!(outputs[1][[picture, 3, 7, 15]], plain + 8.0 / 64.0 + 1.0 / 8.0 + 2.0 / 4.0, "{graph}");
        }
    }
}

#[test]
fn a_latent_consistency_model_is_given_the_embedded_scale() {
    let unet = Unet::load(&engine(), &Miniature::lcm().folder(), &UnetAdapters::default()).unwrap();
    let (text, watch) = (condition(&[8.0], None), Notes::default());
    let said = |scale: f32| {
        let conditional = vec![&text];
        let mut prompted = Prompted {
            unet: &unet,
            conditional,
            unconditional: &text,
            extra: None,
            scale,
            strengths: &[],
            kept: Kept::nothing(),
            watch: &watch,
        };
        says(&mut prompted, &[Pass::Conditional(0)])[0][[1, 0, 0, 0]]
    };
    // No guidance is the angle 0: the sines are 0 and the cosines 1, with the weights 4 and 8.
    assert_eq!(said(1.0), 0.5 + 0.125 + 0.125 + 12.0);
    assert_ne!(said(8.5), said(1.0));
}

#[test]
fn the_other_channels_join_the_latents_in_their_order() {
    for (graph, channels) in [("unet_9", 9), ("unet_5", 5)] {
        let model = Miniature::new().with("unet", graph).set("unet/config.json", "in_channels", channels.into());
        let unet = Unet::load(&engine(), &model.folder(), &UnetAdapters::default()).unwrap();
        let (text, watch) = (condition(&[8.0], None), Notes::default());
        let extra = Array4::from_shape_fn([1, channels - 4, 8, 16], |(_, channel, y, _)| (channel * y) as f32);
        let say = |extra: Option<&Latents>| {
            let conditional = vec![&text];
            let mut prompted = Prompted {
                unet: &unet,
                conditional,
                unconditional: &text,
                extra,
                scale: 1.0,
                strengths: &[],
                kept: Kept::nothing(),
                watch: &watch,
            };
            let latents = latents();
            let input = Input { latents: &latents, timestep: 512.0, step: 0, steps: 1, progress: 0.0 };
            prompted.predict(input, &BOTH)
        };
        let outputs = say(Some(&extra)).unwrap();
        let weighed: usize = (0..channels - 4).map(|channel| (channel + 1) * channel * 3).sum();
        for (picture, output) in [(0, &outputs[0]), (1, &outputs[1])] {
            assert_eq!(output[[picture, 2, 3, 5]], picture as f32 / 2.0 + 0.25 + weighed as f32, "{graph}");
        }
        // One for each picture is taken too.
        let twice = ndarray::concatenate![Axis(0), extra, extra];
        assert_eq!(say(Some(&twice)).unwrap(), outputs);
        let missing = say(None).unwrap_err().to_string();
        assert!(missing.contains(&format!("{} channels must join the latents, got 0", channels - 4)), "{missing}");
    }
}

#[test]
fn a_unet_that_is_not_what_the_folder_says_is_refused() {
    let (inpaint, wide) = (json!(9), json!(3));
    let unet = "unet/config.json";
    let sdxl = || Miniature::sdxl().with("unet", "unet");
    let cases = [
        (
            Miniature::new().set(unet, "in_channels", inpaint),
            "dimension 1 of sample must be 9 as in_channels says, got 4 in [?, 4, ?, ?]",
        ),
        (sdxl(), "must have an input text_embeds of width 2 for addition_embed_type text_time, it has none"),
        (
            Miniature::lcm().with("unet", "unet"),
            "an input timestep_cond of width 4 for time_cond_proj_dim, it has none",
        ),
        (
            Miniature::lcm().set(unet, "time_cond_proj_dim", json!(8)),
            "dimension 1 of timestep_cond must be 8 as time_cond_proj_dim says, got 4 in [?, 4]",
        ),
        (
            Miniature::lcm().set(unet, "time_cond_proj_dim", json!(null)),
            "this version cannot feed the input timestep_cond",
        ),
        (
            Miniature::new().set(unet, "cross_attention_dim", wide.clone()).set(
                "text_encoder/config.json",
                "hidden_size",
                wide,
            ),
            "dimension 2 of encoder_hidden_states must be 3 as cross_attention_dim says, got 1 in [?, ?, 1]",
        ),
    ];
    for (model, reason) in cases {
        let error = Unet::load(&engine(), &model.folder(), &UnetAdapters::default()).err().unwrap().to_string();
        assert!(error.contains("unet/model.onnx") && error.ends_with(reason), "{error}");
    }
}
