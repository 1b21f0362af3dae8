//! What came in and is not acknowledged yet.

use std::collections::VecDeque;

/// Incoming messages in the order they came: MQTT wants them acknowledged in that order.
pub(super) struct Inbox<M> {
    messages: VecDeque<(u64, M, bool)>,
    next: u64,
}

impl<M> Inbox<M> {
    pub(super) fn new() -> Self {
        Self { messages: VecDeque::new(), next: 0 }
    }

    /// Notes a message and returns its ticket.
    pub(super) fn note(&mut self, message: M) -> u64 {
        self.next += 1;
        self.messages.push_back((self.next, message, false));
        self.next
    }

    /// The message with this ticket may be acknowledged when its turn comes.
    pub(super) fn settle(&mut self, ticket: u64) {
        if let Some(entry) = self.messages.iter_mut().find(|entry| entry.0 == ticket) {
            entry.2 = true;
        }
    }

    /// The message to acknowledge now.
    pub(super) fn ready(&self) -> Option<&M> {
        self.messages.front().filter(|entry| entry.2).map(|entry| &entry.1)
    }

    /// The message to acknowledge now was acknowledged.
    pub(super) fn acknowledged(&mut self) {
        self.messages.pop_front();
    }

    /// A new connection: the broker sends again what was not acknowledged.
    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(inbox: &mut Inbox<char>) -> String {
        std::iter::from_fn(|| {
            let message = inbox.ready().copied()?;
            inbox.acknowledged();
            Some(message)
        })
        .collect()
    }

    #[test]
    fn acknowledgements_leave_in_the_order_of_arrival() {
        let mut inbox = Inbox::new();
        let (first, second) = (inbox.note('a'), inbox.note('b'));
        inbox.settle(second);
        assert_eq!(drain(&mut inbox), "");
        inbox.settle(first);
        assert_eq!(drain(&mut inbox), "ab");
    }

    #[test]
    fn a_message_stays_first_until_it_really_was_acknowledged() {
        let mut inbox = Inbox::new();
        let first = inbox.note('a');
        inbox.settle(first);
        assert_eq!((inbox.ready(), inbox.ready()), (Some(&'a'), Some(&'a')));
    }

    #[test]
    fn tickets_of_a_lost_connection_mean_nothing_to_the_next() {
        let mut inbox = Inbox::new();
        let old = inbox.note('a');
        inbox.clear();
        inbox.note('a');
        inbox.settle(old);
        assert_eq!(drain(&mut inbox), "");
    }
}
