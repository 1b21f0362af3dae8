//! A picture that came with a request.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::job::fields::Fields;
use crate::job::outcome::{Code, Rejection};
use crate::job::rules::Limits;
use crate::picture::{DecodeError, DecodeLimits, Gray, Picture};

/// A picture that came with a request: the file as it was sent, and what it shows.
#[derive(Clone)]
pub struct Photo<T> {
    file: Arc<[u8]>,
    shown: Arc<T>,
}

/// What a file can be decoded to.
type Decode<T> = fn(&[u8], &DecodeLimits) -> Result<T, DecodeError>;

impl<T> Photo<T> {
    /// What the file shows.
    pub fn shown(&self) -> &T {
        &self.shown
    }

    /// The file as it was sent.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// As it stands in a request.
    pub(super) fn to_json(&self) -> Value {
        json!({"data": STANDARD.encode(&self.file)})
    }

    fn parse(field: &'static str, value: Value, limits: &Limits, decode: Decode<T>) -> Result<Self, Rejection> {
        let file: Arc<[u8]> = data(field, value)?.into();
        let shown = decode(&file, &bounds(limits)).map_err(|error| {
            let code = match error {
                DecodeError::TooLarge { .. } => Code::ImageTooLarge,
                _ => Code::InvalidImage,
            };
            Rejection::of_field(code, field, format!("{field}: {error}"))
        })?;
        Ok(Self { file, shown: Arc::new(shown) })
    }
}

impl Photo<Picture> {
    pub(super) fn picture(field: &'static str, value: Value, limits: &Limits) -> Result<Self, Rejection> {
        Self::parse(field, value, limits, Picture::decode)
    }
}

impl Photo<Gray> {
    pub(super) fn gray(field: &'static str, value: Value, limits: &Limits) -> Result<Self, Rejection> {
        Self::parse(field, value, limits, Gray::decode)
    }
}

/// Photos of phones must fit, bombs must not: sixteen times the pixels that may be made.
fn bounds(limits: &Limits) -> DecodeLimits {
    let pixels = limits.pixels.saturating_mul(16);
    DecodeLimits { pixels, side: 16_384, memory: pixels.saturating_mul(16) }
}

/// The bytes of `{"data": "<base64>"}`.
fn data(field: &'static str, value: Value) -> Result<Vec<u8>, Rejection> {
    let Value::Object(map) = value else {
        return Err(Rejection::field(field, format!("{field} must be an object such as {{\"data\":\"<base64>\"}}")));
    };
    let place = match field {
        "mask" => "mask.",
        "depth" => "depth.",
        _ => "init_image.",
    };
    let mut fields = Fields::within(map, place);
    for later in ["result", "upload"] {
        if fields.take(later).is_some() {
            let message = format!("{field}.{later} is not supported by this version, send {field}.data");
            return Err(Rejection::of_field(Code::UnsupportedMode, field, message));
        }
    }
    let text = fields.text("data")?;
    fields.finish()?;
    let text = text.ok_or_else(|| Rejection::field(field, format!("{field}.data is required")))?;
    STANDARD.decode(text).map_err(|error| {
        Rejection::of_field(Code::InvalidImage, field, format!("{field}.data must be base64: {error}"))
    })
}

impl<T> PartialEq for Photo<T> {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

impl<T> fmt::Debug for Photo<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Photo({} bytes)", self.file.len())
    }
}
