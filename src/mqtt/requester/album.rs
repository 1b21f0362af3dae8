//! The pictures of one job from one node: whole ones and ones in parts, in any order, before or after `done` names them.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::join::{Joiner, Plan, Taken};
use crate::job::hex;

/// No request makes more pictures; what has a higher number is not kept.
const MOST_PICTURES: u8 = 64;

/// What has come so far, and what is to come.
#[derive(Debug)]
pub(super) struct Album {
    /// Memory that all pictures together may take, in bytes.
    most: usize,
    pictures: BTreeMap<u8, Picture>,
    /// What `done` names.
    named: Option<Vec<Named>>,
}

#[derive(Debug, Default)]
struct Picture {
    whole: Option<Vec<u8>>,
    joiner: Joiner,
}

/// A picture as `done` names it.
#[derive(Debug)]
struct Named {
    k: u8,
    sha256: String,
    plan: Option<Plan>,
}

/// Something to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The picture.
    pub(super) k: u8,
    /// First and last of each run of missing parts; nothing where the picture comes whole, or its parts are not known.
    pub(super) parts: Vec<(u32, u32)>,
}

/// Why a `done` cannot be served.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It names no pictures that we could read.
    Unreadable,
    /// Its pictures are larger than we hold.
    TooLarge,
}

impl Album {
    /// An empty album that takes `most` bytes of memory.
    pub(super) fn new(most: usize) -> Self {
        Self { most, pictures: BTreeMap::new(), named: None }
    }

    /// A whole picture came. False if it is not kept: damaged, or no room.
    pub(super) fn whole(&mut self, k: u8, bytes: &[u8]) -> bool {
        let expected = self.named(k).map(|named| named.sha256.clone());
        let damaged = expected.is_some_and(|sha256| sha256 != hex(&Sha256::digest(bytes)));
        if damaged || k >= MOST_PICTURES || bytes.len() > self.room(k, |picture| picture.joiner.held()) {
            return false;
        }
        self.pictures.entry(k).or_default().whole = Some(bytes.to_vec());
        true
    }

    /// A manifest came. False if it is not kept.
    pub(super) fn manifest(&mut self, k: u8, manifest: &Value) -> bool {
        let Ok(plan) = Plan::of(manifest) else { return false };
        let foreign = self.named(k).is_some_and(|named| named.sha256 != plan.sha256());
        !foreign && k < MOST_PICTURES && self.announce(k, plan)
    }

    /// A part came.
    pub(super) fn part(&mut self, k: u8, part: u32, bytes: &[u8]) -> Taken {
        if k >= MOST_PICTURES {
            return Taken::TooMuch;
        }
        let room = self.room(k, Picture::whole_bytes);
        self.pictures.entry(k).or_default().joiner.part(part, bytes, room)
    }

    /// `done` came: from now on it is known what is missing.
    pub(super) fn name(&mut self, done: &Value) -> Result<(), Unfit> {
        let images = done.get("images").and_then(Value::as_array).ok_or(Unfit::Unreadable)?;
        let named: Option<Vec<Named>> = images.iter().map(Named::of).collect();
        let named = named.filter(|named| !named.is_empty()).ok_or(Unfit::Unreadable)?;
        let bytes = images.iter().filter_map(|image| image.get("bytes")?.as_u64()).fold(0, u64::saturating_add);
        if bytes > self.most as u64 {
            return Err(Unfit::TooLarge);
        }
        self.pictures.retain(|k, _| named.iter().any(|named| named.k == *k));
        for Named { k, sha256, plan } in &named {
            let picture = self.pictures.entry(*k).or_default();
            picture.whole = picture.whole.take().filter(|bytes| hex(&Sha256::digest(bytes)) == *sha256);
            if picture.joiner.plan().is_some_and(|plan| plan.sha256() != sha256) {
                picture.joiner = Joiner::default();
            }
            if let (None, Some(plan)) = (picture.joiner.plan(), plan) {
                self.announce(*k, plan.clone());
            }
        }
        self.named = Some(named);
        Ok(())
    }

    /// What is missing of what `done` names; nothing before it came.
    pub(super) fn missing(&self) -> Vec<Wanted> {
        let named = self.named.iter().flatten().filter(|named| self.picture(named.k).is_none());
        named
            .map(|named| {
                let parts = self.pictures.get(&named.k).map(|picture| picture.joiner.missing());
                Wanted { k: named.k, parts: parts.unwrap_or_default() }
            })
            .collect()
    }

    /// Parts of picture `k` that are there, and of all.
    pub(super) fn count(&self, k: u8) -> (u32, u32) {
        self.pictures.get(&k).map_or((0, 0), |picture| picture.joiner.count())
    }

    /// The pictures, once `done` came and all that it names are there.
    pub(super) fn complete(&self) -> Option<Vec<Vec<u8>>> {
        let named = self.named.as_ref()?;
        named.iter().map(|named| self.picture(named.k).map(<[u8]>::to_vec)).collect()
    }

    fn announce(&mut self, k: u8, plan: Plan) -> bool {
        let room = self.room(k, Picture::whole_bytes);
        self.pictures.entry(k).or_default().joiner.announce(plan, room)
    }

    fn named(&self, k: u8) -> Option<&Named> {
        self.named.iter().flatten().find(|named| named.k == k)
    }

    fn picture(&self, k: u8) -> Option<&[u8]> {
        let picture = self.pictures.get(&k)?;
        picture.whole.as_deref().or_else(|| picture.joiner.picture())
    }

    /// Memory that is left for picture `k`, beside the part of it that `other` counts.
    fn room(&self, k: u8, other: impl Fn(&Picture) -> usize) -> usize {
        let held = |(number, picture): (&u8, &Picture)| match *number == k {
            true => other(picture),
            false => picture.whole_bytes() + picture.joiner.held(),
        };
        self.most.saturating_sub(self.pictures.iter().map(held).sum())
    }
}

impl Picture {
    fn whole_bytes(&self) -> usize {
        self.whole.as_ref().map_or(0, Vec::len)
    }
}

impl Named {
    fn of(image: &Value) -> Option<Self> {
        let k = image.get("k")?.as_u64().and_then(|k| u8::try_from(k).ok()).filter(|k| *k < MOST_PICTURES)?;
        let sha256 = image.get("sha256")?.as_str()?.to_ascii_lowercase();
        Some(Self { k, sha256, plan: Plan::of(image).ok() })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn done(pictures: &[&[u8]]) -> Value {
        let sha256 = |bytes: &[u8]| hex(&Sha256::digest(bytes));
        let image = |(k, bytes): (usize, &&[u8])| json!({"k": k, "bytes": bytes.len(), "sha256": sha256(bytes)});
        json!({"images": pictures.iter().enumerate().map(image).collect::<Vec<_>>()})
    }

    fn manifest(bytes: &[u8], part_bytes: usize) -> Value {
        json!({"bytes": bytes.len(), "part_bytes": part_bytes, "parts": bytes.len().div_ceil(part_bytes),
            "sha256": hex(&Sha256::digest(bytes))})
    }

    #[test]
    fn pictures_together_take_no_more_memory_than_allowed() {
        let mut album = Album::new(1000);
        assert!(album.whole(0, &[1; 600]));
        assert!(!album.whole(1, &[1; 600]));
        assert!(!album.manifest(1, &manifest(&[1; 600], 100)));
        assert_eq!(album.part(1, 0, &[1; 500]), Taken::TooMuch);
        // The same picture again takes the place of the first.
        assert!(album.whole(0, &[1; 900]));
        assert!(!album.whole(64, &[1]));
        assert_eq!(album.name(&done(&[&[1; 600], &[1; 600]])), Err(Unfit::TooLarge));
    }

    #[test]
    fn what_done_does_not_name_is_dropped_and_what_is_damaged_is_missing() {
        let mut album = Album::new(1000);
        album.whole(0, b"damaged");
        album.whole(1, b"second");
        album.whole(2, b"of another job");
        assert_eq!((album.missing(), album.complete()), (Vec::new(), None));
        album.name(&done(&[b"first", b"second"])).unwrap();
        assert_eq!(album.missing(), [Wanted { k: 0, parts: Vec::new() }]);
        assert!(!album.whole(0, b"damaged") && album.whole(0, b"first"));
        assert_eq!(album.complete().unwrap(), [b"first".to_vec(), b"second".to_vec()]);
    }

    #[test]
    fn a_picture_that_done_calls_whole_may_come_in_parts() {
        let mut album = Album::new(1000);
        album.name(&done(&[b"first"])).unwrap();
        assert!(!album.manifest(0, &manifest(b"other", 3)));
        assert!(album.manifest(0, &manifest(b"first", 3)));
        assert_eq!(album.missing(), [Wanted { k: 0, parts: vec![(0, 1)] }]);
        assert_eq!((album.part(0, 1, b"st"), album.part(0, 0, b"fir")), (Taken::New, Taken::Complete));
        assert_eq!(album.complete().unwrap(), [b"first"]);
    }

    #[test]
    fn a_done_that_cannot_be_read_names_nothing() {
        for done in [json!({}), json!({"images": []}), json!({"images": [{"k": 0}]}), json!({"images": [{"k": -1}]})] {
            assert_eq!(Album::new(1000).name(&done), Err(Unfit::Unreadable), "{done}");
        }
    }
}
