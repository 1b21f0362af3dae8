//! What tests of this floor and of the pipeline share: one ONNX Runtime, and a model in miniature.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use ndarray::ArrayD;
use serde_json::{Value, json};

use super::{Engine, Folder, Options, Runtime};
use crate::job::{Progress, Stop, Watch};

/// The process takes only one.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::start(None).expect("these tests need ONNX Runtime"))
}

pub(crate) fn engine() -> Engine {
    Engine::start(runtime(), Options { threads: Some(1), ..Options::default() }).unwrap()
}

pub(crate) fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// The largest difference, as a share of the largest value. Shapes have to be the same, also in a control.
pub(crate) fn apart(got: &ArrayD<f32>, expected: &ArrayD<f32>) -> f32 {
    assert_eq!(got.shape(), expected.shape());
    super::trial::apart(got, expected)
}

/// One of the folders that come with the repository.
pub(crate) fn bundled(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name)
}

/// A model folder of the graphs in `tests/golden/graphs`: 8x8 pixels, one for each latent, and words of single letters.
pub(crate) struct Miniature(tempfile::TempDir);

impl Miniature {
    pub(crate) fn new() -> Self {
        let model = Self(tempfile::tempdir().unwrap());
        model.json("model_index.json", &json!({"_class_name": "StableDiffusionPipeline"}));
        model.json("text_encoder/config.json", &json!({"hidden_size": 1, "max_position_embeddings": 8}));
        model.json(
            "unet/config.json",
            &json!({"in_channels": 4, "out_channels": 4, "sample_size": 8, "cross_attention_dim": 1,
                "block_out_channels": [1, 1], "time_cond_proj_dim": null}),
        );
        model.json("vae_decoder/config.json", &json!({"block_out_channels": [1], "scaling_factor": 0.5}));
        model.json(
            "scheduler/scheduler_config.json",
            &json!({"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear", "beta_start": 0.00085,
                "beta_end": 0.012, "clip_sample": false, "steps_offset": 1, "set_alpha_to_one": false}),
        );
        model.json("tokenizer/tokenizer_config.json", &json!({"tokenizer_class": "CLIPTokenizer", "pad_token": "!"}));
        let letters = ('a'..='z').flat_map(|letter| [letter.to_string(), format!("{letter}</w>")]);
        let tokens =
            ["!".to_owned()].into_iter().chain(letters).chain(["<|startoftext|>", "<|endoftext|>"].map(str::to_owned));
        let vocabulary: serde_json::Map<_, _> = tokens.zip(0..).map(|(token, id)| (token, json!(id))).collect();
        model.json("tokenizer/vocab.json", &Value::Object(vocabulary));
        model.file("tokenizer/merges.txt", "#version: 0.2\n");
        model.with("text_encoder", "text_encoder").with("unet", "unet").with("vae_decoder", "decoder")
    }

    /// The same as SDXL: two encoders of widths 1 and 2, a pooled text of width 2.
    pub(crate) fn sdxl() -> Self {
        let model = Self::new().with("text_encoder", "text_encoder_hidden").with("text_encoder_2", "text_encoder_2");
        for file in ["tokenizer_config.json", "vocab.json", "merges.txt"] {
            let content = fs::read_to_string(model.path().join("tokenizer").join(file)).unwrap();
            model.file(&format!("tokenizer_2/{file}"), &content);
        }
        let second = json!({"hidden_size": 2, "max_position_embeddings": 8, "hidden_act": "gelu", "projection_dim": 2});
        model.json("text_encoder_2/config.json", &second);
        model
            .with("unet", "unet_sdxl")
            .set("tokenizer/tokenizer_config.json", "pad_token", "a".into())
            .set("model_index.json", "_class_name", "StableDiffusionXLPipeline".into())
            .set("model_index.json", "force_zeros_for_empty_prompt", true.into())
            .set("unet/config.json", "cross_attention_dim", 3.into())
            .set("unet/config.json", "addition_embed_type", "text_time".into())
            .set("unet/config.json", "addition_time_embed_dim", 4.into())
            .set("unet/config.json", "projection_class_embeddings_input_dim", 26.into())
    }

    /// The same as a latent consistency model, with an embedded scale of width 4.
    pub(crate) fn lcm() -> Self {
        Self::new().with("unet", "unet_lcm").set("unet/config.json", "time_cond_proj_dim", 4.into())
    }

    /// The same as diffusers' first converter wrote it, with the given U-Net.
    pub(crate) fn legacy(unet: &str) -> Self {
        let model = Self::new().with("text_encoder", "text_encoder_i32").with("unet", unet);
        ["text_encoder", "unet", "vae_decoder"]
            .into_iter()
            .fold(model, |model, part| model.without(&format!("{part}/config.json")))
            .set("model_index.json", "_class_name", "OnnxStableDiffusionPipeline".into())
    }

    /// The same with another graph.
    pub(crate) fn with(self, part: &str, graph: &str) -> Self {
        let from = golden("graphs").join(format!("{graph}.onnx"));
        fs::create_dir_all(self.path().join(part)).unwrap();
        fs::copy(from, self.path().join(part).join("model.onnx")).unwrap();
        self
    }

    /// The same with another value in a JSON file; null takes the key away.
    pub(crate) fn set(self, file: &str, key: &str, value: Value) -> Self {
        let mut whole: Value =
            serde_json::from_slice(&fs::read(self.path().join(file)).unwrap_or(b"{}".to_vec())).unwrap();
        whole[key] = value;
        whole.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        self.json(file, &whole);
        self
    }

    /// The same with another text in a file.
    pub(crate) fn text(self, file: &str, text: &str) -> Self {
        self.file(file, text);
        self
    }

    /// The same without a file.
    pub(crate) fn without(self, file: &str) -> Self {
        fs::remove_file(self.path().join(file)).unwrap();
        self
    }

    /// What it says about itself.
    pub(crate) fn folder(&self) -> Folder {
        Folder::open(self.path()).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn json(&self, file: &str, value: &Value) {
        self.file(file, &value.to_string());
    }

    fn file(&self, file: &str, text: &str) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

/// Writes down what it sees, and says stop after so many questions.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) stop_after: Option<usize>,
    pub(crate) questions: AtomicUsize,
    pub(crate) heartbeats: AtomicUsize,
    pub(crate) progress: Mutex<Vec<Progress>>,
}

impl Watch for Notes {
    fn progress(&self, progress: Progress) {
        self.progress.lock().unwrap().push(progress);
    }

    fn heartbeat(&self) {
        self.heartbeats.fetch_add(1, Ordering::Relaxed);
    }

    fn stop(&self) -> Option<Stop> {
        let asked = self.questions.fetch_add(1, Ordering::Relaxed);
        self.stop_after.is_some_and(|limit| asked >= limit).then_some(Stop::Cancelled)
    }
}
