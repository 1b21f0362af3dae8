//! The composition root: builds the appliance from its configuration, supervises its threads, and drains it.

mod models;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use serde_json::json;

pub use self::models::{load, rules, serve, start};
use crate::config::{Config, ConfigError};
use crate::job::{Generate, Rules};
use crate::model::LoadError;
use crate::mqtt::link::{self, Gate};
use crate::mqtt::{Courier, CourierError, Signal};
use crate::service::report::NodeFacts;
use crate::service::worker::WorkerError;
use crate::service::{
    Activity, Bell, Desk, LiveRules, Meter, Notice, Notify, Patience, Phase, Pulse, Reporter, Store, StoreError, Worker,
};

/// Signals that may wait for the courier; beyond that the network has to wait.
const SIGNALS: usize = 256;
/// How often threads and the watchdog are looked after.
const TICK: Duration = Duration::from_millis(200);
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
    worker: Option<JoinHandle<Result<(), WorkerError>>>,
    courier: Option<JoinHandle<Result<(), CourierError>>>,
    refresh: Refresh,
}

/// What the threads share.
struct Shared {
    rules: Arc<LiveRules>,
    store: Arc<Store>,
    activity: Arc<Activity>,
    bell: Arc<Bell>,
    pulse: Arc<Pulse>,
    gate: Arc<Gate>,
    /// Set when an administrator wants the adapters' folder to be looked at.
    reload: Arc<AtomicBool>,
    notify: Notify,
    signals: SyncSender<Signal>,
}

impl Appliance {
    /// Opens the store, takes up what was left there, and connects. Requests are refused as `not_ready` until
    /// [`begin`](Self::begin).
    pub fn connect(config: &Config) -> Result<Self, AppError> {
        let (signals, inbox) = mpsc::sync_channel(SIGNALS);
        let shared = Shared::new(config, signals)?;
        let courier = shared.courier(config)?;
        courier.desk.remember_mode()?;
        let will = link::last_will(config.topics.availability());
        let leaving = Arc::new(AtomicBool::new(false));
        let (broker, signals) = (config.broker.clone(), shared.signals.clone());
        let (stopping, gate) = (Arc::clone(&leaving), Arc::clone(&shared.gate));
        Ok(Self {
            link: spawn("link", move || link::run(&broker, Some(&will), &signals, &stopping, &gate))?,
            worker: None,
            courier: Some(spawn("courier", move || courier.run(&inbox))?),
            shared,
            leaving,
            refresh: Box::new(|| None),
        })
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
        let worker = shared.worker(config, generator);
        self.worker = Some(spawn("worker", move || worker.run())?);
        self.refresh = refresh;
        shared.activity.change(|now| (now.phase, now.model) = (Phase::Working, model));
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
            || self.worker.as_ref().is_none_or(JoinHandle::is_finished)
            || self.courier.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The running job goes back to the store; what lies in the outbox is delivered as far as a few seconds allow.
    pub(super) fn drain(&mut self) -> Result<(), AppError> {
        let deaf = self.link.is_finished();
        self.shared.activity.change(|now| now.phase = Phase::Stopping);
        self.shared.bell.stop();
        let worker = self.worker.take().map(|thread| thread.join().map_err(|_| AppError::Thread("worker")));
        self.leaving.store(true, Ordering::Relaxed);
        let _ = self.shared.signals.send(Signal::Stop);
        let courier = self.courier.take().map(|thread| thread.join().map_err(|_| AppError::Thread("courier")));
        worker.transpose()?.transpose()?;
        self.shared.store.close();
        if let Some(ended) = courier {
            ended??;
        }
        if deaf { Err(AppError::Thread("link")) } else { Ok(()) }
    }
}

impl Shared {
    fn new(config: &Config, signals: SyncSender<Signal>) -> Result<Self, AppError> {
        let store = Arc::new(Store::open(&config.store, &boot_id(), config.store_bytes)?);
        let recovered = store.recover()?;
        if recovered > 0 {
            tracing::warn!(jobs = recovered, "jobs that were running when the process ended begin again");
        }
        let activity = Arc::new(Activity::new(store.count("boot")?, config.queue, ""));
        let open = store.open_jobs()?;
        let (done, failed) = (store.counted("jobs_done")?, store.counted("jobs_failed")?);
        activity.change(|now| {
            (now.queue, now.jobs_done, now.jobs_failed, now.phase) = (open, done, failed, Phase::Loading);
        });
        let reload = Arc::new(AtomicBool::new(false));
        Ok(Self {
            rules: Arc::new(LiveRules::new(models::without_models(config))),
            store,
            activity,
            bell: Arc::new(Bell::default()),
            pulse: Arc::new(Pulse::default()),
            gate: Arc::new(Gate::default()),
            notify: notify(&signals, &reload),
            reload,
            signals,
        })
    }

    fn worker(&self, config: &Config, generator: Arc<dyn Generate>) -> Worker {
        Worker {
            store: Arc::clone(&self.store),
            generator,
            rules: Arc::clone(&self.rules),
            reporter: Reporter::new(&config.node),
            activity: Arc::clone(&self.activity),
            pulse: Arc::clone(&self.pulse),
            bell: Arc::clone(&self.bell),
            notify: Arc::clone(&self.notify),
            keep: config.keep,
            job_time: config.job_time,
        }
    }

    fn courier(&self, config: &Config) -> Result<Courier, StoreError> {
        let told = |key: &str| config.image.get(key).cloned().unwrap_or_default();
        Ok(Courier {
            desk: Desk {
                rules: Arc::clone(&self.rules),
                queue: config.queue,
                per_client: config.per_client,
                meter: config.rate.map(Meter::new),
                log_prompts: config.log.prompts,
                store: Arc::clone(&self.store),
                reporter: Reporter::new(&config.node),
                activity: Arc::clone(&self.activity),
                bell: Arc::clone(&self.bell),
                notify: Arc::clone(&self.notify),
            },
            topics: config.topics.clone(),
            pools: config.pools.clone(),
            reply_prefixes: config.reply_prefixes.clone(),
            facts: NodeFacts {
                pools: config.pools.iter().map(|pool| pool.as_str().to_owned()).collect(),
                accelerator: config.engine.accelerator.name().to_owned(),
                queue: config.queue,
                per_client: config.per_client,
                packet_bytes: config.broker.max_packet as usize,
                image: json!({
                    "format": told("format"), "retain": config.retain_image, "max_bytes": told("max_bytes"),
                }),
            },
            shortcut: config.shortcut,
            retain_image: config.retain_image,
            gate: Arc::clone(&self.gate),
            mark: self.store.mark()?,
        })
    }
}

fn spawn<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, AppError> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|_| AppError::Thread(name))
}

/// Notices of the service become signals for the courier, which gives notices itself and so must never wait for room.
/// One that finds none is lost without harm: the courier looks at the outbox and the state with every signal.
fn notify(signals: &SyncSender<Signal>, reload: &Arc<AtomicBool>) -> Notify {
    let (signals, reload) = (signals.clone(), Arc::clone(reload));
    Arc::new(move |notice| match notice {
        Notice::Reload => reload.store(true, Ordering::Relaxed),
        notice => drop(signals.try_send(Signal::Notice(notice))),
    })
}

/// Names this boot of the machine; without it no death of the process is held against a job.
fn boot_id() -> String {
    let unknown = || format!("unknown-{}", crate::service::desk::fresh_id().as_str());
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map_or_else(|_| unknown(), |id| id.trim().to_owned())
}

/// Outside systemd there is nobody to tell.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
