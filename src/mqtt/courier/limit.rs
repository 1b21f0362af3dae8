//! How large our messages may be, learned from connections that broke over them.
//!
//! A broker says how large a packet may be; what it does not say is the limit of a proxy, of mosquitto's
//! `message_size_limit`, or of a line that never brings a large packet through before it breaks. Without learning, the
//! same message would break one connection after the other for ever.

/// So many connections in a row that break over the same message are no accident.
const BREAKS: u32 = 3;
/// What is not larger than this has broken no connection by its size.
const HARMLESS: usize = 4096;

/// The largest packet that seems to come through, if it is less than the broker says.
#[derive(Debug, Default)]
pub(super) struct Limit {
    learned: Option<usize>,
    /// The mail over which the last connection broke, and how many did so in a row.
    broken: Option<(i64, u32)>,
}

impl Limit {
    /// The largest packet to send to a broker that takes `told` bytes.
    pub(super) fn of(&self, told: usize) -> usize {
        self.learned.map_or(told, |learned| told.min(learned))
    }

    /// The connection broke while mail was unacknowledged, with the key and bytes of the largest; `too_large` if the
    /// broker said why.
    pub(super) fn broken(&mut self, largest: Option<(i64, usize)>, too_large: bool) {
        let Some((key, sent)) = largest.filter(|(_, sent)| *sent > HARMLESS) else { return };
        let times = self.broken.filter(|(broken, _)| *broken == key).map_or(0, |(_, times)| times) + 1;
        self.broken = Some((key, times));
        if too_large || times >= BREAKS {
            let limit = (sent / 2).max(HARMLESS);
            tracing::warn!(sent, limit, "this message does not come through, messages are smaller from now on");
            self.learned = Some(limit);
            self.broken = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_says_a_message_is_too_large_gets_half_of_it() {
        let mut limit = Limit::default();
        limit.broken(Some((7, 100_000)), true);
        assert_eq!((limit.of(1_000_000), limit.of(20_000)), (50_000, 20_000));
    }

    #[test]
    fn a_message_that_breaks_three_connections_in_a_row_is_halved_and_accidents_change_nothing() {
        let mut limit = Limit::default();
        for key in [7, 7, 8, 7, 7] {
            limit.broken(Some((key, 100_000)), false);
        }
        assert_eq!(limit.of(1_000_000), 1_000_000);
        limit.broken(Some((7, 100_000)), false);
        assert_eq!(limit.of(1_000_000), 50_000);
    }

    #[test]
    fn small_messages_and_silence_are_not_blamed() {
        let mut limit = Limit::default();
        for _ in 0..9 {
            limit.broken(Some((7, 900)), true);
            limit.broken(None, true);
        }
        assert_eq!(limit.of(1_000_000), 1_000_000);
    }
}
