//! Small pictures of a picture that is being made.

use serde_json::{Value, json};

use super::fields::Fields;
use super::outcome::Rejection;
use super::units::{PreviewEvery, PreviewSize};
use crate::picture::{EncodeError, Encoding, Filter, Format, Picture, encode};

/// Of the JPEG files.
const QUALITY: u8 = 75;

/// How often a requester wants to see the picture so far, and how large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PreviewWish {
    /// Steps from one to the next; 1 if nothing is said.
    pub every: PreviewEvery,
    /// Its longer side in pixels; 128 if nothing is said.
    pub size: PreviewSize,
}

impl PreviewWish {
    /// Takes `preview` out of a request; none if it is absent.
    pub(super) fn take(fields: &mut Fields) -> Result<Option<Self>, Rejection> {
        let Some(mut fields) = fields.optional_object("preview", "preview.")? else { return Ok(None) };
        let every = fields.whole("every")?.map_or_else(|| PreviewEvery::try_from(1), Ok)?;
        let size = fields.whole("size")?.map_or_else(|| PreviewSize::try_from(128), Ok)?;
        fields.finish()?;
        Ok(Some(Self { every, size }))
    }

    /// Whether one is wanted after so many steps.
    pub fn wants(self, step: usize) -> bool {
        step.is_multiple_of(usize::from(self.every.get()))
    }

    /// The picture so far as a small JPEG file.
    pub fn file(self, picture: &Picture) -> Result<Vec<u8>, EncodeError> {
        let (width, height) = self.sides(picture.width(), picture.height());
        let small = picture.resized(width, height, Filter::Bicubic);
        let encoding = Encoding { quality: QUALITY, ..Encoding::of(Format::Jpeg) };
        Ok(encode(&small, &encoding)?.bytes)
    }

    /// Width and height of the file for a picture of this size.
    fn sides(self, width: u32, height: u32) -> (u32, u32) {
        let (longer, size) = (f64::from(width.max(height)), f64::from(self.size.get()));
        let side = |side: u32| (f64::from(side) * size / longer).round().max(1.0) as u32;
        (side(width), side(height))
    }

    /// As it stands in a request.
    pub(super) fn to_json(self) -> Value {
        json!({"every": self.every.get(), "size": self.size.get()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::DecodeLimits;

    fn taken(preview: Value) -> Result<Option<PreviewWish>, Rejection> {
        let Value::Object(map) = json!({"preview": preview}) else { unreachable!() };
        PreviewWish::take(&mut Fields::from(map))
    }

    #[test]
    fn a_wish_comes_back_from_its_own_json() {
        let wish = taken(json!({"every": 5, "size": 96})).unwrap().unwrap();
        assert_eq!((wish.every.get(), wish.size.get()), (5, 96));
        assert_eq!(taken(wish.to_json()).unwrap(), Some(wish));
        assert_eq!([4, 5, 6, 10].map(|step| wish.wants(step)), [false, true, false, true]);
    }

    #[test]
    fn what_is_left_out_has_a_default_and_null_is_none() {
        assert_eq!(taken(json!({})).unwrap().unwrap().to_json(), json!({"every": 1, "size": 128}));
        assert_eq!(taken(json!(null)).unwrap(), None);
    }

    #[test]
    fn the_longer_side_is_as_wished_and_the_other_follows() {
        let wish = taken(json!({"size": 96})).unwrap().unwrap();
        for (width, height, expected) in [(64, 64, (96, 96)), (128, 32, (96, 24)), (3, 512, (1, 96))] {
            let picture = Picture::new(width, height, vec![120; (3 * width * height) as usize]).unwrap();
            let limits = DecodeLimits { pixels: 1 << 20, side: 512, memory: 1 << 24 };
            let shown = Picture::decode(&wish.file(&picture).unwrap(), &limits).unwrap();
            assert_eq!((shown.width(), shown.height()), expected);
            assert!(shown.pixels().iter().all(|value| value.abs_diff(120) <= 3));
        }
    }

    #[test]
    fn sizes_and_steps_out_of_range_are_refused_by_name() {
        for (preview, field) in [
            (json!({"every": 0}), "preview.every"),
            (json!({"every": 151}), "preview.every"),
            (json!({"size": 15}), "preview.size"),
            (json!({"size": 513}), "preview.size"),
            (json!({"format": "png"}), "\"preview.format\""),
            (json!(true), "preview"),
        ] {
            let rejection = taken(preview.clone()).unwrap_err();
            assert_eq!(rejection.field.as_deref(), Some(field), "{preview}");
        }
    }
}
