//! The store on a real disk, with statuses that are easy to read.

use serde_json::Map;
use tempfile::TempDir;

use super::*;
use crate::job::request::Arrival;
use crate::job::{Limits, Mode, ModelFacts, Request, Rules};
use crate::picture::{Encoded, Format};

fn request(id: &str, more: &str) -> Request {
    parse(&format!(r#"{{"id":"{id}","prompt":"x"{more}}}"#))
}

fn parse(payload: &str) -> Request {
    let model = ModelFacts::flat(&[Mode::Text]);
    let limits = Limits { request_bytes: 1000, prompt_chars: 100, pixels: 4096, steps: 150, count: 4 };
    let rules = Rules { limits, defaults: Map::new(), shortcut_output: Map::new(), models: vec![model] };
    let arrival = Arrival {
        client: Client::try_from("esp32").unwrap(),
        origin: Origin::Request,
        payload: payload.as_bytes(),
        time: SystemTime::now(),
        correlation: None,
        expiry: None,
        fresh_id: JobId::random([1; 16]),
        fresh_seed: 7_u32.into(),
    };
    Request::parse(&arrival, &rules).unwrap()
}

fn admit(store: &Store, request: &Request, redelivered: bool) -> Accepted {
    let admission = Admission {
        request,
        hash: [9; 32],
        correlation: Some(b"xyz"),
        redelivered,
        time: SystemTime::now(),
        queue: 3,
        per_client: 3,
    };
    store
        .admit(&admission, |seq, position| format!(r#"{{"state":"accepted","seq":{seq},"position":{position}}}"#))
        .unwrap()
}

fn status(state: &str) -> impl Fn(u64) -> String {
    move |seq| format!(r#"{{"state":"{state}","seq":{seq},"tags":{{"a":"b"}}}}"#)
}

fn finish(store: &Store, key: JobKey) {
    let pictures = [Encoded { format: Format::Png, width: 1, height: 1, bytes: vec![1, 2, 3] }];
    let end = Finished { state: State::Done, pictures: &pictures, time: SystemTime::now() };
    store.finish(key, &end, status("done")).unwrap();
}

/// Empties the outbox; each message as `id state` or `id picture k`.
fn deliver_all(store: &Store) -> Vec<String> {
    std::iter::from_fn(|| {
        let mail = store.next_mail().unwrap()?;
        store.delivered(mail.key).unwrap();
        let what = match &mail.kind {
            MailKind::Status(body) => body.split('"').nth(3).unwrap().to_owned(),
            MailKind::Picture { k, .. } => format!("picture {k}"),
        };
        Some(format!("{} {what}", mail.address.id.as_str()))
    })
    .collect()
}

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "boot-1").unwrap();
    (folder, store)
}

#[test]
fn what_was_accepted_is_there_after_the_file_is_opened_again() {
    let (folder, store) = store();
    let asked = request("a1", "");
    assert_eq!(admit(&store, &asked, false), Accepted::New);
    drop(store);
    let store = Store::open(folder.path(), "boot-1").unwrap();
    let job = store.next_job().unwrap().unwrap();
    assert_eq!((job.address.id.as_str(), job.address.correlation.as_deref()), ("a1", Some(&b"xyz"[..])));
    assert_eq!(job.request, asked.to_json());
    assert_eq!(deliver_all(&store), ["a1 accepted"]);
}

#[test]
fn a_request_is_written_out_so_that_it_reads_the_same_again() {
    let asked = request(
        "a1",
        r#","guidance_scale":7.1,"eta":0.3,"deadline_ms":5000,"tags":{"a":"b"},"output":{"format":"jpeg"}"#,
    );
    let json = asked.to_json();
    let again = parse(&json);
    assert_eq!(again.to_json(), json);
    assert_eq!(again.recipe, asked.recipe);
}

#[test]
fn statuses_overtake_pictures_of_other_jobs_but_never_of_their_own() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""), false);
    let first = store.next_job().unwrap().unwrap().key;
    store.begin(first, SystemTime::now(), status("started")).unwrap();
    finish(&store, first);
    admit(&store, &request("a2", ""), false);
    assert_eq!(deliver_all(&store), ["a1 accepted", "a1 started", "a2 accepted", "a1 picture 0", "a1 done"]);
}

#[test]
fn a_repeated_request_gets_its_answer_again_as_valid_json() {
    let (_folder, store) = store();
    let asked = request("a1", "");
    admit(&store, &asked, false);
    assert_eq!(admit(&store, &asked, false), Accepted::Again);
    assert_eq!(deliver_all(&store), ["a1 accepted"], "the first answer still lay there");
    let key = store.next_job().unwrap().unwrap().key;
    finish(&store, key);
    deliver_all(&store);
    assert_eq!(admit(&store, &asked, false), Accepted::Again);
    let picture = store.next_mail().unwrap().unwrap();
    store.delivered(picture.key).unwrap();
    let Some(Mail { kind: MailKind::Status(body), .. }) = store.next_mail().unwrap() else { panic!("no status") };
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["replay"], &body["tags"]["a"]), (&serde_json::json!(true), &serde_json::json!("b")));
}

#[test]
fn a_redelivered_message_without_an_id_is_no_new_job() {
    let (_folder, store) = store();
    admit(&store, &request("drawn1", ""), false);
    assert_eq!(admit(&store, &request("drawn2", ""), true), Accepted::Again);
    assert_eq!(admit(&store, &request("drawn3", ""), false), Accepted::New);
}

#[test]
fn deaths_count_within_one_boot_and_a_clean_stop_gives_the_attempt_back() {
    let (folder, store) = store();
    admit(&store, &request("a1", ""), false);
    let key = store.next_job().unwrap().unwrap().key;
    let died = |store: &Store| {
        store.begin(key, SystemTime::now(), status("started")).unwrap();
        store.recover().unwrap();
        store.next_job().unwrap().unwrap()
    };
    assert_eq!((died(&store).deaths, died(&store).deaths), (1, 2));
    store.begin(key, SystemTime::now(), status("started")).unwrap();
    drop(store);
    let store = Store::open(folder.path(), "boot-2").unwrap();
    store.recover().unwrap();
    let job = store.next_job().unwrap().unwrap();
    assert_eq!((job.deaths, job.attempts), (0, 3), "a power cut is not the job's fault");
    store.begin(key, SystemTime::now(), status("started")).unwrap();
    store.give_back(key).unwrap();
    assert_eq!(store.next_job().unwrap().unwrap().attempts, 3);
}

#[test]
fn a_job_that_was_cancelled_a_moment_before_it_began_stays_cancelled() {
    let (_folder, store) = store();
    admit(&store, &request("a1", r#","tags":{"a":"b"}"#), false);
    let key = store.next_job().unwrap().unwrap().key;
    let client = Client::try_from("esp32").unwrap();
    let cancelled = |_: &JobId, request: &str, seq| {
        assert_eq!(Request::tags_of(request).pairs().len(), 1);
        status("cancelled")(seq)
    };
    let (jobs, running) = store.cancel(&client, None, SystemTime::now(), cancelled).unwrap();
    assert_eq!((jobs, running.len()), (1, 0));
    assert_eq!(store.begin(key, SystemTime::now(), status("started")).unwrap(), None);
    finish(&store, key);
    assert_eq!(deliver_all(&store), ["a1 accepted", "a1 cancelled"]);
}

#[test]
fn a_picture_that_cannot_be_sent_fails_its_job_and_says_how_many_were() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""), false);
    let picture = || Encoded { format: Format::Png, width: 1, height: 1, bytes: vec![1, 2, 3] };
    let pictures = [picture(), picture(), picture()];
    let end = Finished { state: State::Done, pictures: &pictures, time: SystemTime::now() };
    store.finish(store.next_job().unwrap().unwrap().key, &end, status("done")).unwrap();
    for _ in ["accepted", "picture 0"] {
        store.delivered(store.next_mail().unwrap().unwrap().key).unwrap();
    }
    let second = store.next_mail().unwrap().unwrap();
    let failed = |_: &str, delivered, seq| {
        assert_eq!((delivered, seq), (1, 3));
        status("failed")(seq)
    };
    store.replace_pictures(second.key, failed).unwrap();
    assert_eq!(deliver_all(&store), ["a1 failed"]);
    admit(&store, &request("a1", ""), false);
    assert_eq!(deliver_all(&store), ["a1 failed"], "the answer to a repetition");
}

#[test]
fn a_store_belongs_to_one_process() {
    let (folder, store) = store();
    let error = Store::open(folder.path(), "boot-1").err().unwrap().to_string();
    assert!(error.ends_with("belongs to another process that is running"), "{error}");
    drop(store);
    assert!(Store::open(folder.path(), "boot-1").is_ok());
}

#[test]
fn forgetting_gives_the_space_back() {
    let (folder, store) = store();
    admit(&store, &request("a1", ""), false);
    let pictures = [Encoded { format: Format::Png, width: 1, height: 1, bytes: vec![7; 2_000_000] }];
    let end = Finished { state: State::Done, pictures: &pictures, time: SystemTime::now() };
    store.finish(store.next_job().unwrap().unwrap().key, &end, status("done")).unwrap();
    deliver_all(&store);
    store.forget(SystemTime::now() + Duration::from_secs(3600), Duration::from_secs(60)).unwrap();
    store.lock().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert!(std::fs::metadata(folder.path().join("store.sqlite")).unwrap().len() < 200_000);
}

#[test]
fn finished_jobs_are_forgotten_only_when_their_mail_is_delivered() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""), false);
    finish(&store, store.next_job().unwrap().unwrap().key);
    let later = SystemTime::now() + Duration::from_secs(3600);
    assert_eq!(store.forget(later, Duration::from_secs(60)).unwrap(), 0);
    deliver_all(&store);
    assert_eq!(store.forget(SystemTime::now(), Duration::from_secs(60)).unwrap(), 0, "too young");
    assert_eq!(store.forget(later, Duration::from_secs(60)).unwrap(), 1);
    assert_eq!(admit(&store, &request("a1", ""), false), Accepted::New);
}

#[test]
fn a_file_of_a_newer_version_is_refused() {
    let (folder, store) = store();
    store.lock().pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    let error = Store::open(folder.path(), "boot-1").err().unwrap().to_string();
    assert_eq!(error, "the store has format 99, this version reads up to 1");
}

#[test]
fn writes_reach_the_disk_before_they_return() {
    let (_folder, store) = store();
    let pragma = |name: &str| {
        store.lock().pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap()
    };
    assert_eq!(pragma("journal_mode"), rusqlite::types::Value::Text("wal".to_owned()));
    assert_eq!(pragma("synchronous"), rusqlite::types::Value::Integer(2));
}
