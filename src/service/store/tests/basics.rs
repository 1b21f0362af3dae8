//! Admission, deaths, cancelling, and what a file must be.

use super::*;

#[test]
fn what_was_accepted_is_there_after_the_file_is_opened_again() {
    let (folder, store) = store();
    let asked = request("a1", "");
    assert_eq!(admit(&store, &asked), Accepted::New);
    drop(store);
    let store = Store::open(folder.path(), "boot-1", None).unwrap();
    let job = turn(&store, noon());
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
    let again = parse("esp32", &json, noon());
    assert_eq!(again.to_json(), json);
    assert_eq!(again.recipe, asked.recipe);
}

#[test]
fn a_repeated_request_gets_its_answer_again_as_valid_json() {
    let (_folder, store) = store();
    let asked = request("a1", "");
    admit(&store, &asked);
    assert_eq!(admit(&store, &asked), Accepted::Again);
    assert_eq!(deliver_all(&store), ["a1 accepted"], "the first answer still lay there");
    let key = turn(&store, noon()).key;
    finish(&store, key, &[0]);
    deliver_all(&store);
    assert_eq!(admit(&store, &asked), Accepted::Again);
    let picture = store.next_mail(&[]).unwrap().unwrap();
    store.delivered(picture.key).unwrap();
    let Some(Mail { kind: MailKind::Status(body), .. }) = store.next_mail(&[]).unwrap() else { panic!("no status") };
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["replay"], &body["tags"]["a"]), (&serde_json::json!(true), &serde_json::json!("b")));
}

#[test]
fn a_redelivered_message_without_an_id_is_no_new_job() {
    let (_folder, store) = store();
    admit(&store, &request("drawn1", ""));
    let again = request("drawn2", "");
    let again = Admission { redelivered: true, ..admission(&again, noon()) };
    assert_eq!(admit_as(&store, &again), Accepted::Again);
    assert_eq!(admit(&store, &request("drawn3", "")), Accepted::New);
}

#[test]
fn deaths_count_within_one_boot_and_a_clean_stop_gives_the_attempt_back() {
    let (folder, store) = store();
    admit(&store, &request("a1", ""));
    let key = turn(&store, noon()).key;
    let mut store = store;
    for deaths in [1, 2] {
        store.begin(key, noon(), status("started")).unwrap();
        drop(store);
        store = Store::open(folder.path(), "boot-1", None).unwrap();
        store.recover().unwrap();
        assert_eq!(turn(&store, noon()).deaths, deaths);
    }
    store.begin(key, noon(), status("started")).unwrap();
    drop(store);
    let store = Store::open(folder.path(), "boot-2", None).unwrap();
    store.recover().unwrap();
    let job = turn(&store, noon());
    assert_eq!((job.deaths, job.attempts), (0, 3), "a power cut is not the job's fault");
    store.begin(key, noon(), status("started")).unwrap();
    store.give_back(key).unwrap();
    assert_eq!(turn(&store, noon()).attempts, 3);
}

#[test]
fn a_job_that_was_cancelled_a_moment_before_it_began_stays_cancelled() {
    let (_folder, store) = store();
    admit(&store, &request("a1", r#","tags":{"a":"b"}"#));
    let key = turn(&store, noon()).key;
    let cancelled = |_: &JobId, request: &str, seq| {
        assert_eq!(Request::tags_of(request).pairs().len(), 1);
        status("cancelled")(seq)
    };
    let (jobs, running) = store.cancel(&client("esp32"), None, noon(), cancelled).unwrap();
    assert_eq!((jobs, running.len()), (1, 0));
    assert_eq!(store.begin(key, noon(), status("started")).unwrap(), None);
    finish(&store, key, &[0]);
    assert_eq!(deliver_all(&store), ["a1 accepted", "a1 cancelled"]);
}

#[test]
fn a_picture_that_cannot_be_sent_fails_its_job_and_says_how_many_were() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""));
    let key = turn(&store, noon()).key;
    finish(&store, key, &[0, 0, 0]);
    for _ in ["accepted", "picture 0"] {
        store.delivered(store.next_mail(&[]).unwrap().unwrap().key).unwrap();
    }
    let second = store.next_mail(&[]).unwrap().unwrap();
    let failed = |_: &str, delivered, seq| {
        assert_eq!((delivered, seq), (1, 3));
        status("failed")(seq)
    };
    store.replace_pictures(second.key, failed).unwrap();
    assert_eq!(deliver_all(&store), ["a1 failed"]);
    admit(&store, &request("a1", ""));
    assert_eq!(deliver_all(&store), ["a1 failed"], "the answer to a repetition");
}

#[test]
fn a_job_that_was_told_to_be_done_does_not_fail_when_its_old_picture_cannot_be_sent_again() {
    let again = |what: Again| move |store: &Store| store.again(&client("esp32"), &id("a1"), &what).map(|_| ()).unwrap();
    let asks: [&dyn Fn(&Store); 3] = [
        &|store| {
            admit(store, &request("a1", ""));
        },
        &again(Again::All),
        &again(Again::Picture(1)),
    ];
    for (ask, left) in asks.into_iter().zip([&["a1 picture 1", "a1 done"][..], &["a1 picture 1", "a1 done"], &[]]) {
        let (_folder, store) = store();
        admit(&store, &request("a1", ""));
        finish(&store, turn(&store, noon()).key, &[0, 0]);
        deliver_all(&store);
        ask(&store);
        let too_large = store.next_mail(&[]).unwrap().unwrap();
        store.replace_pictures(too_large.key, |_, _, _| panic!("a second outcome")).unwrap();
        assert_eq!(deliver_all(&store), left);
        assert_eq!(store.jobs_of(&client("esp32"), None, 9).unwrap().unwrap()[0].images, 2);
        admit(&store, &request("a1", ""));
        assert_eq!(deliver_all(&store), ["a1 picture 0", "a1 picture 1", "a1 done"]);
    }
}

#[test]
fn a_store_belongs_to_one_process() {
    let (folder, store) = store();
    let error = Store::open(folder.path(), "boot-1", None).err().unwrap().to_string();
    assert!(error.ends_with("belongs to another process that is running"), "{error}");
    drop(store);
    assert!(Store::open(folder.path(), "boot-1", None).is_ok());
}

#[test]
fn writes_reach_the_disk_before_they_return() {
    let (_folder, store) = store();
    let pragma = |name: &str| {
        store
            .write(|open| Ok(open.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))?))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), rusqlite::types::Value::Text("wal".to_owned()));
    assert_eq!(pragma("synchronous"), rusqlite::types::Value::Integer(2));
}
