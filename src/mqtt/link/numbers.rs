//! Which of our messages an acknowledgement is for.

use std::collections::HashMap;

/// Numbers the messages of a connection in the order in which they were handed to the library, which gives packet
/// identifiers only later and uses them again.
#[derive(Default)]
pub(super) struct Numbers {
    next: u64,
    of: HashMap<u16, u64>,
}

impl Numbers {
    /// The library has sent a message under this packet identifier, or 0 if it will not be acknowledged.
    pub(super) fn sent(&mut self, packet: u16) {
        if packet > 0 {
            self.of.insert(packet, self.next);
            self.next += 1;
        }
    }

    /// The number of the message that was acknowledged; nothing if none has that identifier.
    pub(super) fn acknowledged(&mut self, packet: u16) -> Option<u64> {
        self.of.remove(&packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_that_are_used_again_stand_for_the_newer_message() {
        let mut numbers = Numbers::default();
        [1, 0, 2, 0].into_iter().for_each(|packet| numbers.sent(packet));
        assert_eq!([2, 1, 1, 0].map(|packet| numbers.acknowledged(packet)), [Some(1), Some(0), None, None]);
        numbers.sent(1);
        assert_eq!(numbers.acknowledged(1), Some(2));
    }
}
