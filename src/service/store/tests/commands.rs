//! What commands ask of the store.

use rusqlite::Connection;

use super::*;

#[test]
fn a_job_is_posted_again_only_for_its_own_client() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""));
    deliver_all(&store);
    finish(&store, turn(&store, noon()).key, &[0, 4]);
    let again = |who: &str, job: &str, what| store.again(&client(who), &id(job), &what).unwrap();
    assert_eq!(again("esp32", "a1", Again::All), Repeated::Posted(State::Done, 6), "they wait already");
    let first = ["a1 picture 0", "a1 manifest 1", "a1 part 1.0", "a1 part 1.1", "a1 part 1.2", "a1 done"];
    assert_eq!(deliver_all(&store), first);
    assert_eq!(again("esp32", "a1", Again::All), Repeated::Posted(State::Done, 6));
    assert_eq!(deliver_all(&store), first);
    assert_eq!(again("esp32", "a1", Again::Picture(0)), Repeated::Posted(State::Done, 1));
    assert_eq!(deliver_all(&store), ["a1 picture 0"]);
    assert_eq!(again("mallory", "a1", Again::All), Repeated::NoJob);
    assert_eq!(again("esp32", "a2", Again::All), Repeated::NoJob);
    assert_eq!(again("esp32", "a1", Again::Picture(2)), Repeated::NoPicture);
    assert_eq!(again("esp32", "a1", Again::Parts(2, vec![(0, 0)])), Repeated::NoPicture);
    assert_eq!(again("esp32", "a1", Again::Parts(0, vec![(0, 0)])), Repeated::NoParts(0));
    assert_eq!(again("esp32", "a1", Again::Parts(1, vec![(0, 0), (1, 3)])), Repeated::NoParts(3));
    assert_eq!(deliver_all(&store), [""; 0], "nothing is posted in part");
}

#[test]
fn a_job_that_waits_tells_its_last_status_again() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""));
    deliver_all(&store);
    let again = |what| store.again(&client("esp32"), &id("a1"), &what).unwrap();
    assert_eq!(again(Again::All), Repeated::Posted(State::Queued, 1));
    assert_eq!(again(Again::Picture(0)), Repeated::NoPicture);
    assert_eq!(deliver_all(&store), ["a1 accepted"]);
}

#[test]
fn jobs_are_listed_page_by_page_in_order_of_admission() {
    let (_folder, store) = store();
    for (who, job) in [("anna", "c"), ("bert", "x"), ("anna", "a"), ("anna", "b")] {
        come(&store, who, job, "", noon());
    }
    finish(&store, turn(&store, noon()).key, &[0, 0]);
    let page = |after: Option<&str>| {
        let jobs = store.jobs_of(&client("anna"), after.map(id).as_ref(), 2).unwrap()?;
        Some(jobs.into_iter().map(|job| (job.id.as_str().to_owned(), job.state, job.images)).collect::<Vec<_>>())
    };
    let (done, queued) = (("c".to_owned(), State::Done, 2), |job: &str| (job.to_owned(), State::Queued, 0));
    assert_eq!(page(None).unwrap(), [done, queued("a")]);
    assert_eq!(page(Some("a")).unwrap(), [queued("b")]);
    assert_eq!(page(Some("b")).unwrap(), []);
    assert_eq!(page(Some("x")), None, "another client's job is none");
    deliver_all(&store);
    store.forget(after(9), Duration::ZERO).unwrap();
    assert_eq!(page(Some("c")), None, "it was forgotten between two pages");
}

#[test]
fn a_cancellation_that_comes_twice_is_answered_as_the_first_time() {
    let (_folder, store) = store();
    for job in ["a1", "a2"] {
        come(&store, "anna", job, "", noon());
    }
    let cancel = |who: &str, job: &str| {
        let (jobs, running) = store.cancel(&client(who), Some(&id(job)), noon(), status_of("cancelled")).unwrap();
        (jobs, running.len())
    };
    assert_eq!((cancel("anna", "a1"), cancel("anna", "a1")), ((1, 0), (1, 0)));
    begin(&store, turn(&store, noon()).key);
    assert_eq!((cancel("anna", "a2"), cancel("anna", "a2")), ((1, 1), (1, 1)));
    assert_eq!((cancel("anna", "a3"), cancel("bert", "a1")), ((0, 0), (0, 0)));
    assert_eq!(deliver_all(&store).iter().filter(|told| told.ends_with("cancelled")).count(), 1);
    assert_eq!(store.cancel(&client("anna"), None, noon(), status_of("cancelled")).unwrap().0, 1, "only what is open");
}

#[test]
fn the_newest_request_of_a_client_can_be_asked_for() {
    let (_folder, store) = store();
    assert_eq!(store.newest(&client("anna")).unwrap(), None);
    come(&store, "anna", "a1", r#","seed":1"#, noon());
    come(&store, "anna", "a2", r#","seed":2"#, noon());
    come(&store, "bert", "b1", r#","seed":3"#, noon());
    let newest: Value = serde_json::from_str(&store.newest(&client("anna")).unwrap().unwrap()).unwrap();
    assert_eq!((&newest["id"], &newest["seed"]), (&json!("a2"), &json!(2)));
}

#[test]
fn results_are_given_to_their_own_client_once_the_job_is_done() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""));
    let result = |who: &str, k| store.result(&client(who), &id("a1"), k).unwrap();
    assert_eq!(result("esp32", 0), None);
    finish(&store, turn(&store, noon()).key, &[0]);
    assert_eq!(result("esp32", 0), Some(("png".to_owned(), picture(10).bytes)));
    assert_eq!((result("esp32", 1), result("mallory", 0)), (None, None));
}

#[test]
fn queued_jobs_expire_when_their_deadline_has_passed() {
    let (_folder, store) = store();
    come(&store, "anna", "soon", r#","deadline_ms":5000"#, noon());
    come(&store, "anna", "later", r#","deadline_ms":9000"#, noon());
    come(&store, "anna", "never", "", noon());
    come(&store, "bert", "runs", r#","deadline_ms":5000,"priority":9"#, noon());
    begin(&store, turn(&store, noon()).key);
    deliver_all(&store);
    assert_eq!(store.expire(after(4), status_of("expired")).unwrap(), 0);
    assert_eq!(store.expire(after(6), status_of("expired")).unwrap(), 1);
    assert_eq!(deliver_all(&store), ["soon expired"]);
    assert_eq!(store.expire(after(6), status_of("expired")).unwrap(), 0, "it ends once");
    assert_eq!(turn(&store, after(6)).address.id, id("later"));
}

#[test]
fn clearing_ends_what_waits_of_all_clients_and_not_what_runs() {
    let (_folder, store) = store();
    for job in 0..600 {
        come(&store, &format!("client-{}", job % 7), &format!("j{job}"), "", noon());
    }
    begin(&store, turn(&store, noon()).key);
    assert_eq!(store.clear(noon(), status_of("cancelled")).unwrap(), 599);
    assert_eq!((store.open_jobs().unwrap(), store.next_job(noon()).unwrap()), (1, None));
    assert_eq!(deliver_all(&store).iter().filter(|told| told.ends_with("cancelled")).count(), 599);
}

#[test]
fn the_newest_picture_of_the_prompt_topic_is_renewed_unless_it_still_waits() {
    let (_folder, store) = store();
    assert_eq!(store.renew_shortcut().unwrap(), 0);
    for job in ["s1", "s2"] {
        come(&store, "shortcut", job, "", noon());
        finish(&store, turn(&store, noon()).key, &[0]);
    }
    come(&store, "shortcut", "s3", "", noon());
    come(&store, "anna", "a1", "", noon());
    assert_eq!(store.renew_shortcut().unwrap(), 3, "its first messages still wait");
    deliver_all(&store);
    assert_eq!(store.renew_shortcut().unwrap(), 2);
    assert_eq!(store.renew_shortcut().unwrap(), 2, "it waits already");
    assert_eq!(deliver_all(&store), ["s2 picture 0", "s2 done"]);
}

/// A job whose `done` alone waits for its acknowledgement.
fn all_but_done_delivered(store: &Store, who: &str) {
    come(store, who, "a1", "", noon());
    finish(store, turn(store, noon()).key, &[0, 4]);
    while store.mail_waiting().unwrap() > 1 {
        post_comes(store);
    }
}

const WHOLE: [&str; 7] =
    ["a1 done", "a1 picture 0", "a1 manifest 1", "a1 part 1.0", "a1 part 1.1", "a1 part 1.2", "a1 done"];

#[test]
fn who_asks_again_while_only_done_waits_gets_the_pictures_too() {
    let (_folder, store) = store();
    all_but_done_delivered(&store, "esp32");
    for _ in 0..3 {
        assert_eq!(admit(&store, &request("a1", "")), Accepted::Again);
    }
    assert_eq!(deliver_all(&store), WHOLE, "once, however often it is asked for");
}

#[test]
fn a_broker_that_forgot_the_picture_before_done_was_acknowledged_gets_it_again() {
    let (_folder, store) = store();
    all_but_done_delivered(&store, "shortcut");
    assert_eq!(store.renew_shortcut().unwrap(), 7);
    assert_eq!(deliver_all(&store), WHOLE);
}

#[test]
fn a_picture_that_was_asked_for_again_before_done_was_acknowledged_cannot_fail_its_job() {
    let (_folder, store) = store();
    all_but_done_delivered(&store, "esp32");
    admit(&store, &request("a1", ""));
    assert_eq!(told(&post_comes(&store).unwrap()), "a1 done");
    let next = |open: &Connection| Ok(open.query_row("SELECT min(key) FROM mail", [], |row| row.get(0))?);
    store.replace_pictures(store.read(next).unwrap(), |_, _, _| panic!("a second outcome")).unwrap();
    assert_eq!(deliver_all(&store), WHOLE[2..]);
}

#[test]
fn settings_outlive_a_restart() {
    let (folder, store) = store();
    assert_eq!(store.setting("lifecycle").unwrap(), None);
    store.set("lifecycle", Some("paused")).unwrap();
    store.set("lifecycle", Some("draining")).unwrap();
    drop(store);
    let store = Store::open(folder.path(), "boot-1", None).unwrap();
    assert_eq!(store.setting("lifecycle").unwrap().as_deref(), Some("draining"));
    store.set("lifecycle", None).unwrap();
    assert_eq!(store.setting("lifecycle").unwrap(), None);
}
