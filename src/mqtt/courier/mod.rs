//! The conversation: one thread that hands incoming messages to the desk and delivers what lies in the outbox.
//!
//! It waits on one channel of [`Signal`]s, and knows of every message of ours that is not acknowledged what it was.

mod deliver;
mod discovery;
mod farewell;
mod flight;
mod inbox;
mod limit;
mod mail;
mod receive;
mod retained;
mod subscribe;
mod trouble;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rumqttc::v5::Client as Handle;
use rumqttc::v5::mqttbytes::v5::Publish;

use self::deliver::Answer;
use self::discovery::Discovery;
use self::farewell::Farewell;
use self::flight::Flight;
use self::inbox::Inbox;
use self::limit::Limit;
use self::retained::Important;
use self::trouble::Trouble;
use super::door::Pool;
use super::link::Gate;
use super::reply::ReplyPrefixes;
use super::wire::Outgoing;
use super::{HomeAssistant, Signal, Topics};
use crate::job::Rules;
use crate::service::report::NodeFacts;
use crate::service::{Alert, Desk, Notice, StoreError};

/// What a picture's packet needs beside the picture, generously.
const PACKET_HEAD: usize = 1024;

/// How often jobs that wait are looked at whether they are still wanted.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// The conversation with the broker.
pub struct Courier {
    /// Takes what comes in.
    pub desk: Desk,
    /// Where things are said.
    pub topics: Topics,
    /// The pools that the node works for.
    pub pools: Vec<Pool>,
    /// Where answers may go besides the usual topics.
    pub reply_prefixes: ReplyPrefixes,
    /// What `info` tells.
    pub facts: NodeFacts,
    /// Whether the `prompt` topic is open.
    pub shortcut: bool,
    /// How the node shows itself to Home Assistant, if it does.
    pub home_assistant: Option<HomeAssistant>,
    /// Whether the broker keeps the newest picture of the `prompt` topic.
    pub retain_image: bool,
    /// Keeps the connection away while the appliance cannot work.
    pub gate: Arc<Gate>,
    /// What tells our store from those of other nodes, also of one that has our name.
    pub mark: String,
}

/// Why the conversation ended.
#[derive(Debug, thiserror::Error)]
pub enum CourierError {
    /// The store cannot be read or written, and waiting will not help; what came in since was not acknowledged.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What belongs to the present connection.
#[derive(Default)]
struct Line {
    client: Option<Handle>,
    max_packet: usize,
    /// Answers to subscriptions that have not come yet, and refusals so far.
    awaited: usize,
    refusals: usize,
    subscribed: bool,
    /// What is on its way.
    flight: Flight,
    rest_until: Option<Instant>,
    /// The last message was an answer: mail goes before the next one.
    mail_is_next: bool,
}

impl Courier {
    /// Reacts to signals until it is told to stop and has said goodbye.
    pub fn run(self, signals: &Receiver<Signal>) -> Result<(), CourierError> {
        let mut talk = Talk {
            courier: self,
            line: Line::default(),
            inbox: Inbox::new(),
            retained: VecDeque::new(),
            answers: VecDeque::new(),
            state_sent: None,
            rules_told: None,
            discovery: Discovery::default(),
            state_changed: false,
            refused: HashMap::new(),
            limit: Limit::default(),
            trouble: None,
            leaving: None,
            swept: None,
            has_begun: false,
            connections: 0,
            noted: Vec::new(),
        };
        loop {
            let signal = match signals.recv_timeout(Duration::from_millis(500)) {
                Ok(signal) => Some(signal),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            };
            match talk.turn(signal) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => talk.fall_ill(error)?,
            }
        }
    }
}

/// A courier at work.
struct Talk {
    courier: Courier,
    line: Line,
    inbox: Inbox<Publish>,
    /// Retained topics to publish, in order.
    retained: VecDeque<Outgoing>,
    /// Answers that are not stored.
    answers: VecDeque<Answer>,
    state_sent: Option<(Instant, Important)>,
    state_changed: bool,
    /// The rules that `info` told of last.
    rules_told: Option<Arc<Rules>>,
    /// What Home Assistant was told.
    discovery: Discovery,
    /// Mail that the broker refused, and how often.
    refused: HashMap<i64, u32>,
    limit: Limit,
    /// Set while the appliance keeps away from the broker.
    trouble: Option<Trouble>,
    leaving: Option<Farewell>,
    /// When what had waited for too long was ended last.
    swept: Option<Instant>,
    /// Whether there are models to work with.
    has_begun: bool,
    /// Connections so far.
    connections: u64,
    /// What an operator is told of for a while, and since when.
    noted: Vec<(Alert, Instant)>,
}

impl Talk {
    /// One signal, or a pause without one; true once everything is over.
    fn turn(&mut self, signal: Option<Signal>) -> Result<bool, StoreError> {
        if let Some(signal) = signal {
            self.react(signal)?;
        }
        self.recover()?;
        self.sweep()?;
        if self.trouble.is_none() {
            self.begin()?;
        }
        self.acknowledge_ready();
        self.refresh_state();
        self.refresh_info();
        self.announce()?;
        self.send_next()?;
        self.has_left()
    }

    /// Ends, about once a second, what waits for too long.
    fn sweep(&mut self) -> Result<(), StoreError> {
        if self.trouble.is_none() && self.swept.is_none_or(|swept| swept.elapsed() >= SWEEP_EVERY) {
            self.courier.desk.sweep()?;
            self.swept = Some(Instant::now());
        }
        Ok(())
    }

    fn react(&mut self, signal: Signal) -> Result<(), StoreError> {
        match signal {
            Signal::Up { client, max_packet, session_present } => {
                self.connected(client, max_packet, session_present)?
            }
            Signal::Down { too_large, .. } => {
                self.limit.broken(self.line.flight.largest_mail(), too_large);
                self.forget_connection();
            }
            Signal::Granted(codes) => self.granted(&codes),
            Signal::Incoming(publish) => self.receive(publish)?,
            Signal::Acknowledged { number, reason } => self.acknowledged(number, reason)?,
            Signal::Taken => self.keep_away(),
            Signal::Notice(notice) => self.heed(notice),
            Signal::Stop => self.leave(),
        }
        Ok(())
    }

    fn heed(&mut self, notice: Notice) {
        match notice {
            Notice::Mail | Notice::Rules | Notice::Reload => {}
            Notice::State => self.state_changed = true,
            Notice::Defaults => self.queue_defaults(),
            Notice::Announce => self.queue_all(),
            Notice::StoreFails => self.stay_away(Alert::Storage),
            // Worth nothing once they are late, so they never wait behind anything.
            Notice::Progress { address, body } => {
                let topic = self.courier.topics.about(&address, "progress");
                self.whisper(&address, Outgoing::progress(topic, body, address.correlation.clone()));
            }
            Notice::Preview { address, k, step, bytes } => {
                let topic = self.courier.topics.about(&address, "preview");
                self.whisper(&address, Outgoing::preview(topic, k, step, bytes, address.correlation.clone()));
            }
        }
    }

    fn connected(&mut self, client: Handle, max_packet: usize, session_present: bool) -> Result<(), StoreError> {
        self.forget_connection();
        self.connections += 1;
        self.courier.desk.activity.count(|figures| figures.connects += 1);
        if self.trouble.is_some() {
            // It was made just before the gate was closed.
            let _ = client.try_disconnect();
            return Ok(());
        }
        let mut filters = self.filters();
        if self.has_begun {
            filters.extend(self.pool_filters());
        }
        let awaited = subscribe::ask(&client, &filters);
        let max_packet = self.limit.of(max_packet);
        let room = u32::try_from(max_packet.saturating_sub(PACKET_HEAD)).unwrap_or(u32::MAX);
        self.courier.desk.activity.change(|now| now.room = Some(room));
        self.line = Line { client: Some(client), max_packet, awaited, ..Line::default() };
        if !session_present && self.courier.retain_image {
            // A broker that has lost our session may have lost the picture that it kept for us.
            self.courier.desk.store.renew_shortcut()?;
        }
        Ok(())
    }

    fn forget_connection(&mut self) {
        if self.line.client.is_some() {
            self.courier.desk.activity.count(|figures| figures.disconnects += 1);
        }
        self.courier.desk.activity.change(|now| now.online = false);
        self.line = Line::default();
        self.inbox.clear();
        self.answers.clear();
        self.retained.clear();
    }
}
