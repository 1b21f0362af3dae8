//! The vocabulary that everything above the mathematics speaks: what can be asked, what can go wrong, what comes out.
//!
//! Plain data and parsing only: no input or output, no clock, no threads.

pub mod adapters;
pub mod command;
pub mod generate;
pub mod outcome;
pub mod output;
pub mod preview;
pub mod request;
pub mod rules;
pub mod units;

mod fields;
mod hex;
mod json;
mod recipe;

pub use adapters::{AdapterFacts, AdapterKind, Fit};
pub use generate::{Generate, Made, Progress, Stage, Unwatched, Watch};
pub use hex::hex;
pub use outcome::{Code, Failure, Rejection, Stop};
pub use output::{Output, Parts};
pub use preview::PreviewWish;
pub use recipe::{
    AdapterWish, Canvas, ClassifierWish, Depth, GuidanceWish, Hypernetwork, Init, Lora, MaskWish, NoiseWish, Parsed,
    Photo, Recipe, Reference, Variation,
};
pub use request::{Origin, Request};
pub use rules::{Limits, Mode, ModelFacts, Read, Reading, Rules};
