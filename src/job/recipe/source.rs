//! Where the pictures of a request come from: out of itself, or from what is already here.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::job::fields::Fields;
use crate::job::outcome::{Code, Rejection};
use crate::job::units::{JobId, UploadName, shown};

/// A picture that is already here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// A picture that an earlier job of the same client made.
    Result {
        /// The job.
        id: JobId,
        /// The picture's index in it.
        k: u8,
    },
    /// A picture that the client sent ahead.
    Upload(UploadName),
}

/// Where pictures come from that do not stand in a request itself.
#[derive(Clone, Copy)]
pub(crate) struct Sources<'a> {
    /// An init image that came beside the request.
    pub(crate) attachment: Option<&'a [u8]>,
    /// Finds the file of a picture that is already here.
    pub(crate) find: &'a dyn Fn(&Reference) -> Option<Vec<u8>>,
}

impl Sources<'static> {
    /// Every picture stands in the request.
    pub(crate) const NONE: Self = Self { attachment: None, find: &|_| None };
}

/// What a picture field says.
pub(super) enum Said {
    Data(Vec<u8>),
    Reference(Reference),
}

impl Said {
    /// Reads `{"data":"<base64>"}`, `{"result":"<id>/<k>"}` or `{"upload":"<name>"}`.
    pub(super) fn parse(field: &'static str, value: Value) -> Result<Self, Rejection> {
        let Value::Object(map) = value else {
            return Err(Rejection::field(
                field,
                format!("{field} must be an object such as {{\"data\":\"<base64>\"}}"),
            ));
        };
        let place = match field {
            "mask" => "mask.",
            "depth" => "depth.",
            _ => "init_image.",
        };
        let mut fields = Fields::within(map, place);
        let (data, result, upload) = (fields.text("data")?, fields.text("result")?, fields.text("upload")?);
        fields.finish()?;
        match (data, result, upload) {
            (Some(text), None, None) => bytes(field, &text).map(Self::Data),
            (None, Some(text), None) => earlier(place, &text).map(Self::Reference),
            (None, None, Some(text)) => {
                let name = UploadName::try_from(text.as_str());
                let name =
                    name.map_err(|rejection| Rejection { field: Some(format!("{place}upload")), ..rejection })?;
                Ok(Self::Reference(Reference::Upload(name)))
            }
            _ => Err(Rejection::field(field, format!("{field} must have exactly one of data, result and upload"))),
        }
    }
}

fn bytes(field: &str, base64: &str) -> Result<Vec<u8>, Rejection> {
    STANDARD.decode(base64).map_err(|error| {
        Rejection::of_field(Code::InvalidImage, field, format!("{field}.data must be base64: {error}"))
    })
}

/// Reads `<id>/<k>`.
fn earlier(place: &str, text: &str) -> Result<Reference, Rejection> {
    let parts = text.split_once('/').and_then(|(id, k)| {
        let plain = k.bytes().all(|byte| byte.is_ascii_digit()) && (k == "0" || !k.starts_with('0'));
        Some((JobId::try_from(id).ok()?, k.parse().ok().filter(|_| plain)?))
    });
    let (id, k) = parts.ok_or_else(|| {
        let field = format!("{place}result");
        Rejection::field(&field, format!("{field} must be <id>/<k> such as a1/0, got {}", shown(text)))
    })?;
    Ok(Reference::Result { id, k })
}

impl Reference {
    /// A result need not be a file that anybody can read: panels get bare pixels.
    pub(super) fn refused(&self, rejection: Rejection) -> Rejection {
        match (self, rejection.code) {
            (Self::Result { .. }, Code::InvalidImage) => {
                let field = rejection.field.as_deref().unwrap_or_default();
                let message =
                    format!("{field}: the result must be a PNG, JPEG, WebP or BMP file, not the format of a panel");
                Rejection { message, ..rejection }
            }
            _ => rejection,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Result { id, k } => write!(formatter, "the result {}/{k}", id.as_str()),
            Self::Upload(name) => write!(formatter, "the upload {}", name.as_str()),
        }
    }
}
