//! How often a client may ask.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::job::units::Client;

/// So many requests in so much time; as many may come at once after a pause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    count: f64,
    per: Duration,
}

/// Clients that are remembered; whoever has been quiet for long needs no memory.
const CLIENTS: usize = 4096;

impl Rate {
    /// Reads `30/min`: a number from 1 to 1000000, and `s`, `min` or `h`.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let count: u32 = count.trim().parse().ok().filter(|count| (1..=1_000_000).contains(count))?;
        let seconds = match unit.trim() {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return None,
        };
        Some(Self { count: f64::from(count), per: Duration::from_secs(seconds) })
    }
}

/// What each client has left of its rate: a bucket that fills evenly (a "token bucket").
pub struct Meter {
    rate: Rate,
    buckets: Mutex<HashMap<Client, (f64, Instant)>>,
}

impl Meter {
    /// Every client begins with a full bucket.
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Takes one request out of the client's bucket, or says how long it has to wait for the next.
    pub fn take(&self, client: &Client, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CLIENTS && !buckets.contains_key(client) {
            buckets.retain(|_, (left, since)| self.filled(*left, *since, now) < self.rate.count);
            if buckets.len() >= CLIENTS {
                // A flood of names: better to forget what they asked than to remember them all.
                buckets.clear();
            }
        }
        let (left, since) = buckets.entry(client.clone()).or_insert((self.rate.count, now));
        (*left, *since) = (self.filled(*left, *since, now), now);
        if *left >= 1.0 {
            *left -= 1.0;
            return Ok(());
        }
        Err(self.rate.per.mul_f64((1.0 - *left) / self.rate.count))
    }

    fn filled(&self, left: f64, since: Instant, now: Instant) -> f64 {
        let gained = now.duration_since(since).as_secs_f64() / self.rate.per.as_secs_f64() * self.rate.count;
        (left + gained).min(self.rate.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_and_a_unit() {
        assert_eq!(Rate::parse("30/min"), Some(Rate { count: 30.0, per: Duration::from_secs(60) }));
        for wrong in ["30", "0/s", "x/min", "3/day", "-1/s", ""] {
            assert_eq!(Rate::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_client_that_asks_too_often_waits_and_others_do_not() {
        let meter = Meter::new(Rate::parse("2/s").unwrap());
        let (one, other) = (Client::try_from("one").unwrap(), Client::try_from("other").unwrap());
        let now = Instant::now();
        assert_eq!((meter.take(&one, now), meter.take(&one, now)), (Ok(()), Ok(())));
        assert_eq!(meter.take(&one, now), Err(Duration::from_millis(500)));
        assert_eq!(meter.take(&other, now), Ok(()));
        assert_eq!(meter.take(&one, now + Duration::from_millis(501)), Ok(()));
    }

    #[test]
    fn clients_that_were_quiet_are_forgotten() {
        let meter = Meter::new(Rate::parse("1/s").unwrap());
        let now = Instant::now();
        for index in 0..2 * CLIENTS {
            let client = Client::try_from(format!("c{index}").as_str()).unwrap();
            let _ = meter.take(&client, now + Duration::from_millis(index as u64));
        }
        assert!(meter.buckets.lock().unwrap().len() <= CLIENTS);
    }
}
