//! The mathematics between a seed and a picture. Pure; knows only `ndarray`.
#![allow(missing_docs)]
#[derive(Debug)]
pub struct Sampler {
    pub name: &'static str,
}
impl PartialEq for Sampler {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
static EULER: Sampler = Sampler { name: "euler" };
pub fn find_sampler(name: &str) -> Option<&'static Sampler> {
    (name == "euler").then_some(&EULER)
}
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    Model,
    Karras,
}
impl Schedule {
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Karras => "karras",
        }
    }
    pub fn find(name: &str) -> Option<Self> {
        [Self::Model, Self::Karras].into_iter().find(|s| s.name() == name)
    }
}
impl Schedule { pub const ALL: &[Self] = &[Self::Model, Self::Karras]; }
pub const SAMPLERS: &[Sampler] = &[];
