//! Passes of graphs whose batch is free, and of those that were exported with a fixed one.

use ndarray::{ArrayD, ArrayViewD, Axis, Slice, concatenate};

use super::engine::Graph;
use super::error::PassError;
use super::session::{Feed, Port};
use crate::job::Watch;

/// Runs `graph` on `batch` entries at once; all feeds have that many in their first dimension, or hold for all of them.
///
/// Where the first feed's port has a fixed batch, this takes several passes, the last one filled up.
pub(super) fn run(
    graph: &Graph,
    batch: usize,
    feeds: Vec<Feed>,
    output: &Port,
    watch: &dyn Watch,
) -> Result<ArrayD<f32>, PassError> {
    let mut values = run_for(graph, batch, feeds, &[output], watch)?;
    values.pop().ok_or_else(|| PassError::Failed(format!("there is no output {}", output.name)))
}

/// The same for several outputs, given in the order of `outputs`.
pub(super) fn run_for(
    graph: &Graph,
    batch: usize,
    feeds: Vec<Feed>,
    outputs: &[&Port],
    watch: &dyn Watch,
) -> Result<Vec<ArrayD<f32>>, PassError> {
    let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    let fixed = feeds.first().and_then(|feed| feed.port.batch()).filter(|fixed| *fixed != batch && *fixed > 0);
    let Some(fixed) = fixed else { return graph.run(feeds, &names, watch) };
    let mut parts = Vec::new();
    for from in (0..batch).step_by(fixed) {
        let some = feeds.iter().map(|feed| part(feed, from, fixed)).collect();
        parts.push(graph.run(some, &names, watch)?);
    }
    (0..outputs.len()).map(|output| joined(&parts, output, batch)).collect()
}

/// The values of an output over all passes, without what filled up the last one.
fn joined(parts: &[Vec<ArrayD<f32>>], output: usize, batch: usize) -> Result<ArrayD<f32>, PassError> {
    let views: Vec<_> = parts.iter().map(|part| part[output].view()).collect();
    let mut whole = concatenate(Axis(0), &views).map_err(|error| PassError::Failed(error.to_string()))?;
    whole.slice_axis_inplace(Axis(0), Slice::from(..batch));
    Ok(whole)
}

/// `count` entries beginning with `from`; the last one is repeated where there are not enough.
fn part(feed: &Feed, from: usize, count: usize) -> Feed {
    let value = match (feed.value.shape().first(), feed.port.batch()) {
        (None | Some(0), _) | (Some(1), Some(1)) => feed.value.clone(),
        (Some(&entries), _) => {
            let indices: Vec<usize> = (from..from + count).map(|index| index.min(entries - 1)).collect();
            feed.value.select(Axis(0), &indices)
        }
    };
    Feed { port: feed.port.clone(), value }
}

/// The same entries `times` times over, along the first dimension.
pub(super) fn repeated(value: ArrayViewD<'_, f32>, times: usize) -> ArrayD<f32> {
    let entries = value.shape().first().copied().unwrap_or(1);
    value.select(Axis(0), &(0..times * entries).map(|index| index % entries).collect::<Vec<_>>())
}
