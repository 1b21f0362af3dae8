//! Numbers over time: quantiles, and whether something grows.

/// The value below or at which `share` of the values lie (nearest rank); 0 without values.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(0.0)
}

/// How much the second half of a series grows from its begin to its end, by the median of all slopes (Theil and Sen): a
/// few outliers do not matter. The points are evenly spaced.
pub fn growth(series: &[f64]) -> f64 {
    let half = &series[series.len() / 2..];
    // A thousand points make half a million slopes; more are thinned out.
    let stride = half.len().div_ceil(1000).max(1);
    let points: Vec<f64> = half.iter().step_by(stride).copied().collect();
    let slopes: Vec<f64> = (0..points.len())
        .flat_map(|from| (from + 1..points.len()).map(move |to| (from, to)))
        .map(|(from, to)| (points[to] - points[from]) / (to - from) as f64)
        .collect();
    quantile(&slopes, 0.5) * points.len().saturating_sub(1) as f64
}
