//! Whether the work still moves: the watchdog is fed by progress, never by a clock alone.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long work may stand still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// While a model does its first job: it may build engines or page weights in.
    pub first: Duration,
    /// At least, whatever was measured since.
    pub least: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { first: Duration::from_secs(15 * 60), least: Duration::from_secs(120) }
    }
}

/// How long the supervisor may not pass by: as long as the unit's watchdog waits.
const UNATTENDED: Duration = Duration::from_secs(60);

/// What does not move any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// The work on a job.
    Work,
    /// Whoever looks after the threads and feeds the watchdog.
    Supervisor,
}

impl Stall {
    /// Its name in `/livez`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Work => "work_stalled",
            Self::Supervisor => "supervisor_stalled",
        }
    }
}

/// Moves with the work while there is any.
#[derive(Default)]
pub struct Pulse {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    patience: Patience,
    /// How many times slower the clock is than it could be; nothing or 1 if it is not.
    slowness: f64,
    /// Jobs at work.
    jobs: usize,
    /// When the work last moved; nothing while there is none.
    moved: Option<Instant>,
    /// When the supervisor last passed by; nothing before it was there.
    tended: Option<Instant>,
    /// The model at work.
    model: String,
    /// The longest pass of the present job.
    longest: Duration,
    /// The longest pass of each model that finished a job.
    known: HashMap<String, Duration>,
}

impl Pulse {
    /// From now on it is given up after this patience.
    pub fn allow(&self, patience: Patience) {
        self.lock().patience = patience;
    }

    /// From now on the clock is so many times slower than it could be, and so may the work be.
    pub fn stretch(&self, slowness: f64) {
        self.lock().slowness = slowness;
    }

    /// Work on a job begins. Jobs at the same time have the same model.
    pub fn begin(&self, model: &str) {
        let mut state = self.lock();
        if state.jobs == 0 {
            model.clone_into(&mut state.model);
            state.longest = Duration::ZERO;
        }
        state.jobs += 1;
        state.moved = Some(Instant::now());
    }

    /// Work moved on, without a pass.
    pub fn step(&self) {
        let mut state = self.lock();
        // Where nobody works nothing moves, and nothing can stand still.
        state.moved = state.moved.map(|_| Instant::now());
    }

    /// A pass came back.
    pub fn beat(&self) {
        let mut state = self.lock();
        let now = Instant::now();
        if let Some(before) = state.moved.replace(now) {
            state.longest = state.longest.max(now - before);
        }
    }

    /// Work on a job ended; `done` says that the model went through all of its passes.
    pub fn rest(&self, done: bool) {
        let mut state = self.lock();
        state.jobs = state.jobs.saturating_sub(1);
        state.moved = (state.jobs > 0).then(Instant::now);
        if done {
            let (model, longest) = (state.model.clone(), state.longest);
            let known = state.known.entry(model).or_default();
            *known = longest.max(*known);
        }
    }

    /// The supervisor passes by.
    pub fn tend(&self) {
        self.lock().tended = Some(Instant::now());
    }

    /// Whether everything moves that has to.
    pub fn is_alive(&self) -> bool {
        self.stall().is_none()
    }

    /// What has stood still for too long. For the work that is by default 15 minutes while a model does its first job,
    /// then ten times its longest pass, and never less than two minutes; all of that longer on a slower clock.
    pub fn stall(&self) -> Option<Stall> {
        let state = self.lock();
        if !state.works() {
            return Some(Stall::Work);
        }
        let is_tended = state.tended.is_none_or(|tended| tended.elapsed() < UNATTENDED);
        (!is_tended).then_some(Stall::Supervisor)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn works(&self) -> bool {
        let allowed = match self.known.get(&self.model) {
            Some(known) => (self.longest.max(*known) * 10).max(self.patience.least),
            None => self.patience.first,
        };
        self.moved.is_none_or(|moved| moved.elapsed() < allowed.mul_f64(self.slowness.max(1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stood_still_for(pulse: &Pulse, seconds: u64) {
        pulse.lock().moved = Instant::now().checked_sub(Duration::from_secs(seconds));
    }

    #[test]
    fn every_pass_of_a_models_first_job_has_a_quarter_of_an_hour() {
        let pulse = Pulse::default();
        pulse.begin("sd15");
        pulse.step();
        pulse.beat();
        stood_still_for(&pulse, 14 * 60);
        assert!(pulse.is_alive(), "the text encoder's short pass says nothing of the U-Net's");
        stood_still_for(&pulse, 16 * 60);
        assert!(!pulse.is_alive());
    }

    #[test]
    fn later_jobs_have_two_minutes_and_other_models_their_own_first_job() {
        let pulse = Pulse::default();
        pulse.begin("sd15");
        pulse.beat();
        pulse.rest(true);
        pulse.begin("sd15");
        stood_still_for(&pulse, 121);
        assert!(!pulse.is_alive());
        pulse.rest(false);
        pulse.begin("sdxl");
        stood_still_for(&pulse, 14 * 60);
        assert!(pulse.is_alive());
    }

    #[test]
    fn slow_passes_are_given_ten_times_their_time_and_rest_is_no_stall() {
        let pulse = Pulse::default();
        pulse.begin("sd15");
        stood_still_for(&pulse, 30);
        pulse.beat();
        pulse.rest(true);
        pulse.begin("sd15");
        stood_still_for(&pulse, 290);
        assert!(pulse.is_alive());
        stood_still_for(&pulse, 310);
        assert!(!pulse.is_alive());
        pulse.rest(false);
        assert!(pulse.is_alive());
    }

    #[test]
    fn a_slower_clock_is_given_as_much_more_time() {
        let pulse = Pulse::default();
        pulse.begin("sd15");
        pulse.rest(true);
        pulse.begin("sd15");
        pulse.stretch(2.0);
        stood_still_for(&pulse, 239);
        assert!(pulse.is_alive());
        stood_still_for(&pulse, 241);
        assert!(!pulse.is_alive());
        stood_still_for(&pulse, 121);
        pulse.stretch(1.0);
        assert!(!pulse.is_alive());
    }

    #[test]
    fn while_one_of_two_jobs_is_at_work_it_may_not_stand_still() {
        let pulse = Pulse::default();
        pulse.begin("sd15");
        pulse.begin("sd15");
        pulse.rest(true);
        stood_still_for(&pulse, 121);
        assert!(!pulse.is_alive());
        pulse.rest(true);
        assert!(pulse.is_alive());
    }

    #[test]
    fn a_supervisor_that_does_not_pass_by_any_more_is_a_stall_once_it_was_there() {
        let pulse = Pulse::default();
        assert_eq!(pulse.stall(), None);
        pulse.tend();
        assert_eq!(pulse.stall(), None);
        pulse.lock().tended = Instant::now().checked_sub(Duration::from_secs(61));
        assert_eq!(pulse.stall(), Some(Stall::Supervisor));
        pulse.begin("sd15");
        stood_still_for(&pulse, 16 * 60);
        assert_eq!(pulse.stall(), Some(Stall::Work));
    }
}
