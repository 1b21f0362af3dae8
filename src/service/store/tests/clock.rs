//! Clocks that are set while jobs wait.

use std::time::Instant;

use super::*;

/// Half a minute after 1970 began: the clock of a board that has no battery.
fn unset(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(30 + seconds)
}

/// A store with a job that is done and one with a deadline of 9 seconds, both of 1970, and one that ended last week.
fn worked() -> (TempDir, Store, Instant) {
    let (folder, store) = store();
    let last_week = noon() - Duration::from_secs(7 * 86_400);
    come(&store, "anna", "old", "", last_week);
    finish_with(&store, turn(&store, noon()).key, &[], last_week);
    come(&store, "anna", "done", "", unset(0));
    finish_with(&store, turn(&store, unset(0)).key, &[], unset(1));
    come(&store, "anna", "waits", r#","deadline_ms":9000"#, unset(0));
    store.put_upload(&client("anna"), "photo", b"x", unset(0)).unwrap();
    deliver_all(&store);
    let begun = Instant::now();
    store.follow(unset(0), begun).unwrap();
    (folder, store, begun)
}

fn ids(store: &Store) -> Vec<String> {
    let jobs = store.jobs_of(&client("anna"), None, 9).unwrap().unwrap();
    jobs.into_iter().map(|job| job.id.as_str().to_owned()).collect()
}

#[test]
fn a_clock_that_is_set_ends_no_job_and_forgets_no_result() {
    let (_folder, store, begun) = worked();
    // Two seconds later it is noon.
    store.follow(noon(), begun + Duration::from_secs(2)).unwrap();
    assert_eq!(store.expire(after(6), status_of("expired")).unwrap(), 0);
    store.forget(after(6), Duration::from_secs(60)).unwrap();
    assert_eq!(ids(&store), ["done", "waits"], "only what ended last week is that old");
    assert!(store.upload(&client("anna"), "photo", after(6)).unwrap().is_some());
    let job = turn(&store, after(6));
    assert_eq!((job.accepted, job.not_after), (noon() - Duration::from_secs(2), Some(after(7))));
    come(&store, "bert", "new", r#","priority":6"#, after(6));
    assert_eq!(turn(&store, after(6)).address.id, id("new"), "who came before the clock was set has not waited longer");
    assert_eq!(store.expire(after(8), status_of("expired")).unwrap(), 1, "its time runs out all the same");
}

#[test]
fn a_clock_that_had_been_set_or_goes_as_it_should_shifts_nothing() {
    let (_folder, store, begun) = worked();
    let waits = || turn(&store, unset(9)).not_after;
    store.follow(unset(45), begun + Duration::from_secs(5)).unwrap();
    assert_eq!(waits(), Some(unset(9)), "forty seconds are no jump");
    store.follow(unset(4000), begun + Duration::from_secs(3960)).unwrap();
    assert_eq!(waits(), Some(unset(9)), "that long it took");
    let (_folder, store) = self::store();
    let begun = Instant::now();
    store.follow(noon(), begun).unwrap();
    come(&store, "anna", "waits", r#","deadline_ms":9000"#, noon());
    store.follow(after(86_400), begun).unwrap();
    assert_eq!(turn(&store, noon()).not_after, Some(after(9)));
    assert_eq!(store.expire(after(86_400), status_of("expired")).unwrap(), 1);
}

#[test]
fn a_clock_that_is_set_while_the_disk_is_sick_is_followed_later() {
    let (_folder, store, begun) = worked();
    let sick = |sick: bool| store.read(|open| Ok(open.pragma_update(None, "query_only", sick)?)).unwrap();
    sick(true);
    store.follow(noon(), begun + Duration::from_secs(2)).unwrap_err();
    sick(false);
    store.follow(after(1), begun + Duration::from_secs(3)).unwrap();
    assert_eq!(turn(&store, after(1)).not_after, Some(after(7)));
}
