//! A model that is watched while a sampler calls it: stop, progress, previews, trace. The mathematics knows nothing of it.

use ndarray::{Axis, arr0};

use super::preview::Previews;
use super::trace::Trace;
use crate::diffusion::{Halt, Input, Latents, Pass, Predict};
use crate::job::{Progress, Stage, Watch};
use crate::model::PassError;

/// Passes everything on to `inner`.
pub(super) struct Observed<'a, P> {
    inner: P,
    watch: &'a dyn Watch,
    previews: Previews<'a>,
    trace: &'a mut Trace,
    /// Index of the first picture.
    k: usize,
    /// Calls so far; a sampler may make several a step.
    calls: usize,
}

impl<'a, P: Predict> Observed<'a, P> {
    pub(super) fn new(inner: P, watch: &'a dyn Watch, previews: Previews<'a>, k: usize, trace: &'a mut Trace) -> Self {
        Self { inner, watch, previews, trace, k, calls: 0 }
    }

    fn before(&mut self, input: Input<'_>) -> Result<(), Halt> {
        if let Some(stop) = self.watch.stop() {
            return Err(Halt::new(PassError::Stopped(stop)));
        }
        self.watch.progress(Progress { stage: Stage::Denoise, step: input.step, steps: input.steps, k: self.k });
        if self.trace.is_on() {
            self.keep("input", input.latents);
            for k in self.k..self.k + input.latents.len_of(Axis(0)) {
                let timestep = arr0(input.timestep as f32).into_dyn();
                self.trace.keep(&format!("{k}.call.{:03}.timestep", self.calls), timestep.view());
            }
        }
        Ok(())
    }

    fn keep(&mut self, what: &str, latents: &Latents) {
        self.trace.keep_each(self.k, &format!("call.{:03}.{what}", self.calls), latents);
    }
}

impl<P: Predict> Predict for Observed<'_, P> {
    fn predict(&mut self, input: Input<'_>, passes: &[Pass]) -> Result<Vec<Latents>, Halt> {
        self.before(input)?;
        let outputs = self.inner.predict(input, passes)?;
        for (pass, output) in passes.iter().zip(&outputs) {
            match pass {
                Pass::Unconditional => self.keep("unconditional", output),
                Pass::Conditional(0) => self.keep("conditional", output),
                Pass::Conditional(index) => self.keep(&format!("conditional.{index}"), output),
            }
        }
        self.calls += 1;
        Ok(outputs)
    }

    fn seen(&mut self, input: Input<'_>, clean: &dyn Fn() -> Latents) {
        self.previews.show(input, clean);
    }
}
