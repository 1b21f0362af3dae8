//! A picture that came with a request, or is named by it.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::source::{Reference, Said, Sources};
use crate::job::outcome::{Code, Rejection};
use crate::job::rules::Limits;
use crate::picture::{DecodeError, DecodeLimits, Gray, Picture};

/// A picture that came with a request: the file as it was sent, and what it shows.
#[derive(Clone)]
pub struct Photo<T> {
    file: Arc<[u8]>,
    shown: Arc<T>,
}

/// Where pictures come from, and how large they may be.
#[derive(Clone, Copy)]
pub(super) struct Album<'a> {
    pub(super) limits: &'a Limits,
    pub(super) sources: &'a Sources<'a>,
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

    /// As it stands in a request: always the file itself, so that it lasts as long as the request does.
    pub(super) fn to_json(&self) -> Value {
        json!({"data": STANDARD.encode(&self.file)})
    }

    fn parse(field: &'static str, value: Value, album: &Album<'_>, decode: Decode<T>) -> Result<Self, Rejection> {
        match Said::parse(field, value)? {
            Said::Data(file) => Self::decoded(field, file, album.limits, decode),
            Said::Reference(reference) => {
                let file = found(field, &reference, album)?;
                Self::decoded(field, file, album.limits, decode).map_err(|rejection| reference.refused(rejection))
            }
        }
    }

    fn decoded(field: &str, file: Vec<u8>, limits: &Limits, decode: Decode<T>) -> Result<Self, Rejection> {
        let shown = decode(&file, &bounds(limits)).map_err(|error| {
            let code = match error {
                DecodeError::TooLarge { .. } => Code::ImageTooLarge,
                _ => Code::InvalidImage,
            };
            Rejection::of_field(code, field, format!("{field}: {error}"))
        })?;
        Ok(Self { file: file.into(), shown: Arc::new(shown) })
    }
}

impl Photo<Picture> {
    /// The init image, which may stand in the request or lie beside it.
    pub(super) fn init(value: Option<Value>, album: &Album<'_>) -> Result<Option<Self>, Rejection> {
        const FIELD: &str = "init_image";
        match (value, album.sources.attachment) {
            (None, None) => Ok(None),
            (Some(value), None) => Self::parse(FIELD, value, album, Picture::decode).map(Some),
            (None, Some(file)) => Self::decoded(FIELD, file.to_vec(), album.limits, Picture::decode).map(Some),
            (Some(_), Some(_)) => {
                Err(Rejection::field(FIELD, "init_image must be absent where the payload is the init image"))
            }
        }
    }
}

impl Photo<Gray> {
    pub(super) fn gray(field: &'static str, value: Value, album: &Album<'_>) -> Result<Self, Rejection> {
        Self::parse(field, value, album, Gray::decode)
    }
}

/// Photos of phones must fit, bombs must not: sixteen times the pixels that may be made.
fn bounds(limits: &Limits) -> DecodeLimits {
    let pixels = limits.pixels.saturating_mul(16);
    DecodeLimits { pixels, side: 16_384, memory: pixels.saturating_mul(16) }
}

/// The file of a picture that is already here; as large as one that comes with a request may be.
fn found(field: &str, reference: &Reference, album: &Album<'_>) -> Result<Vec<u8>, Rejection> {
    let limit = album.limits.request_bytes;
    match (album.sources.find)(reference) {
        None => Err(Rejection::of_field(Code::NotFound, field, format!("{field}: {reference} is not here"))),
        Some(file) if file.len() > limit => {
            let message = format!("{field}: {reference} must have at most {limit} bytes, got {}", file.len());
            Err(Rejection::of_field(Code::ImageTooLarge, field, message))
        }
        Some(file) => Ok(file),
    }
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
