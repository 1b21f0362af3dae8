//! Where in a run a sampler is.

/// Where in a run the steps of a sampler lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Steps done before them.
    pub(crate) before: usize,
    /// Steps of the whole run.
    pub(crate) steps: usize,
    /// How far the picture is.
    pub(crate) progress: Progress,
}

/// How far the picture is, as a share of the plain run: so many steps lead from one of its steps to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) steps: usize,
    /// Steps of the plain run.
    pub(crate) all: usize,
}

impl Place {
    /// A run of one step.
    pub(crate) const ONE: Self = Self { before: 0, steps: 1, progress: Progress { from: 0, to: 1, steps: 1, all: 1 } };
}

impl Progress {
    /// The share that is done before the step of this index, 0 to 1; exact at the steps of the plain run.
    pub(crate) fn at(self, step: usize) -> f64 {
        let Self { from, to, steps, all } = self;
        (from * steps + step * (to - from)) as f64 / (steps.max(1) * all.max(1)) as f64
    }

    /// What a step adds.
    pub(crate) fn each(self) -> f64 {
        (self.to - self.from) as f64 / (self.steps.max(1) * self.all.max(1)) as f64
    }
}
