//! When the appliance has to keep away from the broker: a disk that cannot be written, another node of its name.
//!
//! It says `offline`, leaves, and comes back by itself. Leaving matters: the broker sends unacknowledged requests again
//! only on a new connection.

use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Publish;
use serde_json::Value;

use super::Talk;
use crate::mqtt::wire;
use crate::service::{Alert, StoreError};

/// How often a sick store is tried.
const TRY_EVERY: Duration = Duration::from_secs(1);
/// How long another node of our name is left alone.
const LEFT_ALONE: Duration = Duration::from_secs(300);

/// How long an operator is told of something that happened once.
const NOTED: Duration = Duration::from_secs(600);

/// Why the appliance keeps away, and when that is looked at again.
pub(super) struct Trouble {
    alert: Alert,
    again: Instant,
}

impl Talk {
    /// The store failed. What passes is waited for; anything else ends the conversation.
    pub(super) fn fall_ill(&mut self, error: StoreError) -> Result<(), StoreError> {
        if !error.is_passing() || self.leaving.is_some() {
            return Err(error);
        }
        tracing::error!(%error, "the store cannot be used, nothing is acknowledged until it can");
        self.stay_away(Alert::Storage);
        Ok(())
    }

    /// Another connection has taken our name.
    pub(super) fn keep_away(&mut self) {
        tracing::error!("another node works under this name: this one leaves it alone for five minutes");
        self.stay_away(Alert::DuplicateNode);
    }

    /// Tells why and goes. `offline` is said only where it is true of the name.
    pub(super) fn stay_away(&mut self, alert: Alert) {
        if self.trouble.is_some() || self.leaving.is_some() {
            return;
        }
        self.courier.gate.close();
        self.courier.desk.activity.change(|now| {
            now.alert(alert, true);
            now.away = true;
        });
        let wait = if alert == Alert::Storage { TRY_EVERY } else { LEFT_ALONE };
        self.trouble = Some(Trouble { alert, again: Instant::now() + wait });
        if let Some(client) = self.line.client.clone() {
            self.retained.clear();
            self.queue_state();
            if alert == Alert::Storage {
                self.queue_availability("offline");
            }
            for last in std::mem::take(&mut self.retained) {
                self.publish(&last, QoS::AtLeastOnce);
            }
            let _ = client.try_disconnect();
        }
        self.forget_connection();
    }

    /// Comes back once that may help. A store that turns out to be beyond waiting is an error.
    pub(super) fn recover(&mut self) -> Result<(), StoreError> {
        self.fade();
        let Some(trouble) = &mut self.trouble else { return Ok(()) };
        if Instant::now() < trouble.again {
            return Ok(());
        }
        if trouble.alert == Alert::Storage
            && let Err(error) = self.courier.desk.store.heal()
        {
            tracing::debug!(%error, "the store is still not usable");
            trouble.again = Instant::now() + TRY_EVERY;
            return if error.is_passing() { Ok(()) } else { Err(error) };
        }
        let alert = trouble.alert;
        self.trouble = None;
        tracing::info!(alert = alert.name(), "trouble is over, connecting again");
        self.courier.desk.activity.change(|now| {
            now.alert(alert, false);
            now.away = false;
        });
        self.courier.desk.bell.ring();
        self.courier.gate.open();
        Ok(())
    }

    /// A node of our name told its state. If it works while we do, we leave; if it left because of us, we stay and tell.
    ///
    /// What the broker kept from before our first connection is the past: a board that was replaced, or its store.
    pub(super) fn hear_of_another(&mut self, state: &Publish) {
        let is_other = wire::mark(state).is_some_and(|mark| mark != self.courier.mark);
        if !is_other || state.retain && self.connections < 2 {
            return;
        }
        let alerts = serde_json::from_slice::<Value>(&state.payload).unwrap_or_default()["alerts"].take();
        let has_left = alerts.as_array().is_some_and(|all| all.contains(&Alert::DuplicateNode.name().into()));
        if !has_left {
            return self.keep_away();
        }
        self.note(Alert::DuplicateNode);
    }

    /// Something that an operator should look at, but that does not keep us from working.
    pub(super) fn note(&mut self, alert: Alert) {
        self.noted.retain(|(other, _)| *other != alert);
        self.noted.push((alert, Instant::now()));
        self.courier.desk.activity.change(|now| now.alert(alert, true));
    }

    /// What was noted a long time ago is over.
    fn fade(&mut self) {
        let (fresh, old): (Vec<_>, Vec<_>) = self.noted.drain(..).partition(|(_, since)| since.elapsed() < NOTED);
        self.noted = fresh;
        for (alert, _) in old.into_iter().filter(|_| self.trouble.is_none()) {
            self.courier.desk.activity.change(|now| now.alert(alert, false));
        }
    }
}
