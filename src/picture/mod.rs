//! RGB pictures and their encoders.
#![allow(missing_docs)]
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Png,
    Jpeg,
}
impl Format {
    pub fn name(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Jpeg => "jpeg",
        }
    }
    pub fn find(name: &str) -> Option<Self> {
        [Self::Png, Self::Jpeg].into_iter().find(|f| f.name() == name)
    }
}
