//! Which tensor of the checkpoint goes where in the new folder: every weight on both sides is accounted for.

use std::collections::{BTreeMap, BTreeSet};

use super::error::ImportError;
use super::leftover::{Leftovers, Parts};
use super::shelf::{Entry, Shelf};
use super::template::Slot;
use crate::weights::names::{Blocks, Part, Source};

/// A tensor, or a third of its rows, on its way to its place.
#[derive(Clone, Debug)]
pub(super) struct Pour {
    pub(super) key: String,
    pub(super) entry: Entry,
    /// The first element that is taken, and how many rows and columns of them; what is no matrix counts as one row.
    pub(super) first: u64,
    pub(super) rows: u64,
    pub(super) columns: u64,
    /// Whether rows and columns are exchanged on the way.
    pub(super) turned: bool,
    pub(super) slot: Slot,
}

/// All of them, and what is left over.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order of their places.
    pub(super) pours: Vec<Pour>,
    /// Keys of the checkpoint that no part wants and that are known to be of no use, counted.
    pub(super) ignored: usize,
    /// Keys that nobody knows, of no part that is filled.
    pub(super) unknown: Vec<String>,
}

/// A list of faults is cut after so many.
const SHOWN: usize = 5;

impl Plan {
    /// An error if a weight of the template is not in the checkpoint, or has another shape there; and if a part that is filled
    /// has weights that the template has no place for: it would be another model without them.
    pub(super) fn of(slots: Vec<Slot>, shelf: &Shelf) -> Result<Self, ImportError> {
        let (blocks, parts) = (blocks(&slots), Parts::of(&slots, shelf));
        let (mut pours, mut missing, mut misshapen) = (Vec::new(), Vec::new(), Vec::new());
        for slot in slots {
            let source = blocks.get(&slot.part).and_then(|blocks| shelf.source(slot.part, &slot.name, blocks));
            let found = source.and_then(|source| Some((shelf.get(source.key())?.clone(), source)));
            let Some((entry, source)) = found else {
                missing.push(slot.name);
                continue;
            };
            match pour(slot, source, entry) {
                Ok(pour) => pours.push(pour),
                Err(fault) => misshapen.push(fault),
            }
        }
        let used: BTreeSet<&str> = pours.iter().map(|pour| pour.key.as_str()).collect();
        let rest = shelf.tensors().map(|(key, _)| key).filter(|key| !used.contains(key));
        let Leftovers { ignored, homeless, unknown } = parts.leftovers(rest);
        let faults = [
            (missing, "it lacks"),
            (misshapen, "it has other shapes than the template:"),
            (homeless, "the template has no place for"),
        ];
        for (faults, what) in faults {
            if !faults.is_empty() {
                return Err(ImportError::unfit(&shelf.path, listed(what, &faults)));
            }
        }
        pours.sort_by(|a, b| (&a.slot.file, a.slot.offset).cmp(&(&b.slot.file, b.slot.offset)));
        Ok(Self { pours, ignored, unknown })
    }
}

/// The structure of each part, which the names of the original layout depend on.
fn blocks(slots: &[Slot]) -> BTreeMap<Part, Blocks> {
    let mut names: BTreeMap<Part, Vec<&str>> = BTreeMap::new();
    for slot in slots {
        names.entry(slot.part).or_default().push(&slot.name);
    }
    names.into_iter().map(|(part, names)| (part, Blocks::of(names))).collect()
}

/// The way of one weight; the error is what was expected and what came.
fn pour(slot: Slot, source: Source, entry: Entry) -> Result<Pour, String> {
    let shape = entry.shape.as_slice();
    let (fits, first, turned) = match &source {
        Source::Whole(_) => (shape == slot.shape, 0, false),
        Source::Squeezed(_) => (squeezed(shape) == squeezed(&slot.shape), 0, false),
        Source::Transposed(_) => (shape.iter().rev().eq(slot.shape.iter()), 0, true),
        Source::Rows { third, .. } => {
            let elements = slot.shape.iter().map(|&side| side as u64).product::<u64>();
            (is_third(&slot.shape, shape), elements * *third as u64, false)
        }
    };
    if !fits {
        let (key, expected) = (source.key(), &slot.shape);
        return Err(format!("{key} must be {expected:?} for {}, got {shape:?}", slot.name));
    }
    let turned = turned != slot.transposed;
    let elements = slot.shape.iter().map(|&side| side as u64).product::<u64>();
    let rows = match (turned, &source) {
        (false, _) => 1,
        (true, Source::Transposed(_)) => shape.first().map_or(1, |&rows| rows as u64),
        (true, _) => slot.shape.first().map_or(1, |&rows| rows as u64),
    };
    Ok(Pour { key: source.key().to_owned(), entry, first, rows, columns: elements / rows.max(1), turned, slot })
}

/// Without sides of 1 at the end.
fn squeezed(shape: &[usize]) -> &[usize] {
    let end = shape.iter().rposition(|&side| side != 1).map_or(0, |last| last + 1);
    &shape[..end]
}

/// Whether `whole` has three times the rows of `third` and is like it otherwise.
fn is_third(third: &[usize], whole: &[usize]) -> bool {
    match (third, whole) {
        ([rows, rest @ ..], [all, others @ ..]) => rows.checked_mul(3) == Some(*all) && rest == others,
        _ => false,
    }
}

fn listed(what: &str, faults: &[String]) -> String {
    let shown = faults.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match faults.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{what} {shown} and {more} more"),
        _ => format!("{what} {shown}"),
    }
}
