//! Values that cannot be wrong: each has one fallible constructor, and its message says what was expected and what came.

use std::fmt;
use std::time::Duration;

use super::outcome::{Code, Rejection};

macro_rules! whole_numbers {
    ($($(#[$doc:meta])* $name:ident($inner:ty) $field:literal $low:literal..=$high:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name($inner);

        impl $name {
            /// The number itself.
            pub const fn get(self) -> $inner { self.0 }
        }

        impl TryFrom<i64> for $name {
            type Error = Rejection;

            fn try_from(value: i64) -> Result<Self, Rejection> {
                const RANGE: std::ops::RangeInclusive<$inner> = $low..=$high;
                <$inner>::try_from(value).ok().filter(|number| RANGE.contains(number)).map(Self).ok_or_else(|| {
                    let (low, high) = (RANGE.start(), RANGE.end());
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
    /// Nine goes first.
    Priority(u8) "priority" 0..=9;
    /// Size of an encoded picture, in bytes.
    MaxBytes(u32) "max_bytes" 512..=1_073_741_824;
    /// Time from arrival to the deadline, in milliseconds.
    DeadlineMs(u32) "deadline_ms" 1_000..=86_400_000;
}

impl Seed {
    /// The seed of picture `k`.
    pub fn plus(self, k: u8) -> Self {
        Self(self.0 + u64::from(k))
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
        pub struct $name(f32);

        impl $name {
            /// The number itself.
            pub const fn get(self) -> f32 { self.0 }
        }

        impl TryFrom<f64> for $name {
            type Error = Rejection;

            fn try_from(value: f64) -> Result<Self, Rejection> {
                if ($low..=$high).contains(&value) {
                    return Ok(Self(value as f32));
                }
                Err(Rejection::field($field, format!("{} must be between {} and {}, got {value}", $field, $low, $high)))
            }
        }
    )*};
}

real_numbers! {
    /// Scale of classifier-free guidance: 0 ignores the prompt, 1 is no guidance.
    GuidanceScale "guidance_scale" 0.0..=30.0;
    /// Share of fresh noise in a DDIM step.
    Eta "eta" 0.0..=1.0;
}

/// Width and height of a picture in pixels, both multiples of 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    width: u32,
    height: u32,
}

impl Size {
    /// Both sides must be multiples of 8 from 8 to 8192.
    pub fn new(width: i64, height: i64) -> Result<Self, Rejection> {
        let side = |field: &str, value: i64| match u32::try_from(value) {
            Ok(side) if side % 8 == 0 && (8..=8192).contains(&side) => Ok(side),
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

/// The name of a job, chosen by the requester: `[A-Za-z0-9_-]{1,64}`, and none of the words that stand in its place in topics.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(String);

impl JobId {
    /// An id of 32 hexadecimal digits, from bytes that somebody drew at random.
    pub fn random(bytes: [u8; 16]) -> Self {
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for JobId {
    type Error = Rejection;

    fn try_from(text: &str) -> Result<Self, Rejection> {
        let fits = is_made_of(text, |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        if fits && !["request", "reply", "command"].contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Rejection::field(
            "id",
            format!("id must be 1 to 64 of A-Z a-z 0-9 _ - and not a topic word, got {}", shown(text)),
        ))
    }
}

/// The name of a requester: one topic level, `[A-Za-z0-9._:@-]{1,64}`, and none of the contract's own topic words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client(String);

impl Client {
    /// The client of everything that comes through the `prompt` topic.
    pub fn shortcut() -> Self {
        Self("shortcut".to_owned())
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Topic words that no client may be called.
const RESERVED_CLIENTS: [&str; 16] = [
    "status", "progress", "preview", "image", "manifest", "part", "answer", "request", "reply", "command", "admin",
    "defaults", "upload", "shortcut", "pool", "prompt",
];

impl TryFrom<&str> for Client {
    type Error = Rejection;

    fn try_from(text: &str) -> Result<Self, Rejection> {
        let fits = is_made_of(text, |byte| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte));
        if fits && !RESERVED_CLIENTS.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        let message =
            format!("a client must be 1 to 64 of A-Z a-z 0-9 . _ : @ - and not a topic word, got {}", shown(text));
        Err(Rejection::new(Code::Malformed, message))
    }
}

/// Up to 8 pairs of short strings that come back with every status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

impl Tags {
    /// At most 8 pairs, each side at most 64 bytes.
    pub fn new(pairs: Vec<(String, String)>) -> Result<Self, Rejection> {
        if pairs.len() > 8 {
            return Err(Rejection::field("tags", format!("tags must be at most 8 pairs, got {}", pairs.len())));
        }
        match pairs.iter().find(|(key, value)| key.len() > 64 || value.len() > 64) {
            Some((key, _)) => Err(Rejection::field(
                "tags",
                format!("a tag's two sides are at most 64 bytes each, {} is longer", shown(key)),
            )),
            None => Ok(Self(pairs)),
        }
    }

    /// The pairs in the order they came.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

fn is_made_of(text: &str, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
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
