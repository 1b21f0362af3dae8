//! How pictures are handed over: the request's `output`.

mod parts;

use std::num::NonZeroU32;

use serde_json::{Map, Value, json};

pub use self::parts::Parts;

use super::fields::Fields;
use super::generate::Made;
use super::outcome::Rejection;
use super::recipe::Recipe;
use super::request::Origin;
use super::rules::Rules;
use super::units::{MaxBytes, PartBytes, Quality, Size, shown};
use crate::picture::{Dither, EncodeError, Encoded, Encoding, Format, Framing, Sizing, Turn, encode};

/// How the pictures are to be encoded and sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// The file format.
    pub format: Format,
    /// Quality of lossy formats.
    pub quality: Quality,
    /// Turning and size.
    pub sizing: Sizing,
    /// How colours that the format lacks are made of those that it has.
    pub dither: Dither,
    /// Size that the file must not exceed.
    pub max_bytes: Option<MaxBytes>,
    /// Whether the file tells how it was made.
    pub metadata: bool,
    /// Payload of a part; given, the picture comes only in parts.
    pub part_bytes: Option<PartBytes>,
    /// Whether parts are sent without being asked for.
    pub push: bool,
    /// Whether the picture must come in one packet: it goes to `image`, which has no parts.
    pub one_packet: bool,
}

/// Pixels of the largest picture that is handed over: 16 of them wait in memory at a time.
const MOST_PIXELS: u64 = 1 << 24;

/// The longest side of a picture that is handed over.
const LONGEST_SIDE: u64 = 8192;

impl Output {
    /// The `output` of a request for pictures of `size`, with the tastes of `rules`.
    pub(super) fn of_request(own: Fields, origin: Origin, rules: &Rules, size: Size) -> Result<Self, Rejection> {
        let shortcut = (origin == Origin::Shortcut).then_some(&rules.shortcut_output);
        let general = rules.defaults.get("output").and_then(Value::as_object);
        let tastes: Vec<&Map<_, _>> = shortcut.into_iter().chain(general).collect();
        let output = Self::take(own, &tastes, origin == Origin::Shortcut)?;
        output.check(size)?;
        Ok(output)
    }

    /// Reads an `output` object by itself; [`check`](Self::check) it where the size of the pictures is known.
    pub fn from_fields(fields: Map<String, Value>) -> Result<Self, Rejection> {
        let output = Self::take(Fields::within(fields, "output."), &[], false)?;
        if let (Some(width), Some(height)) = (output.sizing.width, output.sizing.height) {
            output.check_result(width.get().into(), height.get().into())?;
        }
        Ok(output)
    }

    /// What the fields say, then what each of the `tastes` says, then the contract's defaults.
    ///
    /// A taste that the chosen format cannot follow is left aside; asked for by the request itself it is a fault.
    fn take(mut fields: Fields, tastes: &[&Map<String, Value>], one_packet: bool) -> Result<Self, Rejection> {
        let own = |key| fields.has(key);
        let (own_dither, own_metadata, own_push) = (own("dither"), own("metadata"), own("push"));
        let own_parts = own("part_bytes");
        tastes.iter().for_each(|taste| fields.fill(taste));
        let format = named(&mut fields, "format", &Format::ALL, Format::name)?.unwrap_or(Format::Png);
        let dither = named(&mut fields, "dither", &Dither::ALL, Dither::name)?.unwrap_or(format.default_dither());
        let metadata = fields.flag("metadata")?.unwrap_or(false);
        if own_dither && dither != Dither::None && !format.is_raw() {
            return Err(fault(
                "dither",
                &format!("is for the raw formats of panels, {} has every colour", format.name()),
            ));
        }
        if own_metadata && metadata && !format.has_parameters() {
            return Err(fault("metadata", &format!("has no place in {}", format.name())));
        }
        let part_bytes = fields.whole("part_bytes")?;
        let push = fields.flag("push")?.unwrap_or(true);
        for (key, wrong) in [("part_bytes", own_parts), ("push", own_push && !push)] {
            if one_packet && wrong {
                return Err(fault(key, "is for request topics, the picture of a prompt comes in one packet"));
            }
        }
        let output = Self {
            format,
            quality: fields.whole("quality")?.map_or_else(|| Quality::try_from(90), Ok)?,
            sizing: sizing(&mut fields)?,
            dither: if format.is_raw() { dither } else { Dither::None },
            max_bytes: fields.whole("max_bytes")?,
            metadata: metadata && format.has_parameters(),
            part_bytes: part_bytes.filter(|_| !one_packet),
            push: push || one_packet,
            one_packet,
        };
        fields.finish()?;
        Ok(output)
    }

    /// Fails if pictures of `size` cannot come out as they were asked for.
    pub fn check(&self, size: Size) -> Result<(), Rejection> {
        let (width, height) = self.sizing.size_of(size.width(), size.height());
        self.check_result(width, height)
    }

    fn check_result(&self, width: u64, height: u64) -> Result<(), Rejection> {
        let side = if self.sizing.height.is_some() { "height" } else { "width" };
        if width.max(height) > LONGEST_SIDE || width * height > MOST_PIXELS {
            let message = format!(
                "must make a picture of at most {LONGEST_SIDE} pixels a side and {MOST_PIXELS} in all, got {width}x{height}"
            );
            return Err(fault(side, &message));
        }
        let bytes = self.format.fixed_bytes(width as u32, height as u32).filter(|_| self.sizing.is_exact());
        match (bytes, self.max_bytes.map(MaxBytes::get)) {
            (Some(bytes), Some(limit)) if bytes > limit as usize => {
                let format = self.format.name();
                Err(fault("max_bytes", &format!("must be at least {bytes} for {width}x{height} {format}, got {limit}")))
            }
            _ => Ok(()),
        }
    }

    /// Encodes a picture as asked; in at most `room` bytes, what a packet holds, if the format or the request allows that.
    ///
    /// What is larger than `room` nevertheless is for [`parts`](Self::parts).
    pub fn encode(&self, made: &Made, recipe: &Recipe, room: Option<u32>) -> Result<Encoded, EncodeError> {
        let parameters = self.metadata.then(|| recipe.parameters(made.seed));
        let asked = Encoding {
            format: self.format,
            quality: self.quality.get(),
            sizing: self.sizing,
            dither: self.dither,
            max_bytes: self.max_bytes.map(MaxBytes::get),
            parameters: parameters.as_deref(),
        };
        // A picture that comes in parts anyway need not fit.
        let may_shrink =
            self.one_packet || self.part_bytes.is_none() && (asked.max_bytes.is_some() || self.format.is_lossy());
        let Some(room) = room.filter(|room| may_shrink && asked.max_bytes.is_none_or(|limit| *room < limit)) else {
            return encode(&made.picture, &asked);
        };
        match encode(&made.picture, &Encoding { max_bytes: Some(room), ..asked }) {
            Err(EncodeError::TooLarge { .. }) if !self.one_packet => encode(&made.picture, &asked),
            encoded => encoded,
        }
    }

    /// How the encoded picture is cut into parts; none if it is sent whole. `room` is what a packet holds.
    pub fn parts(&self, encoded: &Encoded, room: Option<u32>) -> Option<Parts> {
        // What is not sent unasked is fetched in parts.
        let wish = self.part_bytes.or((!self.push).then_some(PartBytes::MOST));
        Parts::plan(encoded, wish, room.filter(|_| !self.one_packet))
    }

    /// As the fields of `output`, every default written out.
    pub(super) fn to_json(&self) -> Value {
        let mut fields = Map::new();
        let mut put = |key: &str, value: Value| drop(fields.insert(key.to_owned(), value));
        put("format", json!(self.format.name()));
        put("quality", json!(self.quality.get()));
        put("metadata", json!(self.metadata));
        put("rotate", json!(self.sizing.turn.degrees()));
        put("fit", json!(self.sizing.framing.name()));
        put("dither", json!(self.dither.name()));
        put("push", json!(self.push));
        let numbers = [
            ("width", self.sizing.width.map(NonZeroU32::get)),
            ("height", self.sizing.height.map(NonZeroU32::get)),
            ("max_bytes", self.max_bytes.map(MaxBytes::get)),
            ("part_bytes", self.part_bytes.map(PartBytes::get)),
        ];
        for (key, number) in numbers {
            number.into_iter().for_each(|number| put(key, json!(number)));
        }
        fields.into()
    }
}

fn sizing(fields: &mut Fields) -> Result<Sizing, Rejection> {
    let turn = match fields.integer("rotate")? {
        None => Turn::None,
        Some(degrees) => {
            Turn::find(degrees).ok_or_else(|| fault("rotate", &format!("must be 0, 90, 180 or 270, got {degrees}")))?
        }
    };
    let framing = named(fields, "fit", &Framing::ALL, Framing::name)?.unwrap_or_default();
    Ok(Sizing { turn, width: side(fields, "width")?, height: side(fields, "height")?, framing })
}

fn side(fields: &mut Fields, key: &str) -> Result<Option<NonZeroU32>, Rejection> {
    let Some(value) = fields.integer(key)? else { return Ok(None) };
    let side = u32::try_from(value).ok().filter(|side| u64::from(*side) <= LONGEST_SIDE).and_then(NonZeroU32::new);
    side.map(Some).ok_or_else(|| fault(key, &format!("must be between 1 and {LONGEST_SIDE}, got {value}")))
}

/// The one of `all` that the field names.
fn named<T: Copy>(
    fields: &mut Fields,
    key: &str,
    all: &[T],
    name: fn(T) -> &'static str,
) -> Result<Option<T>, Rejection> {
    let Some(text) = fields.text(key)? else { return Ok(None) };
    let found = all.iter().copied().find(|one| name(*one) == text);
    found.map(Some).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| name(*one)).collect();
        let (last, others) = names.split_last().map_or(("", &[][..]), |(last, others)| (*last, others));
        fault(key, &format!("must be {} or {last}, got {}", others.join(", "), shown(&text)))
    })
}

fn fault(key: &str, what: &str) -> Rejection {
    let field = format!("output.{key}");
    let message = format!("{field} {what}");
    Rejection::field(&field, message)
}

#[cfg(test)]
mod tests;
