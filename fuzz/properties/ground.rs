//! A small model, and rules to hold requests against.

use std::sync::Arc;
use std::time::SystemTime;

use diffused::diffusion::{SchedulerConfig, sampler};
use diffused::job::request::Arrival;
use diffused::job::units::{Client, ClipSkip, GuidanceScale, JobId, Seed, Size, Steps};
use diffused::job::{AdapterFacts, AdapterKind, Fit, Limits, Mode, ModelFacts, Origin, Reading, Rules};
use serde_json::Value;

/// What an answer may have besides its tags, and what these may.
pub const ANSWER: usize = 640;

pub fn client() -> Client {
    Client::try_from("esp32").expect("a client")
}

pub fn rules() -> Rules {
    let limits = Limits { request_bytes: 1 << 20, prompt_chars: 4000, pixels: 1 << 12, steps: 150, count: 4 };
    Rules::bare(limits, vec![model()])
}

fn model() -> ModelFacts {
    ModelFacts {
        name: "flat".to_owned(),
        family: "sd1",
        precision: None,
        size: Size::new(64, 64).expect("a size"),
        fixed_size: false,
        multiple: 8,
        steps: Steps::try_from(4).expect("steps"),
        guidance_scale: GuidanceScale::try_from(5.0).expect("a scale"),
        guidance: "cfg",
        sampler: sampler::find("ddim").expect("a sampler"),
        scheduler: SchedulerConfig::parse("{}").expect("a scheduler"),
        modes: vec![Mode::Text, Mode::Image, Mode::Inpaint],
        encodes_at_random: false,
        placements: Vec::new(),
        estimates_depth: false,
        labels: vec!["red".to_owned()],
        reuses: false,
        read: Arc::new(|prompt, _| {
            let tokens = prompt.text().split_whitespace().count();
            Reading { tokens, chunks: tokens.div_ceil(75), ..Reading::default() }
        }),
        clip_skip: ClipSkip::NONE,
        most_clip_skip: ClipSkip::at_most(2),
        adapters: vec![AdapterFacts {
            kind: AdapterKind::Lora,
            name: "style".to_owned(),
            fit: Ok(Fit { matched: 5, unmatched: 2 }),
        }],
    }
}

/// A message of `client`, an hour after the beginning of time.
pub fn arrival<'a>(payload: &'a [u8], origin: Origin) -> Arrival<'a> {
    Arrival {
        client: client(),
        origin,
        payload,
        attachment: None,
        find: &|_| None,
        time: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(3600),
        correlation: None,
        expiry: None,
        fresh_id: JobId::random([7; 16]),
        fresh_seed: Seed::from(7),
    }
}

/// Holds an answer against the contract's bound and syntax.
pub fn assert_answer(body: &str) {
    let value: Value = serde_json::from_str(body).expect("an answer is JSON");
    let tags = value.get("tags").map_or(0, |tags| r#","tags":"#.len() + tags.to_string().len());
    assert!(body.len() <= ANSWER + tags, "{} bytes: {body}", body.len());
}
