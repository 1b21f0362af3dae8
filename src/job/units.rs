//! Values that cannot be wrong: each has one fallible constructor, and its message says what was expected and what came.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

mod names;
mod parts;

pub use self::names::{Client, JobId, Tags, UploadName};
pub use self::parts::PartRanges;

use super::outcome::Rejection;

macro_rules! whole_numbers {
    ($($(#[$doc:meta])* $name:ident($inner:ty) $field:literal $low:literal..=$high:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name($inner);

        impl $name {
            /// What it may be.
            pub const RANGE: RangeInclusive<$inner> = $low..=$high;

            /// The highest.
            pub const MOST: Self = Self($high);

            /// The number itself.
            pub const fn get(self) -> $inner { self.0 }
        }

        impl TryFrom<i64> for $name {
            type Error = Rejection;

            fn try_from(value: i64) -> Result<Self, Rejection> {
                let number = <$inner>::try_from(value).ok().filter(|number| Self::RANGE.contains(number));
                number.map(Self).ok_or_else(|| {
                    let (low, high) = (Self::RANGE.start(), Self::RANGE.end());
                    Rejection::field($field, format!("{} must be between {low} and {high}, got {value}", $field))
                })
            }
        }
    )*};
}

whole_numbers! {
    /// Number of denoising steps.
    Steps(u16) "steps" 1..=150;
    /// Pictures of one request.
    Count(u8) "count" 1..=16;
    /// Seed of the first picture; small enough for a JSON number to hold it exactly.
    Seed(u64) "seed" 0..=9_007_199_254_740_991;
    /// Quality of a lossy encoder, in per cent.
    Quality(u8) "quality" 1..=100;
    /// Layers of the text encoder that are left out.
    ClipSkip(u8) "clip_skip" 0..=4;
    /// Nine goes first.
    Priority(u8) "priority" 0..=9;
    /// Margin around a mask's part of the picture, in pixels.
    MaskCrop(u32) "mask_crop" 0..=8192;
    /// Steps of each way down of a restart.
    RestartSteps(u16) "restart.steps" 1..=150;
    /// Times that a way is gone again.
    Repeats(u16) "repeats" 1..=20;
    /// Steps that resampling goes back.
    Jump(u16) "resample.jump" 1..=150;
    /// Steps in which the U-Net's deep layers run once.
    ReuseInterval(u16) "reuse.interval" 1..=20;
    /// Size of an encoded picture, in bytes.
    MaxBytes(u32) "max_bytes" 512..=1_073_741_824;
    /// Steps from one preview to the next.
    PreviewEvery(u16) "preview.every" 1..=150;
    /// Longer side of a preview, in pixels.
    PreviewSize(u16) "preview.size" 16..=512;
    /// Payload of a part of a picture, in bytes.
    PartBytes(u32) "part_bytes" 512..=1_048_576;
    /// Time from arrival to the deadline, in milliseconds.
    DeadlineMs(u32) "deadline_ms" 1_000..=86_400_000;
}

impl Seed {
    /// Fails if picture `count` - 1 of a request would have a seed that no request may have.
    pub fn counting(self, count: Count) -> Result<Self, Rejection> {
        let last = self.0 as i64 + i64::from(count.get()) - 1;
        Self::try_from(last).map(|_| self)
    }

    /// The seed of picture `k`.
    pub fn plus(self, k: u8) -> Self {
        Self(self.0 + u64::from(k))
    }
}

impl ClipSkip {
    /// The layer that the model itself takes.
    pub const NONE: Self = Self(0);

    /// So many layers, or as many as can be asked for.
    pub fn at_most(layers: usize) -> Self {
        Self(layers.min(4) as u8)
    }
}

impl From<u32> for Seed {
    fn from(value: u32) -> Self {
        Self(u64::from(value))
    }
}

impl From<DeadlineMs> for Duration {
    fn from(value: DeadlineMs) -> Self {
        Self::from_millis(u64::from(value.0))
    }
}

macro_rules! real_numbers {
    ($($(#[$doc:meta])* $name:ident $field:literal $low:literal..=$high:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
        pub struct $name(f64);

        impl $name {
            /// What it may be.
            pub const RANGE: RangeInclusive<f64> = $low..=$high;

            /// The number itself.
            pub const fn get(self) -> f64 { self.0 }
        }

        impl TryFrom<f64> for $name {
            type Error = Rejection;

            fn try_from(value: f64) -> Result<Self, Rejection> {
                if Self::RANGE.contains(&value) {
                    return Ok(Self(value));
                }
                Err(Rejection::field($field, format!("{} must be between {} and {}, got {value}", $field, $low, $high)))
            }
        }
    )*};
}

real_numbers! {
    /// Scale of classifier-free guidance: 0 ignores the prompt, 1 is no guidance.
    GuidanceScale "guidance_scale" 0.0..=30.0;
    /// How far the guided output is scaled back to the standard deviation of the conditional one.
    GuidanceRescale "guidance_rescale" 0.0..=1.0;
    /// Share of fresh noise in a step.
    Eta "eta" 0.0..=1.0;
    /// Factor of all fresh noise.
    SNoise "s_noise" 0.0..=2.0;
    /// How much noise is put back before each step.
    SChurn "s_churn" 0.0..=100.0;
    /// Denoising strength: how much of the init image is lost.
    Strength "strength" 0.0..=1.0;
    /// How far the noise is turned to that of the second seed.
    VariationStrength "variation.strength" 0.0..=1.0;
    /// Scale of classifier guidance.
    ClassifierScale "classifier.scale" 0.0..=1000.0;
    /// A noise level of a restart, as sigma / alpha.
    RestartLevel "restart.from and restart.to" 0.0..=1000.0;
    /// How much an adapter counts; below 0 it works the other way.
    AdapterScale "scale" -4.0..=4.0;
    /// Radius of a mask's soft edge, in pixels.
    MaskFeather "mask_feather" 0.0..=256.0;
}

/// Width and height of a picture in pixels, both multiples of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    width: u32,
    height: u32,
}

impl Size {
    /// What a side may be, beside a multiple of [`MULTIPLE`](Self::MULTIPLE).
    pub const RANGE: RangeInclusive<u32> = 8..=8192;

    /// Pixels of a latent.
    pub const MULTIPLE: u32 = 8;

    /// Both sides must be multiples of 8 from 8 to 8192.
    pub fn new(width: i64, height: i64) -> Result<Self, Rejection> {
        let side = |field: &str, value: i64| match u32::try_from(value) {
            Ok(side) if side.is_multiple_of(Self::MULTIPLE) && Self::RANGE.contains(&side) => Ok(side),
            _ => {
                Err(Rejection::field(field, format!("{field} must be a multiple of 8 between 8 and 8192, got {value}")))
            }
        };
        Ok(Self { width: side("width", width)?, height: side("height", height)? })
    }

    /// Width in pixels.
    pub const fn width(self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub const fn height(self) -> u32 {
        self.height
    }

    /// Number of pixels.
    pub const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}x{}", self.width, self.height)
    }
}

/// Foreign text made safe and short enough for a message.
pub(super) fn shown(text: &str) -> String {
    let short: String = text.chars().take(32).collect();
    let dots = if short.len() < text.len() { "..." } else { "" };
    format!("{short:?}{dots}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_out_of_range_says_what_was_expected_and_what_came() {
        let error = Steps::try_from(400).unwrap_err();
        assert_eq!(error.message, "steps must be between 1 and 150, got 400");
        assert_eq!(error.field.as_deref(), Some("steps"));
    }

    #[test]
    fn not_a_number_is_refused() {
        assert!(GuidanceScale::try_from(f64::NAN).is_err());
        assert!(GuidanceScale::try_from(30.0).is_ok());
    }

    #[test]
    fn topic_words_and_wildcards_are_no_names() {
        for name in ["", "prompt", "a/b", "+", "#", "ü", &"x".repeat(65)] {
            assert!(Client::try_from(name).is_err(), "{name}");
        }
        assert!(Client::try_from("cam-7@roof.local:1").is_ok());
        assert!(JobId::try_from("reply").is_err());
    }

    #[test]
    fn a_size_is_made_of_eights() {
        assert!(Size::new(64, 60).is_err());
        assert_eq!(Size::new(64, 128).map(Size::pixels), Ok(8192));
    }
}
