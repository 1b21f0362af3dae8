//! The noise levels of the training, timestep by timestep.

use super::config::{Betas, SchedulerConfig};
use super::levels::{Clock, NoiseLevel};

/// The noise levels that the model has seen, in float32 like diffusers', so that the two agree to the last digits.
pub(crate) struct Training {
    /// Share of signal in the variance (alpha^2) by timestep, falling.
    alphas_cumprod: Vec<f32>,
    /// sigma / alpha by timestep, rising.
    ve_sigmas: Vec<f32>,
}

impl Training {
    /// The levels of `config`; `least_signal` is the last value of alpha^2 where rescaled betas would leave 0.
    pub(crate) fn new(config: &SchedulerConfig, least_signal: f64) -> Self {
        let mut betas = betas(config);
        if config.rescale_betas_zero_snr {
            rescale_zero_terminal_snr(&mut betas);
        }
        let mut alphas_cumprod = cumprod(&betas);
        if let (true, Some(last)) = (config.rescale_betas_zero_snr, alphas_cumprod.last_mut()) {
            *last = least_signal as f32;
        }
        let ve_sigmas = alphas_cumprod.iter().map(|a| ((1.0 - a) / a).sqrt()).collect();
        Self { alphas_cumprod, ve_sigmas }
    }

    /// The level of a timestep; between whole timesteps sigma / alpha is interpolated, as in diffusers, and beyond the ends
    /// it stays.
    pub(crate) fn at(&self, timestep: f64) -> NoiseLevel {
        self.interpolated(timestep, |low, high, part| low + part * (high - low))
    }

    /// The same, with the logarithm of sigma / alpha interpolated, as in k-diffusion.
    pub(crate) fn log_at(&self, timestep: f64) -> NoiseLevel {
        self.interpolated(timestep, |low, high, part| low * (high / low).powf(part))
    }

    fn interpolated(&self, timestep: f64, between: fn(f64, f64, f64) -> f64) -> NoiseLevel {
        let last = self.ve_sigmas.len().saturating_sub(1);
        let place = timestep.clamp(0.0, last as f64);
        let (index, part) = (place as usize, place.fract());
        if part == 0.0 {
            return NoiseLevel::new(f64::from(self.alphas_cumprod[index]), timestep);
        }
        let (low, high) = (f64::from(self.ve_sigmas[index]), f64::from(self.ve_sigmas[index + 1]));
        NoiseLevel::with_ve_sigma(between(low, high, part), timestep)
    }

    /// The level with the least noise.
    pub(crate) fn least(&self) -> NoiseLevel {
        self.at(0.0)
    }

    /// The level with the most noise.
    pub(crate) fn most(&self) -> NoiseLevel {
        self.at(self.ve_sigmas.len().saturating_sub(1) as f64)
    }

    /// The timesteps of levels between those of the training.
    pub(crate) fn clock(&self) -> Clock {
        Clock::new(&self.ve_sigmas)
    }
}

fn betas(config: &SchedulerConfig) -> Vec<f32> {
    let n = config.num_train_timesteps;
    match &config.betas {
        Betas::Linear(start, end) => linspace(*start as f32, *end as f32, n),
        Betas::ScaledLinear(start, end) => {
            linspace(start.sqrt() as f32, end.sqrt() as f32, n).into_iter().map(|root| root * root).collect()
        }
        Betas::SquaredCosine => (0..n).map(|i| squared_cosine(i, n)).collect(),
        Betas::Trained(betas) => betas.iter().map(|&beta| beta as f32).collect(),
    }
}

/// `betas_for_alpha_bar` in diffusers.
fn squared_cosine(i: usize, n: usize) -> f32 {
    let alpha_bar = |i: usize| ((i as f64 / n as f64 + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2).cos().powi(2);
    (1.0 - alpha_bar(i + 1) / alpha_bar(i)).min(0.999) as f32
}

/// `torch.linspace` in float32, which counts from both ends.
fn linspace(start: f32, end: f32, n: usize) -> Vec<f32> {
    let step = (end - start) / n.saturating_sub(1).max(1) as f32;
    let at = |i: usize| if i < n / 2 { start + step * i as f32 } else { end - step * (n - 1 - i) as f32 };
    if n == 1 { vec![start] } else { (0..n).map(at).collect() }
}

/// Running product of 1 - beta; torch accumulates float32 products in double precision.
fn cumprod(betas: &[f32]) -> Vec<f32> {
    let product = |so_far: &mut f64, beta: &f32| {
        *so_far *= f64::from(1.0 - beta);
        Some(*so_far as f32)
    };
    betas.iter().scan(1.0, product).collect()
}

/// Shifts and scales sqrt(alphas_cumprod) so that it ends at 0 (Lin et al. 2024, algorithm 1).
fn rescale_zero_terminal_snr(betas: &mut [f32]) {
    let roots: Vec<f32> = cumprod(betas).into_iter().map(f32::sqrt).collect();
    let (Some(&first), Some(&last)) = (roots.first(), roots.last()) else { return };
    let scale = first / (first - last);
    let mut before = 1.0;
    for (beta, root) in betas.iter_mut().zip(roots) {
        let alpha_bar = ((root - last) * scale).powi(2);
        *beta = 1.0 - alpha_bar / before;
        before = alpha_bar;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(text: &str) -> Training {
        let config = SchedulerConfig::parse(text).unwrap_or_else(|error| unreachable!("{error}"));
        Training::new(&config, 0.0)
    }

    #[test]
    fn stable_diffusions_noise_runs_from_0_0292_to_14_6146() {
        let text = r#"{"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}"#;
        let training = training(text);
        let (least, most) = (training.least().ve_sigma(), training.most().ve_sigma());
        assert!((least - 0.029_167).abs() < 1e-6, "{least}");
        assert!((most - 14.614_642).abs() < 1e-5, "{most}");
    }

    #[test]
    fn rescaled_betas_leave_no_signal() {
        let text = r#"{"rescale_betas_zero_snr": true, "beta_schedule": "scaled_linear"}"#;
        assert_eq!(training(text).most().alpha(), 0.0);
    }

    #[test]
    fn the_timestep_of_a_level_is_its_own() {
        let training = training("{}");
        for timestep in [0.0, 1.0, 500.0, 998.0, 999.0] {
            let found = training.clock().timestep_of(training.at(timestep).ve_sigma());
            assert!((found - timestep).abs() < 1e-3, "{found} for {timestep}");
        }
    }
}
