//! A conversation's connection: signals become events, acts become packets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rumqttc::v5::Client as Handle;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, PubAckReason, Publish, SubscribeReasonCode};

use super::talk::{Act, Event, Talk};
use super::{AskError, Update};
use crate::mqtt::{Broker, Signal, link};

/// Signals that may wait; beyond that the network has to wait.
const SIGNALS: usize = 64;
/// How often a conversation looks at the clock.
const TICK: Duration = Duration::from_millis(100);
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// A connection to a broker, made again when it breaks.
pub(super) struct Line {
    signals: Receiver<Signal>,
    stopping: Arc<AtomicBool>,
    handle: Option<Handle>,
    /// Whether the subscription of this connection was answered; later answers are about later ones.
    granted: bool,
}

impl Line {
    pub(super) fn open(broker: &Broker) -> Self {
        let (sender, signals) = mpsc::sync_channel(SIGNALS);
        let stopping = Arc::new(AtomicBool::new(false));
        let (broker, leaving) = (broker.clone(), Arc::clone(&stopping));
        thread::spawn(move || link::run(&broker, None, &sender, &leaving, &link::Gate::default()));
        Self { signals, stopping, handle: None, granted: false }
    }

    /// Holds a conversation until it has a result, or is over for another reason.
    pub(super) fn hold<T: Talk>(
        mut self,
        mut talk: T,
        timeout: Duration,
        stop: &AtomicBool,
        mut told: impl FnMut(&Update),
    ) -> Result<T::Result, AskError> {
        let end = Instant::now() + timeout;
        loop {
            let acts = match self.signals.recv_timeout(TICK) {
                Ok(signal) => self.pass_on(signal, &mut talk)?,
                Err(RecvTimeoutError::Timeout) => talk.react(Event::Tick, Instant::now())?,
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(AskError::Denied("the connection ended".to_owned()));
                }
            };
            acts.into_iter().for_each(|act| self.perform(act, &mut told));
            if let Some(result) = talk.result() {
                return Ok(result);
            }
            if stop.load(Ordering::Relaxed) {
                return Err(AskError::Stopped);
            }
            if Instant::now() >= end {
                return Err(AskError::Timeout { waited: timeout, state: talk.state() });
            }
        }
    }

    fn pass_on(&mut self, signal: Signal, talk: &mut impl Talk) -> Result<Vec<Act>, AskError> {
        let now = Instant::now();
        match signal {
            Signal::Up { client, max_packet, .. } => {
                (self.handle, self.granted) = (Some(client), false);
                talk.react(Event::Up { max_packet }, now)
            }
            Signal::Down { denied: Some(reason), .. } => Err(AskError::Denied(reason)),
            Signal::Down { denied: None, .. } => {
                self.handle = None;
                talk.react(Event::Down, now)
            }
            Signal::Granted(codes) if !std::mem::replace(&mut self.granted, true) => match codes.first() {
                Some(SubscribeReasonCode::Success(_)) => talk.react(Event::Granted, now),
                other => Err(AskError::Denied(format!("the subscription was answered with {other:?}"))),
            },
            Signal::Acknowledged { reason, .. } => {
                talk.react(Event::Acknowledged { denied: reason == PubAckReason::NotAuthorized }, now)
            }
            Signal::Incoming(publish) => self.message(&publish, talk, now),
            Signal::Taken => Err(AskError::Denied("another connection has our name".to_owned())),
            Signal::Granted(_) | Signal::Notice(_) | Signal::Stop => Ok(Vec::new()),
        }
    }

    fn message(&self, publish: &Publish, talk: &mut impl Talk, now: Instant) -> Result<Vec<Act>, AskError> {
        if let Some(handle) = &self.handle {
            // There is room: the broker sends fewer unacknowledged messages than fit on the way.
            let _ = handle.try_ack(publish);
        }
        let topic = String::from_utf8_lossy(&publish.topic);
        talk.react(
            Event::Message { topic: &topic, payload: &publish.payload, retained: publish.retain, mark: mark(publish) },
            now,
        )
    }

    fn perform(&self, act: Act, told: &mut impl FnMut(&Update)) {
        // What finds no room on the way is as lost as on the network: the conversations repeat it in time.
        match (act, &self.handle) {
            (Act::Tell(update), _) => told(&update),
            (Act::Subscribe(topics), Some(handle)) => {
                let filters = topics.into_iter().map(|topic| Filter::new(topic, QoS::AtLeastOnce));
                let _ = handle.try_subscribe_many(filters);
            }
            (Act::Publish { topic, payload }, Some(handle)) => {
                let _ = handle.try_publish(topic, QoS::AtLeastOnce, false, payload);
            }
            (Act::Subscribe(_) | Act::Publish { .. }, None) => {}
        }
    }
}

impl Drop for Line {
    /// Says goodbye, and waits a moment until the last packets are on their way.
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        let Some(handle) = self.handle.take() else { return };
        let _ = handle.try_disconnect();
        let end = Instant::now() + GOODBYE;
        let gone =
            |signals: &Receiver<Signal>| signals.recv_timeout(TICK).err() == Some(RecvTimeoutError::Disconnected);
        while Instant::now() < end && !gone(&self.signals) {}
    }
}

/// The user properties `k` and `step`.
fn mark(publish: &Publish) -> Option<(u8, u16)> {
    let properties = &publish.properties.as_ref()?.user_properties;
    let find = |key: &str| properties.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    Some((find("k")?.parse().ok()?, find("step")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::super::question::Question;
    use super::*;
    use crate::job::units::{Client, JobId};
    use crate::mqtt::Topics;

    #[test]
    fn a_refused_subscription_is_a_denial_but_only_the_first_of_a_connection() {
        let (_, signals) = mpsc::sync_channel(1);
        let mut line = Line { signals, stopping: Arc::default(), handle: None, granted: false };
        let target = Target::from(Topics::new("diffused", "jet1").unwrap());
        let (client, id) = (Client::try_from("cam").unwrap(), JobId::try_from("c1").unwrap());
        let mut talk = Question::new(target, client, id, &serde_json::json!({"command": "list"}));
        let refused = || Signal::Granted(vec![SubscribeReasonCode::NotAuthorized]);
        assert!(matches!(line.pass_on(refused(), &mut talk), Err(AskError::Denied(_))));
        assert_eq!(line.pass_on(refused(), &mut talk), Ok(Vec::new()));
    }
}
