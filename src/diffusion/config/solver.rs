//! What a scheduler's configuration says about the solver: keys that several classes share.

use super::ConfigError;
use super::raw::{choose, demand};

/// How a class solves the equation; where the file is silent, the default that the classes share.
#[derive(Clone, Debug, PartialEq)]
pub struct Solver {
    /// `solver_order` of DPM-Solver++, DEIS and UniPC, 1 to 3: how many predictions a step looks at.
    pub order: usize,
    /// `solver_type`: which of the formulas of that order.
    pub kind: SolverKind,
    /// Whether DPM-Solver++ is the stochastic one (`algorithm_type` "sde-dpmsolver++").
    pub stochastic: bool,
    /// Whether the last steps are of lower order: in DPM-Solver++ and DEIS of short runs, in UniPC of all runs.
    pub lower_order_final: bool,
    /// Whether DPM-Solver++ ends with a step of first order also in long runs.
    pub euler_at_final: bool,
    /// Steps after which UniPC does not correct.
    pub disable_corrector: Vec<usize>,
    /// Whether DDPM adds as much noise as the forward process (`fixed_large`), not as much as its reverse.
    pub large_variance: bool,
    /// How sharply consistency models begin to trust their input near the clean end.
    pub timestep_scaling: f64,
}

/// The names of the formulas. A class that does not know one takes its own default, as in diffusers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SolverKind {
    /// DPM-Solver++'s default: the slope is taken halfway.
    Midpoint,
    /// DPM-Solver++ with the exact integral of the line.
    Heun,
    /// DEIS's only one.
    LogRho,
    /// UniPC with B(h) = h.
    Bh1,
    /// UniPC's default, B(h) = exp(h) - 1.
    Bh2,
}

impl Default for Solver {
    fn default() -> Self {
        Self {
            order: 2,
            // Every class takes this for its default.
            kind: SolverKind::LogRho,
            stochastic: false,
            lower_order_final: true,
            euler_at_final: false,
            disable_corrector: Vec::new(),
            large_variance: false,
            timestep_scaling: 10.0,
        }
    }
}

/// The stochastic algorithm of DPM-Solver++.
const STOCHASTIC: &str = "sde-dpmsolver++";

/// The keys as they are written; any may be absent or null.
#[derive(serde::Deserialize)]
pub(super) struct Raw {
    solver_order: Option<usize>,
    solver_type: Option<String>,
    lower_order_final: Option<bool>,
    euler_at_final: Option<bool>,
    disable_corrector: Option<Vec<usize>>,
    variance_type: Option<String>,
    timestep_scaling: Option<f64>,
    // Only understood well enough to be refused.
    algorithm_type: Option<String>,
    lambda_min_clipped: Option<f64>,
    predict_x0: Option<bool>,
    skip_prk_steps: Option<bool>,
}

impl Raw {
    /// The solver of a configuration of that class.
    pub(super) fn read(&self, class: Option<&str>) -> Result<Solver, ConfigError> {
        self.refuse_unserved(class)?;
        let kinds = [
            ("midpoint", SolverKind::Midpoint),
            ("heun", SolverKind::Heun),
            ("logrho", SolverKind::LogRho),
            ("bh1", SolverKind::Bh1),
            ("bh2", SolverKind::Bh2),
        ];
        // The logarithm of a variance is taken for its root with fixed_small_log, so that the two are the same.
        let variances = [("fixed_small", false), ("fixed_small_log", false), ("fixed_large", true)];
        let usual = Solver::default();
        Ok(Solver {
            order: self.solver_order.unwrap_or(usual.order),
            kind: choose("solver_type", self.solver_type.as_deref(), &kinds)?.unwrap_or(usual.kind),
            stochastic: self.algorithm_type.as_deref() == Some(STOCHASTIC),
            lower_order_final: self.lower_order_final.unwrap_or(usual.lower_order_final),
            euler_at_final: self.euler_at_final.unwrap_or(usual.euler_at_final),
            disable_corrector: self.disable_corrector.clone().unwrap_or_default(),
            large_variance: choose("variance_type", self.variance_type.as_deref(), &variances)?.unwrap_or(false),
            timestep_scaling: self.timestep_scaling.unwrap_or(usual.timestep_scaling),
        })
    }

    fn refuse_unserved(&self, class: Option<&str>) -> Result<(), ConfigError> {
        let order = self.solver_order.unwrap_or(2);
        demand((1..=3).contains(&order), "solver_order", "1, 2 or 3", order)?;
        demand(self.predict_x0 != Some(false), "predict_x0", "true", false)?;
        let scaling = self.timestep_scaling.unwrap_or(10.0);
        demand(scaling > 0.0 && scaling.is_finite(), "timestep_scaling", "a number above 0", scaling)?;
        let clipped = self.lambda_min_clipped;
        demand(clipped.is_none(), "lambda_min_clipped", "-Infinity", clipped.unwrap_or_default())?;
        let algorithms: &[(&str, ())] = match class {
            Some("DPMSolverMultistepScheduler") => &[("dpmsolver++", ()), (STOCHASTIC, ()), ("deis", ())],
            // Diffusers reads the others, which belong to DPM-Solver, as deis.
            Some("DEISMultistepScheduler") => &[("deis", ()), ("dpmsolver", ()), ("dpmsolver++", ())],
            Some("PNDMScheduler") => {
                // Absent means false there: a start with Runge-Kutta steps, four calls each, that no common model wants.
                return demand(self.skip_prk_steps == Some(true), "skip_prk_steps", "true", false);
            }
            _ => return Ok(()),
        };
        choose("algorithm_type", self.algorithm_type.as_deref(), algorithms).map(|_| ())
    }
}
