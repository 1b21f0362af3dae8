//! Several callers' passes of one graph as one pass: their entries go one after another along the first dimension.
//!
//! Every entry of a U-Net's batch has a timestep and a text of its own, so the callers may be at different steps. What has
//! no batch, such as the strengths of hypernetworks, must be equal.

use ndarray::{ArrayD, Axis, Slice, concatenate};

use super::super::session::Feed;
use super::Run;

/// How many passes like this one may run as one, with so much room in latents of one channel; at least one.
pub(super) fn most(run: &Run, room: usize) -> usize {
    let size = run.feeds.first().map_or(&[][..], |sample| sample.value.shape());
    match (entries(run), size) {
        (Some(entries), [.., height, width]) => (room / (entries * height * width).max(1)).max(1),
        _ => 1,
    }
}

/// Whether two passes can be one.
pub(super) fn agree(one: &Run, other: &Run) -> bool {
    let (Some(mine), Some(its)) = (entries(one), entries(other)) else { return false };
    one.graph == other.graph
        && one.outputs == other.outputs
        && one.feeds.len() == other.feeds.len()
        && one.feeds.iter().zip(&other.feeds).all(|(one, other)| {
            let both = has_batch(one, mine) && has_batch(other, its);
            let same = if both { one.value.shape()[1..] == other.value.shape()[1..] } else { one.value == other.value };
            one.port == other.port && same
        })
}

/// The feeds of all passes; they must agree.
pub(super) fn join(runs: &[Run]) -> Result<Vec<Feed>, String> {
    let Some((first, entries)) = runs.first().and_then(|run| Some((run, entries(run)?))) else {
        return Err("passes without a batch cannot be joined".to_owned());
    };
    let joined = first.feeds.iter().enumerate().map(|(index, feed)| {
        let port = feed.port.clone();
        if !has_batch(feed, entries) {
            return Ok(Feed { port, value: feed.value.clone() });
        }
        let all: Vec<_> = runs.iter().map(|run| run.feeds[index].value.view()).collect();
        concatenate(Axis(0), &all).map(|value| Feed { port, value }).map_err(|error| error.to_string())
    });
    joined.collect()
}

/// Of the outputs of a joined pass those of each caller.
pub(super) fn split(values: Vec<ArrayD<f32>>, runs: &[Run]) -> Result<Vec<Vec<ArrayD<f32>>>, String> {
    if runs.len() == 1 {
        return Ok(vec![values]);
    }
    let counts: Vec<usize> = runs.iter().map(|run| entries(run).unwrap_or(0)).collect();
    let all: usize = counts.iter().sum();
    if let Some(value) = values.iter().find(|value| value.shape().first() != Some(&all)) {
        return Err(format!("a joined pass must give {all} entries, got the shape {:?}", value.shape()));
    }
    let mut from = 0;
    let parts = counts.iter().map(|count| {
        let part = Slice::from(from..from + count);
        from += count;
        values.iter().map(|value| value.slice_axis(Axis(0), part).to_owned()).collect()
    });
    Ok(parts.collect())
}

/// How many entries a pass has, if its graph leaves that free.
fn entries(run: &Run) -> Option<usize> {
    let sample = run.feeds.first()?;
    let entries = *sample.value.shape().first()?;
    has_batch(sample, entries).then_some(entries)
}

/// Whether a value has one row for each entry, as many as one likes.
fn has_batch(feed: &Feed, entries: usize) -> bool {
    feed.port.shape.first() == Some(&None) && feed.value.shape().first() == Some(&entries)
}
