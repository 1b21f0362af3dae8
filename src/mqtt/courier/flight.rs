//! What we sent and the broker has not acknowledged yet.
//!
//! Several small messages are on their way at once, so that an answer need not wait until those before it were
//! acknowledged, which takes a round trip and, at a broker that collects small packets, 40 ms. Behind a large
//! message everything waits on the line anyway: nothing is sent until it has arrived.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::deliver::Answer;
use crate::mqtt::wire::Outgoing;
use crate::service::store::JobKey;

/// So many messages of ours may be unacknowledged.
pub(super) const WINDOW: usize = 16;
/// A message of fewer bytes holds up nothing, if the line moves at all: its acknowledgement comes within this time.
const SMALL: usize = 16 * 1024;
const FRESH: Duration = Duration::from_secs(1);

/// What a message is, and so where it has to be removed or put back.
#[derive(Debug)]
pub(super) enum Load {
    /// Mail from the outbox.
    Mail {
        /// Its key there.
        key: i64,
        /// Whose it is: of a job only one message is on its way, so that they arrive in order even if one is refused.
        job: JobKey,
    },
    /// A retained topic: also one by one, because `online` comes last.
    Retained(Outgoing),
    /// An answer that is not stored.
    Answer(Answer),
}

struct Sent {
    number: u64,
    load: Load,
    bytes: usize,
    since: Instant,
}

/// The messages of one connection that are on their way.
#[derive(Default)]
pub(super) struct Flight {
    sent: VecDeque<Sent>,
    next: u64,
}

impl Flight {
    /// A message was handed to the connection; they are numbered as [`Signal::Acknowledged`](crate::mqtt::Signal) does.
    pub(super) fn takes(&mut self, load: Load, bytes: usize) {
        self.sent.push_back(Sent { number: self.next, load, bytes, since: Instant::now() });
        self.next += 1;
    }

    /// The broker has answered a message: what it was.
    pub(super) fn lands(&mut self, number: u64) -> Option<Load> {
        let place = self.sent.iter().position(|sent| sent.number == number)?;
        self.sent.remove(place).map(|sent| sent.load)
    }

    /// Whether another message may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.sent.len() < WINDOW && self.sent.iter().all(|sent| sent.bytes < SMALL)
    }

    /// Whether something that is worth nothing once it is late would not wait behind what is on its way.
    pub(super) fn is_quick(&self) -> bool {
        let bytes: usize = self.sent.iter().map(|sent| sent.bytes).sum();
        bytes < SMALL && self.sent.front().is_none_or(|oldest| oldest.since.elapsed() < FRESH)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sent.is_empty()
    }

    pub(super) fn has_retained(&self) -> bool {
        self.sent.iter().any(|sent| matches!(sent.load, Load::Retained(_)))
    }

    /// The jobs of which a message is on its way.
    pub(super) fn jobs(&self) -> Vec<JobKey> {
        let job = |sent: &Sent| if let Load::Mail { job, .. } = sent.load { Some(job) } else { None };
        self.sent.iter().filter_map(job).collect()
    }

    /// Key and bytes of the largest message, if it is mail.
    pub(super) fn largest_mail(&self) -> Option<(i64, usize)> {
        let largest = self.sent.iter().max_by_key(|sent| sent.bytes)?;
        if let Load::Mail { key, .. } = largest.load { Some((key, largest.bytes)) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(key: i64) -> Load {
        Load::Mail { key, job: JobKey(key) }
    }

    #[test]
    fn an_acknowledgement_is_for_its_own_message_in_whatever_order_they_come() {
        let mut flight = Flight::default();
        (0..3).for_each(|key| flight.takes(mail(key), 100));
        let landed = [1, 0, 1, 2].map(|number| flight.lands(number).map(|_| number));
        assert_eq!(landed, [Some(1), Some(0), None, Some(2)]);
        assert!(flight.is_empty());
        flight.takes(mail(9), 100);
        assert!(flight.lands(2).is_none() && flight.lands(3).is_some(), "numbers are not used twice");
    }

    #[test]
    fn small_messages_fill_the_window_and_a_large_one_goes_alone() {
        let mut flight = Flight::default();
        for key in 0..WINDOW as i64 {
            assert!(flight.has_room());
            flight.takes(mail(key), 100);
        }
        assert!(!flight.has_room());
        flight.lands(3);
        assert!(flight.has_room() && flight.is_quick());
        flight.takes(mail(99), SMALL);
        assert!(!flight.has_room());
        (4..16).for_each(|number| drop(flight.lands(number)));
        assert!(!flight.has_room() && !flight.is_quick());
        assert_eq!(flight.largest_mail(), Some((99, SMALL)));
        flight.lands(16);
        assert!(flight.has_room() && flight.is_quick());
        assert_eq!(flight.jobs(), [0, 1, 2].map(JobKey));
    }
}
