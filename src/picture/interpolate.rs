//! The two ways in which torch's `interpolate` brings maps to the size of latents.

use super::grid::Grid;

/// `mode="nearest"`. A side of zero counts as one.
pub(super) fn nearest(old: &Grid<f32>, width: u32, height: u32) -> Grid<f32> {
    let columns = picked(old.width(), width);
    let rows = picked(old.height(), height);
    Grid::made(columns.len(), rows.len(), |row| {
        let row = old.row(rows[row]);
        columns.iter().map(move |column| row[*column])
    })
}

/// The source of each of the `new` places. The scale is a float32 in torch, which decides where a place falls.
fn picked(old: usize, new: u32) -> Vec<usize> {
    let scale = old as f32 / new.max(1) as f32;
    (0..new.max(1)).map(|index| ((index as f32 * scale) as usize).min(old - 1)).collect()
}

/// `mode="bicubic", align_corners=False, antialias=False`. A side of zero counts as one.
pub(super) fn bicubic(old: &Grid<f32>, width: u32, height: u32) -> Grid<f32> {
    let columns = taps(old.width(), width);
    let rows = taps(old.height(), height);
    Grid::made(columns.len(), rows.len(), |row| {
        let row = rows[row];
        columns.iter().map(move |column| row.sum(|row| column.sum(|column| f64::from(old.row(row)[column]))) as f32)
    })
}

/// The four sources of a new value on one axis, with their weights.
#[derive(Clone, Copy)]
struct Taps([(usize, f64); 4]);

impl Taps {
    fn sum(&self, value: impl Fn(usize) -> f64) -> f64 {
        self.0.iter().map(|(at, weight)| weight * value(*at)).sum()
    }
}

/// The sources of each of the `new` places; beyond the edges, the edge is repeated.
fn taps(old: usize, new: u32) -> Vec<Taps> {
    let scale = old as f32 / new.max(1) as f32;
    let taps_at = |index: u32| {
        let place = scale * (index as f32 + 0.5) - 0.5;
        let before = place.floor();
        let behind = f64::from(place - before);
        let source = |step: i64| (before as i64 + step).clamp(0, old as i64 - 1) as usize;
        Taps([-1, 0, 1, 2].map(|step| (source(step), keys(behind - step as f64))))
    };
    (0..new.max(1)).map(taps_at).collect()
}

/// Keys' cubic with a = -0.75, as torch (and OpenCV) has it; Pillow's has -0.5.
fn keys(x: f64) -> f64 {
    const A: f64 = -0.75;
    let x = x.abs();
    if x < 1.0 { ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0 } else { (((x - 5.0) * x + 8.0) * x - 4.0) * A }
}
