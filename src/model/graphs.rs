//! Tests of graphs at work: a missing one is named, and a running pass can be ended.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ndarray::{Array4, ArrayD};

use super::session::Feed;
use super::testing::{Miniature, Notes, engine, golden};
use super::*;
use crate::job::Stop;

#[test]
fn a_decoder_is_given_the_unscaled_latents_whatever_its_ports_are_called() {
    for graph in ["decoder", "decoder_tensorrt", "decoder_f16"] {
        let model =
            Miniature::new().with("vae_decoder", graph).set("vae_decoder/config.json", "shift_factor", 0.25.into());
        let decoder = Decoder::load(&engine(), &model.folder()).unwrap();
        let planes = decoder.decode(&Array4::from_elem([1, 4, 2, 2], 0.125), &Notes::default()).unwrap();
        assert_eq!(planes.dim(), (1, 3, 2, 2));
        assert!((planes[[0, 2, 1, 1]] - 0.5_f32.tanh()).abs() < 1e-3, "{graph}: {planes}");
    }
}

#[test]
fn a_missing_and_a_broken_graph_are_named() {
    let model = Miniature::new().without("unet/model.onnx");
    let error = Unet::load(&engine(), &model.folder(), &UnetAdapters::default()).err().unwrap().to_string();
    assert!(error.contains("unet/model.onnx: the file is missing"), "{error}");
    let model = Miniature::new().text("unet/model.onnx", "no graph");
    let error = Unet::load(&engine(), &model.folder(), &UnetAdapters::default()).err().unwrap().to_string();
    assert!(error.contains("unet/model.onnx: ONNX Runtime refuses it"), "{error}");
}

fn turn(engine: &Engine, turns: f32, watch: &Notes) -> Result<ArrayD<f32>, PassError> {
    let graph = engine.load(&golden("graphs/slow.onnx")).unwrap();
    let port = graph.ports.input(&["turns"], &[1]).unwrap().clone();
    let mut values = graph.run(vec![Feed { port, value: ArrayD::from_elem(vec![1], turns) }], &["end"], watch)?;
    Ok(values.remove(0))
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
