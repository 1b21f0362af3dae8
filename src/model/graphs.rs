//! Tests of graphs at work: every variant of a part is fed what it declares, and a running pass can be ended.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ndarray::{Array3, Array4, ArrayD};

use super::session::Feed;
use super::testing::{Miniature, Notes, engine, golden};
use super::*;
use crate::diffusion::{Input, Latents, Pass, Predict};
use crate::job::Stop;

fn folder(model: &Miniature) -> Folder {
    Folder::open(model.path()).unwrap()
}

fn unet(graph: &str) -> Result<Unet, LoadError> {
    let model = Miniature::new().with("unet", graph);
    Unet::load(&engine(), &folder(&model))
}

/// Both guidance passes of two pictures; the graphs compute sample / 2 + mean(text) / 64 + timestep / 4096.
fn passes(unet: &Unet) -> (Latents, Latents) {
    let latents = Array4::from_shape_fn([2, 4, 8, 16], |(picture, ..)| picture as f32);
    let (conditional, unconditional) = (Array3::from_elem([1, 5, 1], 8.0), Array3::from_elem([1, 5, 1], 16.0));
    let watch = Notes::default();
    let mut prompted = Prompted { unet, conditional: &conditional, unconditional: &unconditional, watch: &watch };
    let input = Input { latents: &latents, timestep: 512.0, step: 0, steps: 1, progress: 0.0 };
    let mut ask = |passes: &[Pass]| prompted.predict(input, passes).unwrap();
    let both = ask(&[Pass::Unconditional, Pass::Conditional(0)]);
    assert_eq!(ask(&[Pass::Unconditional]), both[..1]);
    assert_eq!(ask(&[Pass::Conditional(0)]), both[1..]);
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
    assert!(error.ends_with("unet/model.onnx: this version cannot feed the input timestep_cond"), "{error}");
}

#[test]
fn another_kind_of_graph_says_what_is_missing() {
    let error = unet("text_encoder").err().unwrap().to_string();
    assert!(error.contains("must have an input sample or latent of rank [4], got input_ids of rank 2"), "{error}");
}

#[test]
fn token_ids_may_be_of_either_width() {
    for graph in ["text_encoder", "text_encoder_i32"] {
        let model = Miniature::new().with("text_encoder", graph);
        let encoder = TextEncoder::load(&engine(), &folder(&model)).unwrap();
        let states = encoder.encode(&[vec![1024, 49_407], vec![0, 512]], &Notes::default()).unwrap();
        assert_eq!(states.dim(), (2, 2, 1));
        assert_eq!(states.into_raw_vec_and_offset().0, [1.0, 49_407.0 / 1024.0, 0.0, 0.5]);
    }
}

#[test]
fn a_decoder_is_given_the_unscaled_latents_whatever_its_ports_are_called() {
    for graph in ["decoder", "decoder_tensorrt", "decoder_f16"] {
        let model =
            Miniature::new().with("vae_decoder", graph).set("vae_decoder/config.json", "shift_factor", 0.25.into());
        let decoder = Decoder::load(&engine(), &folder(&model)).unwrap();
        let planes = decoder.decode(&Array4::from_elem([1, 4, 2, 2], 0.125), &Notes::default()).unwrap();
        assert_eq!(planes.dim(), (1, 3, 2, 2));
        assert!((planes[[0, 2, 1, 1]] - 0.5_f32.tanh()).abs() < 1e-3, "{graph}: {planes}");
    }
}

#[test]
fn a_missing_and_a_broken_graph_are_named() {
    let model = Miniature::new().without("unet/model.onnx");
    let error = Unet::load(&engine(), &folder(&model)).err().unwrap().to_string();
    assert!(error.contains("unet/model.onnx: the file is missing"), "{error}");
    let model = Miniature::new().text("unet/model.onnx", "no graph");
    let error = Unet::load(&engine(), &folder(&model)).err().unwrap().to_string();
    assert!(error.contains("unet/model.onnx: ONNX Runtime refuses it"), "{error}");
}

fn turn(engine: &Engine, turns: f32, watch: &Notes) -> Result<ArrayD<f32>, PassError> {
    let graph = engine.load(&golden("graphs/slow.onnx")).unwrap();
    let port = graph.ports.input(&["turns"], &[1]).unwrap().clone();
    graph.run(vec![Feed { port, value: ArrayD::from_elem(vec![1], turns) }], "end", watch)
}

#[test]
fn a_running_pass_can_be_ended_and_the_engine_goes_on() {
    let engine = engine();
    let watch = Notes { stop_after: Some(2), ..Notes::default() };
    let begun = Instant::now();
    let outcome = turn(&engine, 1e9, &watch);
    assert!(matches!(outcome, Err(PassError::Stopped(Stop::Cancelled))), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(watch.heartbeats.load(Ordering::Relaxed), 1);
    assert!((turn(&engine, 1.0, &Notes::default()).unwrap()[[0]] - 0.5_f32.sin()).abs() < 1e-6);
}
