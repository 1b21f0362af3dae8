//! A clean stop: what can still be delivered, the last state, and `offline`.

use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;

use super::Talk;
use super::flight::Load;
use crate::mqtt::wire::{Content, Outgoing};
use crate::service::{Phase, StoreError};

/// How long a clean stop may take to deliver what is left, and then for the acknowledgement of `offline`.
const FAREWELL: Duration = Duration::from_secs(5);
const LAST_WORD: Duration = Duration::from_secs(1);

/// A clean stop under way.
pub(super) struct Farewell {
    /// When what is not delivered stays in the store.
    until: Instant,
    /// Set once `offline` was handed over: until when its acknowledgement is waited for.
    offline: Option<Instant>,
}

impl Talk {
    /// A clean stop begins: no more requests of a pool, which others can make.
    pub(super) fn leave(&mut self) {
        self.courier.desk.activity.change(|now| now.phase = Phase::Stopping);
        self.leaving = Some(Farewell { until: Instant::now() + FAREWELL, offline: None });
        if self.line.subscribed {
            if let Some(client) = &self.line.client {
                for filter in self.courier.pools.iter().flat_map(|pool| self.courier.topics.pool_requests(pool)) {
                    // The broker would keep requests for us while we are away.
                    let _ = client.try_unsubscribe(filter);
                }
            }
            self.queue_state();
        }
    }

    /// True once everything is said, or the time for it is over.
    pub(super) fn has_left(&mut self) -> Result<bool, StoreError> {
        let Some(farewell) = &self.leaving else { return Ok(false) };
        let Some(client) = self.line.client.clone() else { return Ok(true) };
        let now = Instant::now();
        if let Some(until) = farewell.offline {
            let acknowledged = self.line.flight.is_empty();
            if acknowledged {
                let _ = client.try_disconnect();
                // The connection's thread writes it; nothing else is waited for.
                std::thread::sleep(Duration::from_millis(100));
            }
            // Without the acknowledgement we leave without a goodbye, so that the last will says offline for us.
            return Ok(acknowledged || now >= until);
        }
        let mail = self.courier.desk.store.mail_waiting()? > 0;
        let busy = mail || !self.line.flight.is_empty() || !self.retained.is_empty() || !self.answers.is_empty();
        if busy && now < farewell.until {
            return Ok(false);
        }
        let offline = Outgoing::retained(self.courier.topics.availability(), "offline".to_owned(), Content::Text);
        self.publish(&offline, QoS::AtLeastOnce);
        let bytes = offline.packet_bytes();
        self.line.flight.takes(Load::Retained(offline), bytes);
        self.retained.clear();
        self.line.subscribed = false;
        self.leaving = Some(Farewell { until: now, offline: Some(now + LAST_WORD) });
        Ok(false)
    }
}
