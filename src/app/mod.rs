//! The composition root: builds the appliance from its configuration, supervises its threads, and drains it.

mod models;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use serde_json::json;

pub use self::models::{load, rules, start};
use crate::config::{Config, ConfigError};
use crate::job::{Generate, Rules};
use crate::model::LoadError;
use crate::mqtt::{Courier, CourierError, Signal, link};
use crate::service::report::NodeFacts;
use crate::service::worker::WorkerError;
use crate::service::{
    Activity, Bell, Desk, Lifecycle, LiveRules, Notice, Notify, Pulse, Reporter, Store, StoreError, Worker,
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

/// A running appliance.
pub struct Appliance {
    activity: Arc<Activity>,
    bell: Arc<Bell>,
    pulse: Arc<Pulse>,
    signals: SyncSender<Signal>,
    leaving: Arc<AtomicBool>,
    link: JoinHandle<()>,
    worker: Option<JoinHandle<Result<(), WorkerError>>>,
    courier: Option<JoinHandle<Result<(), CourierError>>>,
    rules: Arc<LiveRules>,
    notify: Notify,
    refresh: Refresh,
}

impl Appliance {
    /// Opens the store, takes up what was left there, and starts the three threads.
    ///
    /// `refresh` is asked from time to time for other rules.
    pub fn start(
        config: &Config,
        rules: Rules,
        generator: Arc<dyn Generate>,
        refresh: Refresh,
    ) -> Result<Self, AppError> {
        let store = Arc::new(Store::open(&config.store, &boot_id())?);
        let recovered = store.recover()?;
        if recovered > 0 {
            tracing::warn!(jobs = recovered, "jobs that were running when the process ended begin again");
        }
        let model = rules.models.first().map_or("", |model| &model.name);
        let activity = Arc::new(Activity::new(store.count("boot")?, config.queue, model));
        let open = store.open_jobs()?;
        let (done, failed) = (store.counted("jobs_done")?, store.counted("jobs_failed")?);
        activity.change(|now| {
            (now.queue, now.jobs_done, now.jobs_failed, now.lifecycle) = (open, done, failed, Lifecycle::Ready);
        });
        let (signals, inbox) = mpsc::sync_channel(SIGNALS);
        let parts = Parts {
            config,
            rules: Arc::new(LiveRules::new(rules)),
            store,
            activity,
            bell: Arc::new(Bell::default()),
            pulse: Arc::new(Pulse::default()),
            notify: notify(&signals),
            signals,
        };
        parts.start(generator, inbox, refresh)
    }

    /// Looks after the threads and the watchdog until `stop` is set or a thread ends.
    pub fn supervise(mut self, stop: &AtomicBool) -> Result<(), AppError> {
        let watchdog = sd_notify::watchdog_enabled().map(|interval| interval / 2);
        tell_systemd(&[NotifyState::Ready]);
        let (mut fed, mut looked) = (Instant::now(), Instant::now());
        while !stop.load(Ordering::Relaxed) && !self.has_ended() {
            thread::sleep(TICK);
            if watchdog.is_some_and(|interval| fed.elapsed() >= interval) && self.pulse.is_alive() {
                tell_systemd(&[NotifyState::Watchdog]);
                fed = Instant::now();
            }
            if looked.elapsed() >= LOOK {
                self.refresh();
                looked = Instant::now();
            }
        }
        tell_systemd(&[NotifyState::Stopping]);
        self.drain()
    }

    fn refresh(&mut self) {
        if let Some(rules) = (self.refresh)() {
            self.rules.change(rules);
            (self.notify)(Notice::Rules);
        }
    }

    fn has_ended(&self) -> bool {
        self.link.is_finished()
            || self.worker.as_ref().is_none_or(JoinHandle::is_finished)
            || self.courier.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// The running job goes back to the store; what lies in the outbox is delivered as far as a few seconds allow.
    fn drain(&mut self) -> Result<(), AppError> {
        let deaf = self.link.is_finished();
        self.activity.change(|now| now.lifecycle = Lifecycle::Stopping);
        self.bell.stop();
        let worker = self.worker.take().map(|thread| thread.join().map_err(|_| AppError::Thread("worker")));
        self.leaving.store(true, Ordering::Relaxed);
        let _ = self.signals.send(Signal::Stop);
        let courier = self.courier.take().map(|thread| thread.join().map_err(|_| AppError::Thread("courier")));
        if let Some(ended) = worker {
            ended??;
        }
        if let Some(ended) = courier {
            ended??;
        }
        if deaf { Err(AppError::Thread("link")) } else { Ok(()) }
    }
}

/// What the three threads share.
struct Parts<'a> {
    config: &'a Config,
    rules: Arc<LiveRules>,
    store: Arc<Store>,
    activity: Arc<Activity>,
    bell: Arc<Bell>,
    pulse: Arc<Pulse>,
    notify: Notify,
    signals: SyncSender<Signal>,
}

impl Parts<'_> {
    fn start(
        self,
        generator: Arc<dyn Generate>,
        inbox: Receiver<Signal>,
        refresh: Refresh,
    ) -> Result<Appliance, AppError> {
        let worker = self.worker(generator);
        let courier = self.courier();
        let will = link::last_will(self.config.topics.availability());
        let leaving = Arc::new(AtomicBool::new(false));
        let (broker, signals, stopping) = (self.config.broker.clone(), self.signals.clone(), Arc::clone(&leaving));
        Ok(Appliance {
            link: spawn("link", move || link::run(&broker, Some(&will), &signals, &stopping))?,
            worker: Some(spawn("worker", move || worker.run())?),
            courier: Some(spawn("courier", move || courier.run(&inbox))?),
            activity: self.activity,
            bell: self.bell,
            pulse: self.pulse,
            signals: self.signals,
            leaving,
            rules: self.rules,
            notify: self.notify,
            refresh,
        })
    }

    fn worker(&self, generator: Arc<dyn Generate>) -> Worker {
        Worker {
            store: Arc::clone(&self.store),
            generator,
            rules: Arc::clone(&self.rules),
            reporter: Reporter::new(&self.config.node),
            activity: Arc::clone(&self.activity),
            pulse: Arc::clone(&self.pulse),
            bell: Arc::clone(&self.bell),
            notify: Arc::clone(&self.notify),
            keep: self.config.keep,
            job_time: self.config.job_time,
        }
    }

    fn courier(&self) -> Courier {
        let config = self.config;
        let told = |key: &str| config.image.get(key).cloned().unwrap_or_default();
        Courier {
            desk: Desk {
                rules: Arc::clone(&self.rules),
                queue: config.queue,
                per_client: config.per_client,
                log_prompts: config.log.prompts,
                store: Arc::clone(&self.store),
                reporter: Reporter::new(&config.node),
                activity: Arc::clone(&self.activity),
                bell: Arc::clone(&self.bell),
                notify: Arc::clone(&self.notify),
            },
            topics: config.topics.clone(),
            facts: NodeFacts {
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
        }
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
fn notify(signals: &SyncSender<Signal>) -> Notify {
    let signals = signals.clone();
    Arc::new(move |notice| drop(signals.try_send(Signal::Notice(notice))))
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
