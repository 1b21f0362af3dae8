//! The composition root: builds the appliance from its configuration, supervises its threads, and drains it.

mod models;
mod shared;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

pub use self::models::{load, rules, serve, start};
use self::shared::Shared;
use crate::board::Board;
use crate::config::{Config, ConfigError};
use crate::http::{ServeError, Server};
use crate::job::{Generate, Progress, Rules, Stage};
use crate::model::LoadError;
use crate::mqtt::link;
use crate::mqtt::{CourierError, Signal};
use crate::service::worker::WorkerError;
use crate::service::{Notice, Patience, Phase, Sampler, StoreError};

/// Signals that may wait for the courier; beyond that the network has to wait.
const SIGNALS: usize = 256;
/// How often threads and the watchdog are looked after.
const TICK: Duration = Duration::from_millis(200);
/// Microseconds that systemd gives the next part of a model, which may have to be compiled first.
const LOADING: u32 = 15 * 60 * 1_000_000;
/// How often the adapters' folder is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Why the appliance cannot work, or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// The configuration asks for something that the models or the disk do not have.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A model, the accelerator or ONNX Runtime is missing or unfit.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The store cannot be opened, read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The worker gave up.
    #[error("the worker gave up: {0}")]
    Worker(#[from] WorkerError),
    /// The conversation with the broker ended.
    #[error("the conversation with the broker ended: {0}")]
    Courier(#[from] CourierError),
    /// Health, metrics and the page cannot be served where they should be.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A thread cannot be started or died without a word.
    #[error("the {0} thread died")]
    Thread(&'static str),
}

/// Gives other rules if something changed since it was asked last, such as the adapters in the store.
pub type Refresh = Box<dyn FnMut() -> Option<Rules> + Send>;

/// A running appliance: connected from the start, at work once it has a generator.
pub struct Appliance {
    shared: Shared,
    leaving: Arc<AtomicBool>,
    link: JoinHandle<()>,
    workers: Vec<JoinHandle<Result<(), WorkerError>>>,
    courier: Option<JoinHandle<Result<(), CourierError>>>,
    refresh: Refresh,
    sampler: Sampler,
    http: Option<Server>,
}

impl Appliance {
    /// Opens the store, takes up what was left there, and connects. Requests are refused as `not_ready` until
    /// [`begin`](Self::begin).
    pub fn connect(config: &Config) -> Result<Self, AppError> {
        Self::connect_on(Board::here(), config)
    }

    /// The same on another board than this machine, such as one that a test has made up.
    pub fn connect_on(board: Board, config: &Config) -> Result<Self, AppError> {
        let (signals, inbox) = mpsc::sync_channel(SIGNALS);
        let shared = Shared::new(config, signals)?;
        let http = config.http.map(|listen| Server::start(listen, shared.site(config, listen, &board))).transpose()?;
        let courier = shared.courier(config, &board)?;
        let mut sampler = shared.sampler(config, board);
        // The first look comes before the first job, which might find the board too hot.
        sampler.tick();
        courier.desk.remember_mode()?;
        let will = link::last_will(config.topics.availability());
        let leaving = Arc::new(AtomicBool::new(false));
        let (broker, signals) = (config.broker.clone(), shared.signals.clone());
        let (stopping, gate) = (Arc::clone(&leaving), Arc::clone(&shared.gate));
        Ok(Self {
            link: spawn("link", move || link::run(&broker, Some(&will), &signals, &stopping, &gate))?,
            workers: Vec::new(),
            courier: Some(spawn("courier", move || courier.run(&inbox))?),
            shared,
            leaving,
            refresh: Box::new(|| None),
            sampler,
            http,
        })
    }

    /// So many parts of the models are loaded: told in `state`, and to systemd, which would lose its patience with one
    /// that takes longer to start.
    fn loading(&self, step: usize, steps: usize) {
        let progress = Progress { stage: Stage::Load, step, steps, k: 0 };
        self.shared.activity.change(|now| now.progress = Some(progress));
        (self.shared.notify)(Notice::State);
        tell_systemd(&[NotifyState::ExtendTimeoutUsec(LOADING)]);
    }

    /// Work begins. `refresh` is asked from time to time for other rules.
    pub fn begin(
        &mut self,
        config: &Config,
        rules: Rules,
        generator: Arc<dyn Generate>,
        refresh: Refresh,
    ) -> Result<(), AppError> {
        let shared = &self.shared;
        let model = rules.models.first().map_or_else(String::new, |model| model.name.clone());
        shared.rules.change(rules);
        let worker = Arc::new(shared.worker(config, generator));
        for _ in 0..config.engine.jobs {
            let worker = Arc::clone(&worker);
            self.workers.push(spawn("worker", move || worker.run())?);
        }
        self.refresh = refresh;
        shared.activity.change(|now| (now.phase, now.model, now.progress) = (Phase::Working, model, None));
        (shared.notify)(Notice::Rules);
        Ok(())
    }

    /// Connects and begins at once.
    pub fn start(
        config: &Config,
        rules: Rules,
        generator: Arc<dyn Generate>,
        refresh: Refresh,
    ) -> Result<Self, AppError> {
        let mut appliance = Self::connect(config)?;
        appliance.begin(config, rules, generator, refresh)?;
        Ok(appliance)
    }

    /// With another patience for work that stands still: nobody who tests the watchdog has a quarter of an hour.
    pub fn patient(self, patience: Patience) -> Self {
        self.shared.pulse.allow(patience);
        self
    }

    /// Looks after the threads and the watchdog until `stop` is set or a thread ends.
    pub fn supervise(mut self, stop: &AtomicBool) -> Result<(), AppError> {
        let watchdog = sd_notify::watchdog_enabled().map(|interval| interval / 2);
        tell_systemd(&[NotifyState::Ready]);
        let (mut fed, mut looked) = (Instant::now(), Instant::now());
        while !stop.load(Ordering::Relaxed) && !self.has_ended() {
            thread::sleep(TICK);
            self.sampler.tick();
            self.shared.pulse.tend();
            if watchdog.is_some_and(|interval| fed.elapsed() >= interval) && self.shared.pulse.is_alive() {
                tell_systemd(&[NotifyState::Watchdog]);
                fed = Instant::now();
            }
            if looked.elapsed() >= LOOK || self.shared.reload.swap(false, Ordering::Relaxed) {
                self.refresh();
                looked = Instant::now();
            }
        }
        tell_systemd(&[NotifyState::Stopping]);
        self.drain()
    }

    fn refresh(&mut self) {
        if let Some(rules) = (self.refresh)() {
            self.shared.rules.change(rules);
            (self.shared.notify)(Notice::Rules);
        }
    }

    fn has_ended(&self) -> bool {
        self.link.is_finished()
            || self.workers.is_empty()
            || self.workers.iter().any(JoinHandle::is_finished)
            || self.courier.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The running job goes back to the store; what lies in the outbox is delivered as far as a few seconds allow.
    pub(super) fn drain(&mut self) -> Result<(), AppError> {
        let deaf = self.link.is_finished();
        self.shared.activity.change(|now| now.phase = Phase::Stopping);
        self.shared.bell.stop();
        let workers = self.workers.drain(..).map(|thread| thread.join().map_err(|_| AppError::Thread("worker")));
        let workers: Vec<_> = workers.collect();
        self.leaving.store(true, Ordering::Relaxed);
        let _ = self.shared.signals.send(Signal::Stop);
        let courier = self.courier.take().map(|thread| thread.join().map_err(|_| AppError::Thread("courier")));
        workers.into_iter().try_for_each(|ended| ended?.map_err(AppError::from))?;
        drop(self.http.take());
        self.shared.store.close();
        if let Some(ended) = courier {
            ended??;
        }
        if deaf { Err(AppError::Thread("link")) } else { Ok(()) }
    }
}

fn spawn<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, AppError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|_| AppError::Thread(name))
}

/// Outside systemd there is nobody to tell.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
