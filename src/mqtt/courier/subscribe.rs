//! What is subscribed to, and what the broker says to it.

use rumqttc::v5::Client as Handle;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, RetainForwardRule, SubscribeReasonCode};

use super::Talk;
use crate::mqtt::link::FILTERS;
use crate::service::Alert;

impl Talk {
    /// Everything that is subscribed to, but the requests of pools.
    pub(super) fn filters(&self) -> Vec<Filter> {
        let (topics, pools) = (&self.courier.topics, &self.courier.pools);
        let plain = |path: String| Filter {
            // Without Retain As Published a retained request could not be told from a live one.
            preserve_retain: true,
            retain_forward_rule: RetainForwardRule::OnNewSubscribe,
            ..Filter::new(path, QoS::AtLeastOnce)
        };
        // What we say on this connection is left out, so that another node of our name is heard. Without Retain As
        // Published it can be told whether that is there now or was there before.
        let others = Filter { nolocal: true, ..Filter::new(topics.state(), QoS::AtLeastOnce) };
        let doors = topics.doors(self.courier.shortcut).into_iter().map(plain);
        let orders = pools.iter().flat_map(|pool| topics.pool_orders(pool)).map(plain);
        let status = self.courier.home_assistant.iter().map(|settings| plain(settings.status()));
        doors.chain(orders).chain([others]).chain(status).collect()
    }

    /// The requests of pools, for a node that can work: one that still loads its models would only hand them back.
    pub(super) fn pool_filters(&self) -> Vec<Filter> {
        let (topics, pools) = (&self.courier.topics, &self.courier.pools);
        let shared = pools.iter().flat_map(|pool| topics.pool_requests(pool));
        shared.map(|path| Filter { preserve_retain: true, ..Filter::new(path, QoS::AtLeastOnce) }).collect()
    }

    /// The models are there, and the line may be.
    pub(super) fn join_pools(&mut self) {
        if let Some(client) = &self.line.client {
            self.line.awaited += ask(client, &self.pool_filters());
        }
    }

    /// The subscriptions stand: now the retained topics, `online` last.
    pub(super) fn granted(&mut self, codes: &[SubscribeReasonCode]) {
        let refused = codes.iter().filter(|code| !matches!(code, SubscribeReasonCode::Success(_))).count();
        self.line.refusals += refused;
        self.line.awaited = self.line.awaited.saturating_sub(1);
        if refused > 0 {
            tracing::error!(?codes, "the broker refuses subscriptions, requests may not come: check its access rules");
        }
        if self.line.awaited > 0 {
            return;
        }
        let refused = self.line.refusals;
        self.courier.desk.activity.change(|now| {
            now.alert(Alert::SubscriptionRefused, refused > 0);
            now.online = true;
        });
        self.line.subscribed = true;
        self.queue_all();
    }
}

/// Asks for subscriptions; returns how many answers will come.
pub(super) fn ask(client: &Handle, filters: &[Filter]) -> usize {
    let packets = filters.chunks(FILTERS);
    let awaited = packets.len();
    for packet in packets {
        if let Err(error) = client.try_subscribe_many(packet.iter().cloned()) {
            tracing::error!(%error, "cannot subscribe");
        }
    }
    awaited
}
