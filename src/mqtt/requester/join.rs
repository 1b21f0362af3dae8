//! Parts that become a picture again, whatever the order they come in and whatever is wrong with them. No socket, no clock.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::job::hex;

/// How a picture is cut into parts, as a manifest or a `done` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    bytes: usize,
    part_bytes: usize,
    parts: u32,
    sha256: String,
}

/// A plan that contradicts itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A number is missing, or not a whole one.
    #[error("a plan needs bytes, part_bytes, parts and sha256")]
    Incomplete,
    /// The numbers do not fit each other.
    #[error("{bytes} bytes in parts of {part_bytes} are not {parts} parts")]
    Contradiction {
        /// Bytes of the picture.
        bytes: usize,
        /// Bytes of a part.
        part_bytes: usize,
        /// Number of parts.
        parts: u32,
    },
}

impl Plan {
    /// A picture of `bytes` bytes in `parts` parts of `part_bytes` bytes, the last one perhaps shorter.
    pub fn new(bytes: usize, part_bytes: usize, parts: u32, sha256: &str) -> Result<Self, PlanError> {
        let fits = bytes > 0 && part_bytes > 0 && bytes.div_ceil(part_bytes) == parts as usize;
        if !fits {
            return Err(PlanError::Contradiction { bytes, part_bytes, parts });
        }
        Ok(Self { bytes, part_bytes, parts, sha256: sha256.to_ascii_lowercase() })
    }

    /// From a manifest, or from a picture of a `done`.
    pub fn of(json: &Value) -> Result<Self, PlanError> {
        let number = |key: &str| json.get(key).and_then(Value::as_u64).ok_or(PlanError::Incomplete);
        let size = |key: &str| number(key).and_then(|n| usize::try_from(n).map_err(|_| PlanError::Incomplete));
        let parts = u32::try_from(number("parts")?).map_err(|_| PlanError::Incomplete)?;
        let sha256 = json.get("sha256").and_then(Value::as_str).ok_or(PlanError::Incomplete)?;
        Self::new(size("bytes")?, size("part_bytes")?, parts, sha256)
    }

    /// SHA-256 of the whole picture, in lower-case hex.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Memory that joining takes: the picture and a mark for each part.
    fn cost(&self) -> usize {
        self.bytes.saturating_add(self.parts as usize)
    }

    fn place(&self, part: u32) -> Option<Range<usize>> {
        let start = (part < self.parts).then(|| part as usize * self.part_bytes)?;
        Some(start..self.bytes.min(start + self.part_bytes))
    }
}

/// What became of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in its place.
    New,
    /// It was there before.
    Known,
    /// It is kept until its plan is known.
    Early,
    /// Its number or its size does not fit the plan.
    Misfit,
    /// There is no room for it.
    TooMuch,
    /// It was the last one, but the picture's SHA-256 is another: all parts are missing again.
    Damaged,
    /// It was the last one, and the picture is whole.
    Complete,
}

/// Memory that a part costs at least while its plan is not known.
const EARLY_COST: usize = 64;

/// One picture out of its parts.
#[derive(Debug, Default)]
pub struct Joiner {
    plan: Option<Plan>,
    /// The picture; empty until the first part comes.
    bytes: Vec<u8>,
    /// Which parts are in it.
    have: Vec<bool>,
    missing: u32,
    /// Parts that came before their plan.
    early: BTreeMap<u32, Vec<u8>>,
}

impl Joiner {
    /// Learns how the picture is cut; `room` is the most memory that it may take.
    ///
    /// The same plan again changes nothing, another one means to start again. False if there is no room for it.
    pub fn announce(&mut self, plan: Plan, room: usize) -> bool {
        let same_picture = self.plan.as_ref().is_some_and(|known| known.sha256 == plan.sha256);
        if self.plan.as_ref() == Some(&plan) || (same_picture && self.picture().is_some()) {
            return true;
        }
        if plan.cost() > room {
            return false;
        }
        let early = std::mem::take(&mut self.early);
        self.restart(plan);
        for (part, bytes) in early {
            self.part(part, &bytes, room);
        }
        true
    }

    /// Takes a part; `room` is the most memory that the picture may take.
    pub fn part(&mut self, part: u32, bytes: &[u8], room: usize) -> Taken {
        let Some(plan) = &self.plan else { return self.keep_early(part, bytes, room) };
        let Some(place) = plan.place(part).filter(|place| place.len() == bytes.len()) else { return Taken::Misfit };
        let plan_bytes = plan.bytes;
        let Some(have) = self.have.get_mut(part as usize) else { return Taken::Misfit };
        if std::mem::replace(have, true) {
            return Taken::Known;
        }
        self.bytes.resize(plan_bytes, 0);
        self.bytes[place].copy_from_slice(bytes);
        self.missing -= 1;
        if self.missing > 0 {
            return Taken::New;
        }
        if hex(&Sha256::digest(&self.bytes)) == plan.sha256 {
            return Taken::Complete;
        }
        let plan = plan.clone();
        self.restart(plan);
        Taken::Damaged
    }

    /// The plan, as far as it is known.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// First and last of each run of missing parts; nothing while the plan is not known.
    pub fn missing(&self) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for part in (0..).zip(&self.have).filter(|(_, have)| !**have).map(|(part, _): (u32, _)| part) {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == part => *last = part,
                _ => runs.push((part, part)),
            }
        }
        runs
    }

    /// Number of parts that are there, and of all.
    pub fn count(&self) -> (u32, u32) {
        let all = self.plan.as_ref().map_or(0, |plan| plan.parts);
        (all - self.missing, all)
    }

    /// The picture, once it is whole and its SHA-256 is right.
    pub fn picture(&self) -> Option<&[u8]> {
        (self.plan.is_some() && self.missing == 0).then_some(self.bytes.as_slice())
    }

    /// Memory that is taken, or promised to the plan.
    pub fn held(&self) -> usize {
        let early: usize = self.early.values().map(|bytes| bytes.len().max(EARLY_COST)).sum();
        early + self.plan.as_ref().map_or(0, Plan::cost)
    }

    fn restart(&mut self, plan: Plan) {
        self.bytes = Vec::new();
        self.have = vec![false; plan.parts as usize];
        self.missing = plan.parts;
        self.plan = Some(plan);
    }

    fn keep_early(&mut self, part: u32, bytes: &[u8], room: usize) -> Taken {
        let cost = |bytes: &[u8]| bytes.len().max(EARLY_COST);
        let before = self.early.get(&part).map_or(0, |bytes| cost(bytes));
        if self.held() - before + cost(bytes) > room {
            return Taken::TooMuch;
        }
        self.early.insert(part, bytes.to_vec());
        Taken::Early
    }
}
