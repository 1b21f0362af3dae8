//! Tests of graphs at work: a missing one is named, and a running pass can be ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ndarray::{Array4, ArrayD};

use super::session::Feed;
use super::testing::{Miniature, Notes, apart, bundled, engine, golden, runtime};
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

/// An engine that keeps what it optimises.
fn keeping(cache: &Path) -> Engine {
    let options = Options { threads: Some(1), cache: Some(Cache::new(cache.to_owned())), ..Options::default() };
    Engine::start(runtime(), options).unwrap()
}

/// The one entry of a cache.
fn entry(cache: &Path) -> PathBuf {
    let entries: Vec<_> = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

#[test]
fn an_optimised_graph_is_kept_for_the_next_start_and_gives_the_same_values() {
    let cache = tempfile::tempdir().unwrap();
    let wanted = turn(&engine(), 3.0, &Notes::default()).unwrap();
    for _ in 0..2 {
        assert_eq!(turn(&keeping(cache.path()), 3.0, &Notes::default()).unwrap(), wanted);
    }
    // What is kept is what runs: with another graph in its place there is another result.
    let other = tempfile::tempdir().unwrap();
    keeping(other.path()).load(&golden("graphs/decoder.onnx")).unwrap();
    let (kept, planted) = (entry(cache.path()), entry(other.path()));
    for file in fs::read_dir(&planted).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), kept.join(file.file_name())).unwrap();
    }
    let graph = keeping(cache.path()).load(&golden("graphs/slow.onnx")).unwrap();
    assert!(graph.ports.input(&["turns"], &[1]).is_err());
}

#[test]
fn a_kept_graph_that_cannot_be_read_is_made_again() {
    let cache = tempfile::tempdir().unwrap();
    let wanted = turn(&keeping(cache.path()), 3.0, &Notes::default()).unwrap();
    let kept = entry(cache.path()).join("model.onnx");
    let good = fs::read(&kept).unwrap();
    fs::write(&kept, vec![0xff; good.len()]).unwrap();
    assert_eq!(turn(&keeping(cache.path()), 3.0, &Notes::default()).unwrap(), wanted);
    assert_eq!(fs::read(&kept).unwrap(), good);
}

#[test]
fn a_cache_that_cannot_be_written_keeps_nobody_from_working() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(turn(&keeping(&file.path().join("in a file")), 3.0, &Notes::default()).is_ok());
}

#[test]
fn an_accelerator_that_the_library_was_made_without_is_named_with_those_that_it_has() {
    let options = Options { accelerator: Accelerator::Qnn.into(), ..Options::default() };
    let error = Engine::start(runtime(), options).unwrap().load(&golden("graphs/slow.onnx")).err().unwrap();
    assert_eq!(
        error.to_string(),
        "the accelerator qnn cannot be used: this ONNX Runtime was made without it, it has: cpu"
    );
}

#[test]
fn a_graph_may_run_on_something_else_than_the_rest() {
    let model = Miniature::new();
    let graphs = [("unet".to_owned(), Accelerator::Qnn.into())].into();
    let engine = Engine::start(runtime(), Options { graphs, ..Options::default() }).unwrap();
    assert!(Decoder::load(&engine, &model.folder()).is_ok());
    assert!(Unet::load(&engine, &model.folder(), &UnetAdapters::default()).is_err());
}

#[test]
fn weights_of_16_bits_are_widened_beforehand_or_in_every_pass_with_the_same_values() {
    // The bundled model stores its weights in 16 bits.
    let run = |compact: bool| {
        let cache = tempfile::tempdir().unwrap();
        let accelerator = Choice { compact, ..Choice::default() };
        let options = Options {
            accelerator,
            threads: Some(1),
            cache: Some(Cache::new(cache.path().to_owned())),
            ..Options::default()
        };
        let engine = Engine::start(runtime(), options).unwrap();
        let folder = Folder::open(&bundled("shapes")).unwrap();
        let decoder = Decoder::load(&engine, &folder).unwrap();
        let latents =
            Array4::from_shape_fn([1, 4, 8, 8], |(_, c, y, x)| (c as f32 - 1.5) * (x as f32 - y as f32) / 4.0);
        let kept = fs::metadata(entry(cache.path()).join("weights.bin")).unwrap().len();
        (decoder.decode(&latents, &Notes::default()).unwrap().into_dyn(), kept)
    };
    let ((wide, folded), (same, stored)) = (run(false), run(true));
    assert!(apart(&wide, &same) < 1e-5, "{}", apart(&wide, &same));
    assert!(stored * 3 < folded * 2, "{stored} bytes are kept of {folded}");
}
