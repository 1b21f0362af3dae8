//! What the threads of the appliance share, and the threads' work made of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::json;

use super::{AppError, models};
use crate::board::Board;
use crate::config::Config;
use crate::http::{Listen, Site};
use crate::job::Generate;
use crate::mqtt::link::Gate;
use crate::mqtt::{Courier, Signal};
use crate::service::report::NodeFacts;
use crate::service::{
    Activity, Bell, Crew, Desk, Hears, LiveRules, Meter, Notice, Notify, Phase, Pulse, Reporter, Sampler, Store,
    StoreError, Worker,
};

/// What the threads share.
pub(super) struct Shared {
    pub(super) rules: Arc<LiveRules>,
    pub(super) store: Arc<Store>,
    pub(super) activity: Arc<Activity>,
    pub(super) bell: Arc<Bell>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) gate: Arc<Gate>,
    /// Set when an administrator wants the adapters' folder to be looked at.
    pub(super) reload: Arc<AtomicBool>,
    pub(super) notify: Notify,
    pub(super) signals: SyncSender<Signal>,
}

impl Shared {
    pub(super) fn new(config: &Config, signals: SyncSender<Signal>) -> Result<Self, AppError> {
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
            now.at_once = config.engine.jobs;
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

    pub(super) fn worker(&self, config: &Config, generator: Arc<dyn Generate>) -> Worker {
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
            crew: Crew::default(),
        }
    }

    /// Looks at the board for the others.
    pub(super) fn sampler(&self, config: &Config, board: Board) -> Sampler {
        let hears = Hears {
            activity: Arc::clone(&self.activity),
            pulse: Arc::clone(&self.pulse),
            bell: Arc::clone(&self.bell),
            notify: Arc::clone(&self.notify),
        };
        Sampler::new(board, config.thermal, &config.store, hears)
    }

    /// What the pages show.
    pub(super) fn site(&self, config: &Config, listen: Listen, board: &Board) -> Site {
        Site {
            listen,
            node: config.node.clone(),
            accelerator: config.engine.accelerator.accelerator.name(),
            device: board.identity().model,
            activity: Arc::clone(&self.activity),
            pulse: Arc::clone(&self.pulse),
            store: Mutex::new(Arc::clone(&self.store)),
            store_bytes: config.store_bytes,
            prompts: config.log.prompts,
            begun: Instant::now(),
        }
    }

    pub(super) fn courier(&self, config: &Config, board: &Board) -> Result<Courier, StoreError> {
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
                accelerator: config.engine.accelerator.accelerator.name().to_owned(),
                device: board.identity().model,
                queue: config.queue,
                per_client: config.per_client,
                packet_bytes: config.broker.max_packet as usize,
                image: json!({
                    "format": told("format"), "retain": config.retain_image, "max_bytes": told("max_bytes"),
                }),
            },
            shortcut: config.shortcut,
            home_assistant: config.home_assistant.clone(),
            retain_image: config.retain_image,
            gate: Arc::clone(&self.gate),
            mark: self.store.mark()?,
        })
    }
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
