//! Graphs on something else than ONNX Runtime's own CPU kernels. OpenVINO needs no device, so it stands for all.

use std::path::PathBuf;

use serde_json::json;

use crate::support::broker::Mosquitto;
use crate::support::listener::Listener;
use crate::support::pixels::Pixels;
use crate::support::program::{Service, complaint, root, run};

/// The library that `deploy/test.sh` brings.
fn openvino() -> PathBuf {
    let folder = root().join("target/onnxruntime-openvino");
    let file = folder.join("libonnxruntime.so");
    let how = "deploy/onnxruntime.sh target/onnxruntime-openvino x86_64 openvino";
    assert!(file.is_file(), "{} must be there for this test: run {how}", file.display());
    file
}

fn generate(seed: &str, arguments: &[&str]) -> Vec<[u8; 3]> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.png");
    let base = ["generate", "a red circle", "--seed", seed, "--threads", "1", "-o", file.to_str().unwrap()];
    let output = run(&[&base, arguments].concat());
    assert!(output.status.success(), "{}", complaint(&output));
    Pixels::of_png(&std::fs::read(file).unwrap()).rgb
}

/// The largest difference of two pictures in one channel.
fn apart(one: &[[u8; 3]], other: &[[u8; 3]]) -> u8 {
    assert_eq!(one.len(), other.len());
    one.iter().flatten().zip(other.iter().flatten()).map(|(one, other)| one.abs_diff(*other)).max().unwrap()
}

#[test]
#[cfg(target_arch = "x86_64")]
fn openvino_makes_the_same_picture_and_keeps_what_it_compiled() {
    let cache = tempfile::tempdir().unwrap();
    let library = openvino();
    let openvino = ["--accelerator", "openvino", "--library", library.to_str().unwrap()];
    let cpu = generate("1", &[]);
    let arguments = [&openvino[..], &["--cache", cache.path().to_str().unwrap()]].concat();
    for _ in 0..2 {
        let picture = generate("1", &arguments);
        assert!(apart(&picture, &cpu) <= 2, "{}", apart(&picture, &cpu));
    }
    let compiled =
        std::fs::read_dir(cache.path()).unwrap().flatten().flat_map(|entry| entry.path().read_dir().unwrap());
    assert!(compiled.flatten().any(|file| file.path().extension().is_some_and(|end| end == "blob")));
    // The control: another seed is another picture.
    assert!(apart(&generate("2", &arguments), &cpu) > 20);
}

#[test]
#[cfg(target_arch = "x86_64")]
fn a_node_tells_on_what_the_nodes_of_its_graphs_run_and_refuses_to_start_where_all_have_to() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let engine = format!("[engine]\naccelerator = 'openvino'\nthreads = 1\nlibrary = '{}'\n", openvino().display());
    let service = Service::with(&broker, &engine, |_| {});
    let info = listener.first_where("jet1/info", |heard| heard.json()["models"] != json!([])).json();
    let placements = &info["models"][0]["placements"];
    let on = |graph: &str, provider: &str| placements[graph][provider].as_u64();
    assert!(on("unet", "OpenVINOExecutionProvider").is_some() && on("unet", "CPUExecutionProvider").is_none());
    // Its gradients need an operator that OpenVINO has not.
    assert!(on("classifier", "CPUExecutionProvider").is_some(), "{placements}");
    assert_eq!(info["accelerator"], json!("openvino"));
    drop(service);
    let mut strict = Service::with(&broker, &format!("{engine}require = 'all'\n"), |_| {});
    assert_eq!(strict.wait(), Some(69));
}

#[test]
fn an_accelerator_that_is_not_there_is_an_error_and_never_the_cpu() {
    let output = run(&["generate", "x", "-o", "a.png", "--accelerator", "cuda"]);
    assert_eq!(output.status.code(), Some(69));
    let told = complaint(&output);
    assert!(told.contains("the accelerator cuda cannot be used") && told.contains("it has: cpu"), "{told}");
    let output = run(&["generate", "x", "-o", "a.png", "--accelerator", "npu"]);
    assert_eq!(output.status.code(), Some(64));
}
