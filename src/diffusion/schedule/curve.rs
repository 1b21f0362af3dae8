//! Noise levels along a curve between a highest and a lowest one.

use super::beta;

/// How sigma / alpha falls over a run, between its highest and its lowest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Curve {
    /// Evenly in its seventh root (Karras et al. 2022, equation 5): dense near the clean end.
    Karras,
    /// Evenly in its logarithm.
    Exponential,
    /// As the quantiles of the distribution Beta(0.6, 0.6) (Lee et al. 2024): dense near both ends.
    Beta,
}

impl Curve {
    /// `points` values of sigma / alpha from `most` to `least`, both included; a single one is `most`.
    pub(crate) fn between(self, most: f64, least: f64, points: usize) -> Vec<f64> {
        let intervals = points.saturating_sub(1).max(1) as f64;
        (0..points).map(|i| self.at(most, least, i as f64 / intervals)).collect()
    }

    /// sigma / alpha where `part` of the way, 0 to 1, is done.
    fn at(self, most: f64, least: f64, part: f64) -> f64 {
        const RHO: f64 = 7.0;
        let mix = |from: f64, to: f64| from + part * (to - from);
        match self {
            Self::Karras => mix(most.powf(1.0 / RHO), least.powf(1.0 / RHO)).powf(RHO),
            Self::Exponential => mix(most.ln(), least.ln()).exp(),
            Self::Beta => least + beta::quantile(1.0 - part) * (most - least),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_falls_from_the_highest_to_the_lowest_value() {
        for curve in [Curve::Karras, Curve::Exponential, Curve::Beta] {
            let values = curve.between(14.6, 0.03, 9);
            assert!((values[0] - 14.6).abs() < 1e-12 && (values[8] - 0.03).abs() < 1e-12, "{curve:?} {values:?}");
            assert!(values.windows(2).all(|pair| pair[0] > pair[1]), "{curve:?} {values:?}");
            assert!((curve.between(14.6, 0.03, 1)[0] - 14.6).abs() < 1e-12);
        }
    }

    #[test]
    fn exponential_values_share_one_ratio() {
        let values = Curve::Exponential.between(16.0, 1.0, 5);
        assert!(values.iter().zip([16.0, 8.0, 4.0, 2.0, 1.0]).all(|(a, b)| (a - b).abs() < 1e-12), "{values:?}");
    }
}
