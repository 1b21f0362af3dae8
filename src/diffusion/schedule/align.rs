//! The schedules of "Align Your Steps" (Sabour et al. 2024), found by optimisation for ten steps of two models.

/// sigma / alpha for Stable Diffusion v1.5.
pub(super) const STABLE_DIFFUSION: [f64; 11] =
    [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029];

/// sigma / alpha for Stable Diffusion XL.
pub(super) const STABLE_DIFFUSION_XL: [f64; 11] =
    [14.615, 6.315, 3.771, 2.181, 1.342, 0.862, 0.555, 0.38, 0.234, 0.113, 0.029];

/// sigma / alpha at the starts of `steps` steps along `table`, whose logarithm is interpolated evenly over its length.
///
/// The table's last value is the end of the last step and so not among them: the run ends as the sampler does. With ten
/// steps this is `AysSchedules` in diffusers, and with any number ComfyUI's node; the Stable Diffusion web UI spreads the
/// steps over the whole table and adds an end.
pub(super) fn along(table: &[f64; 11], steps: usize) -> Vec<f64> {
    let at = |i: usize| {
        let place = i as f64 * (table.len() - 1) as f64 / steps as f64;
        let (low, part) = (place as usize, place.fract());
        let high = (low + 1).min(table.len() - 1);
        if part == 0.0 { table[low] } else { (table[low].ln() * (1.0 - part) + table[high].ln() * part).exp() }
    };
    (0..steps).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_steps_start_at_the_values_of_the_table() {
        assert_eq!(along(&STABLE_DIFFUSION, 10), STABLE_DIFFUSION[..10]);
    }

    #[test]
    fn other_numbers_of_steps_are_interpolated_in_the_logarithm() {
        let twenty = along(&STABLE_DIFFUSION_XL, 20);
        assert_eq!(twenty.len(), 20);
        assert!((twenty[1] - (14.615f64 * 6.315).sqrt()).abs() < 1e-12);
        assert!((twenty[19] - (0.113f64 * 0.029).sqrt()).abs() < 1e-12);
        assert_eq!(along(&STABLE_DIFFUSION_XL, 1), [14.615]);
    }
}
