//! A request is refused within the contract's bounds, or taken and the same once it was written out.

use diffused::job::request::{Arrival, Refused};
use diffused::job::{Origin, Request};
use diffused::service::Reporter;
use serde_json::Value;

use super::draw::Draw;
use super::ground::{arrival, assert_answer, rules};

/// Every field of the contract with values that it may have.
pub const FIELDS: &[(&str, &[&str])] = &[
    ("v", &["1"]),
    ("id", &["\"a1\"", "\"job_7-x\""]),
    ("prompt", &["\"a (red:1.3) cat\"", "\"x AND y\"", "\"[a:b:3] <lora:style:0.5>\"", "\"\""]),
    ("negative_prompt", &["\"\"", "\"blurred\""]),
    ("prompt_syntax", &["\"weighted\"", "\"plain\""]),
    ("model", &["\"flat\""]),
    ("seed", &["0", "-1", "null", "9007199254740991"]),
    ("seed_source", &["\"cpu\"", "\"cuda\""]),
    ("steps", &["1", "20", "150"]),
    ("sampler", &["\"euler\"", "\"ddim\"", "\"heun\"", "\"dpmpp_2m\"", "\"lcm\"", "\"euler_a\""]),
    ("schedule", &["\"model\"", "\"karras\"", "\"exponential\"", "\"sgm_uniform\""]),
    ("eta", &["0", "1"]),
    ("guidance_scale", &["0", "1", "7.5", "30"]),
    ("guidance_rescale", &["0", "1"]),
    ("guidance_interval", &["[0,1]", "[0.2,0.2]"]),
    ("guidance_ramp", &["\"constant\"", "\"cosine\""]),
    ("clip_skip", &["0", "2"]),
    ("width", &["8", "64", "8192"]),
    ("height", &["8", "64", "8192"]),
    ("count", &["1", "4", "16"]),
    ("init_image", &["null", PIXEL, "{\"upload\":\"cat\"}", "{\"result\":\"a1/0\"}"]),
    ("mask", &["null", PIXEL]),
    ("depth", &["null", PIXEL, "\"estimate\""]),
    ("strength", &["0", "0.75", "1"]),
    ("loras", &["[]", "[{\"name\":\"style\",\"scale\":-4}]"]),
    ("hypernetworks", &["[]"]),
    ("restart", &["{}", "{\"from\":0.1,\"to\":2,\"steps\":9,\"repeats\":1}"]),
    ("resample", &["{}", "{\"jump\":10,\"repeats\":2}"]),
    ("reuse", &["{}", "{\"interval\":1}"]),
    ("variation", &["{\"seed\":3,\"strength\":0.2}"]),
    ("s_noise", &["1"]),
    ("s_churn", &["0", "10"]),
    ("classifier", &["{\"label\":\"red\",\"scale\":2}"]),
    ("init_fit", &["\"crop\"", "\"pad\"", "\"stretch\""]),
    ("mask_feather", &["0", "8"]),
    ("mask_crop", &["0", "32"]),
    ("output", &["{}", "{\"format\":\"jpeg\",\"max_bytes\":4000}", "{\"format\":\"mono\",\"part_bytes\":512}"]),
    ("preview", &["{}", "{\"every\":2,\"size\":64}"]),
    ("progress", &["true", "false"]),
    ("priority", &["0", "9"]),
    ("deadline_ms", &["1000", "86400000"]),
    ("not_after", &["\"2026-01-02T03:04:05Z\""]),
    ("tags", &["{}", "{\"room\":\"kitchen\"}"]),
];

/// One grey pixel.
const PIXEL: &str =
    r#"{"data":"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="}"#;

/// The first byte says whether the rest is the payload itself, choices of fields, or a payload beside a picture.
pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind % 4 {
        0 => hold(&arrival(rest, Origin::Request)),
        1 => hold(&arrival(rest, Origin::Shortcut)),
        2 => {
            let payload = Value::Object(Draw(rest).object(FIELDS)).to_string();
            hold(&arrival(payload.as_bytes(), Origin::Request));
        }
        _ => {
            let at = rest.len().min(usize::from(*kind));
            let (payload, picture) = rest.split_at(at);
            let correlation = Some(&rest[..rest.len().min(64)]);
            hold(&Arrival { attachment: Some(picture), correlation, ..arrival(payload, Origin::Request) });
        }
    }
}

fn hold(arrival: &Arrival<'_>) {
    let rules = rules();
    match Request::parse(arrival, &rules) {
        Err(Refused { id, tags, rejection }) => {
            let id = id.as_ref().map_or("invalid-01234567", |id| id.as_str());
            assert_answer(&Reporter::new("jet1").rejected(id, &rejection, &tags));
        }
        Ok(request) => {
            assert!(request.recipe.size.pixels() <= rules.limits.pixels, "{}", request.recipe.size);
            let written = request.to_json();
            let stored = Arrival { payload: written.as_bytes(), attachment: None, ..arrival.clone() };
            let again = Request::parse(&stored, &rules.for_stored());
            let again = again.unwrap_or_else(|refused| panic!("{refused:?} after it was taken: {written}"));
            assert_eq!(again.recipe, request.recipe, "{written}");
            assert_eq!((&again.output, &again.id, &again.tags), (&request.output, &request.id, &request.tags));
            assert_eq!((again.preview, again.priority), (request.preview, request.priority));
        }
    }
}
