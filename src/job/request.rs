//! A request: what to make, for whom, how to hand it over, and until when. One that exists is valid.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::fields::Fields;
use super::outcome::{Code, Rejection};
use super::output::Output;
use super::preview::PreviewWish;
pub use super::recipe::Reference;
use super::recipe::{Recipe, Sources};
use super::rules::Rules;
use super::units::{Client, DeadlineMs, JobId, Priority, Seed, Tags, shown};

/// A valid request.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Who asked.
    pub client: Client,
    /// The requester's name for the job; unique for this client.
    pub id: JobId,
    /// Through which door it came, which decides where the answer goes.
    pub origin: Origin,
    /// What to make.
    pub recipe: Recipe,
    /// How to encode it.
    pub output: Output,
    /// Whether progress is to be told.
    pub progress: bool,
    /// Whether the picture so far is to be shown.
    pub preview: Option<PreviewWish>,
    /// Nine goes first.
    pub priority: Priority,
    /// When the picture is of no use any more.
    pub deadline: Option<SystemTime>,
    /// Come back with every status.
    pub tags: Tags,
    /// What the requester should know.
    pub warnings: Vec<String>,
}

/// The doors of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `prompt`: the newest picture goes to `image`.
    Shortcut,
    /// `request/<client>`: everything goes to `reply/<client>/<id>`.
    Request,
}

/// A message as it arrived, and what is drawn for it: a request without an id or a seed gets these.
#[derive(Clone)]
pub struct Arrival<'a> {
    /// Who sent it.
    pub client: Client,
    /// Through which door.
    pub origin: Origin,
    /// The message.
    pub payload: &'a [u8],
    /// An init image that came beside the message.
    pub attachment: Option<&'a [u8]>,
    /// Finds the file of a picture that is already here and that the message names.
    pub find: &'a dyn Fn(&Reference) -> Option<Vec<u8>>,
    /// When it came.
    pub time: SystemTime,
    /// Correlation Data of MQTT 5, a second place for the id.
    pub correlation: Option<&'a [u8]>,
    /// Message Expiry of MQTT 5, a second place for the deadline.
    pub expiry: Option<Duration>,
    /// An id nobody has used.
    pub fresh_id: JobId,
    /// A seed at random.
    pub fresh_seed: Seed,
}

/// Why a message did not become a request, with the id to answer to.
#[derive(Debug, PartialEq)]
pub struct Refused {
    /// The requester's id, or one made of the payload's hash where it cannot be read.
    pub id: Option<JobId>,
    /// Its tags, as far as they can be read.
    pub tags: Tags,
    /// What is wrong.
    pub rejection: Rejection,
}

impl Request {
    /// The one door: a message becomes a request, or says why not.
    pub fn parse(arrival: &Arrival<'_>, rules: &Rules) -> Result<Self, Refused> {
        let anonymous = |rejection| Refused { id: None, tags: Tags::default(), rejection };
        let bytes = arrival.payload.len() + arrival.attachment.map_or(0, <[u8]>::len);
        if bytes > rules.limits.request_bytes {
            let limit = rules.limits.request_bytes;
            let message = format!("a request must be at most {limit} bytes, got {bytes}");
            return Err(anonymous(Rejection::new(Code::PayloadTooLarge, message)));
        }
        let mut fields = fields(arrival.payload).map_err(anonymous)?;
        let id = id(&mut fields, arrival.correlation).map_err(anonymous)?;
        let (known, tags) = (id.clone(), fields.look("tags").and_then(Tags::peek).unwrap_or_default());
        Self::take(fields, id, arrival, rules).map_err(|rejection| Refused { id: known, tags, rejection })
    }

    /// What a bare prompt becomes under these rules: whether defaults hold, and which.
    pub fn bare(origin: Origin, rules: &Rules) -> Result<Self, Rejection> {
        let arrival = Arrival {
            client: Client::shortcut(),
            origin,
            payload: b"probe",
            attachment: None,
            find: &|_| None,
            time: SystemTime::UNIX_EPOCH,
            correlation: None,
            expiry: None,
            fresh_id: JobId::random([0; 16]),
            fresh_seed: 0_u32.into(),
        };
        Self::parse(&arrival, rules).map_err(|refused| refused.rejection)
    }

    /// The id and the tags of a message that is refused without being parsed, as far as they can be read.
    pub fn label(payload: &[u8], correlation: Option<&[u8]>) -> (Option<JobId>, Tags) {
        let Ok(mut fields) = fields(payload) else { return Default::default() };
        let tags = fields.look("tags").and_then(Tags::peek).unwrap_or_default();
        (id(&mut fields, correlation).ok().flatten(), tags)
    }

    fn take(mut fields: Fields, id: Option<JobId>, arrival: &Arrival<'_>, rules: &Rules) -> Result<Self, Rejection> {
        match fields.take("v") {
            None => {}
            Some(version) if version == json!(1) => {}
            Some(_) => return Err(Rejection::of_field(Code::UnsupportedVersion, "v", "v must be 1")),
        }
        let output = fields.object("output", "output.")?;
        if arrival.origin == Origin::Shortcut {
            fields.fill(&rules.shortcut_defaults);
        }
        fields.fill(&without_output(&rules.defaults));
        let sources = Sources { attachment: arrival.attachment, find: arrival.find };
        let parsed = Recipe::take(&mut fields, arrival.fresh_seed, rules, &sources)?;
        let output = Output::of_request(output, arrival.origin, rules, parsed.recipe.size)?;
        let request = Self {
            client: arrival.client.clone(),
            id: id.unwrap_or_else(|| arrival.fresh_id.clone()),
            origin: arrival.origin,
            recipe: parsed.recipe,
            output,
            progress: fields.flag("progress")?.unwrap_or(true),
            preview: PreviewWish::take(&mut fields)?,
            priority: fields.whole("priority")?.map_or_else(|| Priority::try_from(5), Ok)?,
            deadline: deadline(&mut fields, arrival)?,
            tags: Tags::new(fields.pairs("tags")?)?,
            warnings: parsed.warnings,
        };
        fields.finish()?;
        Ok(request)
    }

    /// The tags of a request that was written out by [`to_json`](Self::to_json).
    pub fn tags_of(json: &str) -> Tags {
        let tags = Fields::parse(json.as_bytes()).and_then(|mut fields| fields.pairs("tags")).and_then(Tags::new);
        tags.unwrap_or_default()
    }

    /// The request as a payload, every default written out: parsed again it gives the same request.
    pub fn to_json(&self) -> String {
        let mut fields = self.recipe.to_fields();
        let mut put = |key: &str, value: Value| drop(fields.insert(key.to_owned(), value));
        put("id", json!(self.id.as_str()));
        put("output", self.output.to_json());
        put("progress", json!(self.progress));
        if let Some(preview) = self.preview {
            put("preview", preview.to_json());
        }
        put("priority", json!(self.priority.get()));
        put(
            "tags",
            self.tags.pairs().iter().map(|(key, value)| (key.clone(), json!(value))).collect::<Map<_, _>>().into(),
        );
        if let Some(deadline) = self.deadline {
            put("not_after", json!(humantime::format_rfc3339_millis(deadline).to_string()));
        }
        Value::Object(fields).to_string()
    }
}

/// Reads one JSON object without duplicate keys, as requests are read.
pub fn object(payload: &[u8]) -> Result<Map<String, Value>, Rejection> {
    super::json::object(payload)
}

/// Behind it JSON would pass for a prompt.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// JSON if the first character that is not blank is a brace, else the whole text is the prompt.
fn fields(payload: &[u8]) -> Result<Fields, Rejection> {
    if payload.trim_ascii_start().first() == Some(&b'{') {
        return Fields::parse(payload);
    }
    if payload.starts_with(BYTE_ORDER_MARK) {
        return Err(Rejection::new(Code::Malformed, "a request must not begin with a byte order mark"));
    }
    let text = std::str::from_utf8(payload)
        .map_err(|fault| Rejection::new(Code::Malformed, format!("a prompt must be UTF-8: {fault}")))?;
    Ok(Fields::from(Map::from_iter([("prompt".to_owned(), Value::from(text))])))
}

/// The id in the JSON, else the one in the Correlation Data if that reads as an id.
fn id(fields: &mut Fields, correlation: Option<&[u8]>) -> Result<Option<JobId>, Rejection> {
    if let Some(text) = fields.text("id")? {
        return JobId::try_from(text.as_str()).map(Some);
    }
    Ok(correlation.and_then(|bytes| std::str::from_utf8(bytes).ok()).and_then(|text| JobId::try_from(text).ok()))
}

/// The earliest of `deadline_ms`, `not_after` and the message's expiry.
fn deadline(fields: &mut Fields, arrival: &Arrival<'_>) -> Result<Option<SystemTime>, Rejection> {
    let within = fields.whole::<DeadlineMs>("deadline_ms")?.map(Duration::from);
    let not_after = fields.text("not_after")?.map(|text| {
        humantime::parse_rfc3339(&text).map_err(|_| {
            Rejection::field(
                "not_after",
                format!("not_after must be a time such as 2026-01-02T03:04:05Z, got {}", shown(&text)),
            )
        })
    });
    let from_arrival = within.into_iter().chain(arrival.expiry).map(|wait| arrival.time + wait);
    Ok(from_arrival.chain(not_after.transpose()?).min())
}

fn without_output(defaults: &Map<String, Value>) -> Map<String, Value> {
    defaults.iter().filter(|(key, _)| *key != "output").map(|(key, value)| (key.clone(), value.clone())).collect()
}
