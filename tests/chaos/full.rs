//! The full form, run by `tests/reliability.sh`: hours where the short form takes seconds.

use std::time::Duration;

use super::weather::Weather;
use super::wreck::Wreck;
use super::{dice, overload, soak_of, steady, survives};

/// A number from the environment, for runs of another length.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Ten thousand requests of fifty clients.
fn hurricane() -> Weather {
    Weather {
        seed: dice::seed(),
        clients: 50,
        requests: number("CHAOS_REQUESTS", 10_000),
        // Fewer than the requesters want to have open: some are refused and try again.
        queue: 75,
        jobs: number("CHAOS_JOBS", 1) as u32,
        pass: number("CHAOS_PASS_MS", 120),
        service: Duration::from_secs(20),
        broker: Duration::from_secs(60),
        away: Duration::from_secs(1),
        wiped: false,
        patience: Duration::from_secs(10),
        limit: Duration::from_secs(3 * 3600),
    }
}

fn is_back_soon(wreck: &Wreck) {
    let p99 = |times: &[f64]| steady::quantile(times, 0.99);
    assert!(p99(&wreck.recoveries.0) < 5.0, "after a kill of the service: {:?}", wreck.recoveries.0);
    assert!(p99(&wreck.recoveries.1) < 5.0, "after the broker's return: {:?}", wreck.recoveries.1);
}

#[test]
#[ignore = "half an hour: tests/reliability.sh"]
fn ten_thousand_requests_survive_random_kills_of_service_and_broker() {
    let wreck = survives(&hurricane());
    is_back_soon(&wreck);
    super::the_oracle_sees_what_is_planted(&wreck);
}

#[test]
#[ignore = "half an hour: tests/reliability.sh"]
fn ten_thousand_requests_survive_a_broker_that_forgets_everything_with_every_kill() {
    is_back_soon(&survives(&Weather { wiped: true, ..hurricane() }));
}

#[test]
#[ignore = "two minutes: tests/reliability.sh"]
fn an_overload_that_lasts_leaves_memory_flat() {
    let folder = tempfile::tempdir().unwrap();
    let flood = overload::flood(folder.path(), Duration::from_secs(number("CHAOS_FLOOD_SECONDS", 120)), "0");
    super::is_answered(&flood, 200.0);
    assert!(steady::growth(&flood.memory) <= 2048.0, "memory grows");
    let leaking = overload::flood(folder.path(), Duration::from_secs(30), "65536");
    println!("with a planted leak of 64 KiB a job:\n{}", leaking.report());
    assert!(steady::growth(&leaking.memory) > 2048.0, "a leak is not seen");
}

#[test]
#[ignore = "an hour: tests/reliability.sh"]
fn four_hundred_thousand_jobs_leave_memory_flat() {
    let jobs = number("CHAOS_SOAK_JOBS", 400_000);
    let sound = soak_of(jobs, 0);
    assert_eq!((sound.failed, sound.spread()), (0, (0.0, 0.0)), "jobs that failed; descriptors and threads");
    assert!(sound.growth() <= 2048.0, "memory grows");
}

#[test]
#[ignore = "minutes: tests/reliability.sh"]
fn a_leak_of_a_kibibyte_a_job_is_seen() {
    let leaking = soak_of(number("CHAOS_LEAK_JOBS", 40_000), 1024);
    assert!(leaking.growth() > 2048.0, "a leak is not seen");
}
