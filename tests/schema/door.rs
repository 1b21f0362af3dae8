//! The parser, asked what it thinks of a document.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;
use std::{fs, iter};

use diffused::app::rules;
use diffused::config::Config;
use diffused::job::command::Command;
use diffused::job::request::Arrival;
use diffused::job::units::{Client, ClipSkip, JobId};
use diffused::job::{AdapterFacts, AdapterKind, Code, Fit, Mode, ModelFacts, Origin, Rejection, Request, Rules};
use serde_json::{Value, json};

use crate::support::node::facts;
use crate::support::program::root;

/// What the parser thinks.
#[derive(Debug)]
pub enum Door {
    /// It takes it, as far as a schema can tell.
    Taken,
    /// It refuses it.
    Refused(String),
    /// The contract has it, this version does not.
    Later,
}

/// A request that has every field.
pub fn everything() -> Value {
    const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==";
    let text = r#"{
        "v": 1, "id": "a1", "prompt": "x", "negative_prompt": "y", "prompt_syntax": "weighted", "model": "flat", "seed": 1,
        "seed_source": "cpu", "steps": 4, "sampler": "ddim", "schedule": "model", "eta": 0, "guidance_scale": 5,
        "guidance_rescale": 0, "guidance_interval": [0, 1], "guidance_ramp": "constant", "clip_skip": 0, "width": 64,
        "height": 64, "count": 1, "init_image": {"data": "PIXEL"}, "strength": 0.5, "mask": {"data": "PIXEL"},
        "depth": {"data": "PIXEL"}, "init_fit": "crop", "mask_feather": 0, "mask_crop": 0,
        "loras": [{"name": "style", "scale": 1, "text_encoder_scale": 1}], "hypernetworks": [{"name": "style", "scale": 1}],
        "restart": {"from": 0, "to": 1000, "steps": 9, "repeats": 1}, "resample": {"jump": 10, "repeats": 2},
        "variation": {"seed": 2, "strength": 0.5}, "s_noise": 1, "s_churn": 0, "reuse": {"interval": 2}, "classifier": {"label": "red", "scale": 1},
        "preview": {"every": 1, "size": 64},
        "output": {"format": "mono", "quality": 90, "width": 64, "height": 64, "fit": "cover", "rotate": 0, "dither": "none",
            "max_bytes": 100000, "metadata": false, "part_bytes": 4000, "push": true}, "progress": true, "priority": 5,
        "deadline_ms": 60000, "not_after": "2026-01-02T03:04:05Z", "tags": {"a": "b"}}"#;
    serde_json::from_str(&text.replace("PIXEL", PIXEL)).unwrap()
}

/// A request.
pub fn parse(payload: &[u8]) -> Door {
    match request(payload) {
        Ok(_) => Door::Taken,
        Err(rejection) => weigh(&rejection),
    }
}

/// A command.
pub fn parse_command(payload: &[u8]) -> Door {
    match Command::parse(payload, false, 100_000) {
        Ok(_) => Door::Taken,
        Err(refused) => weigh(&refused.rejection),
    }
}

/// Whether it is refused because of a field that the parser does not know.
pub fn is_unknown_field(payload: &[u8]) -> bool {
    request(payload).is_err_and(|rejection| rejection.message.contains("is not a field"))
}

/// What no schema can say: bounds that depend on each other or on the model, and numbers with a fraction of zero.
pub fn only_the_parser_knows(place: &str, document: &Value) -> bool {
    let value = document.pointer(place).unwrap_or(&Value::Null);
    match place {
        "/restart/from" => *value == json!(1000.0) || value.is_null(),
        "/restart/to" => value.as_f64() == Some(0.0),
        // The mask that stands beside it needs it.
        "/init_image" => value.is_null(),
        // Raw formats have no place for it.
        "/output/metadata" => *value == json!(true),
        "/classifier/label" => value.is_string(),
        "/guidance_interval" => {
            value.as_array().is_some_and(|pair| pair.len() == 2 && pair[0].as_f64() > pair[1].as_f64())
        }
        _ => false,
    }
}

/// Every text in the sources of the request that could be the name of a field.
pub fn words() -> &'static BTreeSet<String> {
    static WORDS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let is_name =
            |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let texts = sources(&root().join("src/job")).map(|path| fs::read_to_string(path).unwrap());
        texts.flat_map(|text| text.split('"').filter(is_name).map(str::to_owned).collect::<Vec<_>>()).collect()
    });
    &WORDS
}

fn request(payload: &[u8]) -> Result<Request, Rejection> {
    let arrival = Arrival {
        client: Client::try_from("esp32")?,
        origin: Origin::Request,
        payload,
        attachment: None,
        find: &|_| None,
        time: SystemTime::UNIX_EPOCH,
        correlation: None,
        expiry: None,
        fresh_id: JobId::random([0; 16]),
        fresh_seed: 0_u32.into(),
    };
    Request::parse(&arrival, &RULES).map_err(|refused| refused.rejection)
}

/// The most generous rules, so that only the contract's own bounds remain.
static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let file = Path::new("test.toml");
    let limits = "[node]\nname = 'jet1'\n[limits]\nsteps = 150\ncount = 16\npixels = 67108864\nprompt_chars = 4000";
    let adapter = |kind| AdapterFacts { kind, name: "style".to_owned(), fit: Ok(Fit { matched: 5, unmatched: 0 }) };
    let model = ModelFacts {
        modes: Mode::ALL.to_vec(),
        estimates_depth: true,
        most_clip_skip: ClipSkip::at_most(4),
        adapters: vec![adapter(AdapterKind::Lora), adapter(AdapterKind::Hypernetwork)],
        ..facts()
    };
    rules(&Config::parse(limits, file).unwrap(), vec![model], file).unwrap()
});

fn weigh(rejection: &Rejection) -> Door {
    // Names and pictures of a good shape that this node does not have are no matter of a schema.
    const BEYOND: [Code; 4] = [Code::UnknownModel, Code::UnknownAdapter, Code::InvalidImage, Code::NotFound];
    match rejection.code {
        Code::UnsupportedMode if rejection.message.contains("not supported by this version") => Door::Later,
        code if BEYOND.contains(&code) => Door::Taken,
        _ => Door::Refused(rejection.message.clone()),
    }
}

fn sources(folder: &Path) -> Box<dyn Iterator<Item = PathBuf>> {
    let entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    Box::new(entries.into_iter().flat_map(|path| {
        if path.is_dir() { sources(&path) } else { Box::new(iter::once(path)) as Box<dyn Iterator<Item = PathBuf>> }
    }))
}
