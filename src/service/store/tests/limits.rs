//! What the store keeps, and how much.

use super::*;

#[test]
fn forgetting_gives_the_space_back() {
    let (folder, store) = store();
    admit(&store, &request("a1", ""));
    let encoded = picture(2_000_000);
    finish_with(&store, turn(&store, noon()).key, &[delivery(&encoded, 0)], noon());
    deliver_all(&store);
    store.forget(noon() + Duration::from_secs(3600), Duration::from_secs(60)).unwrap();
    store.read(|open| Ok(open.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)).unwrap();
    assert!(std::fs::metadata(folder.path().join("store.sqlite")).unwrap().len() < 200_000);
}

#[test]
fn finished_jobs_are_forgotten_only_when_their_mail_is_delivered() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""));
    finish(&store, turn(&store, noon()).key, &[0]);
    let later = noon() + Duration::from_secs(3600);
    assert_eq!(store.forget(later, Duration::from_secs(60)).unwrap(), 0);
    deliver_all(&store);
    assert_eq!(store.forget(noon(), Duration::from_secs(60)).unwrap(), 0, "too young");
    assert_eq!(store.forget(later, Duration::from_secs(60)).unwrap(), 1);
    assert_eq!(admit(&store, &request("a1", "")), Accepted::New);
}

/// A finished job with a picture of so many bytes.
fn done(store: &Store, job: &str, bytes: usize, time: SystemTime) {
    come(store, "esp32", job, "", time);
    let encoded = picture(bytes);
    finish_with(store, turn(store, time).key, &[delivery(&encoded, 0)], time);
}

/// The jobs that still have their pictures.
fn whole(store: &Store) -> Vec<String> {
    let jobs = store.jobs_of(&client("esp32"), None, 100).unwrap().unwrap();
    jobs.into_iter().filter(|job| job.images > 0).map(|job| job.id.as_str().to_owned()).collect()
}

fn listed(store: &Store) -> Vec<String> {
    let jobs = store.jobs_of(&client("esp32"), None, 100).unwrap().unwrap();
    jobs.into_iter().map(|job| job.id.as_str().to_owned()).collect()
}

#[test]
fn a_full_store_forgets_the_oldest_results_for_new_requests() {
    let (_folder, store) = limited(Some(1_500_000));
    for job in 0..10 {
        done(&store, &format!("j{job}"), 300_000, after(job));
        deliver_all(&store);
    }
    assert_eq!(whole(&store), ["j5", "j6", "j7", "j8", "j9"], "each admission made room for itself");
    store.forget(after(20), Duration::from_secs(3600)).unwrap();
    assert!(store.used_bytes().unwrap() <= 1_500_000);
    assert_eq!(whole(&store), ["j6", "j7", "j8", "j9"]);
}

#[test]
fn a_full_store_forgets_pictures_but_not_that_an_id_was_worked_on() {
    let (_folder, store) = limited(Some(1_500_000));
    for job in 0..10 {
        done(&store, &format!("j{job}"), 300_000, after(job));
        deliver_all(&store);
    }
    assert_eq!(admit(&store, &request("j0", "")), Accepted::Again, "a second picture would cost another client one");
    assert_eq!(deliver_all(&store), ["j0 done"]);
    let again = |job: &str, what| store.again(&client("esp32"), &id(job), &what).unwrap();
    assert_eq!(again("j0", Again::Picture(0)), Repeated::NoPicture);
    assert_eq!(again("j0", Again::All), Repeated::Posted(State::Done, 1));
    assert_eq!(again("j9", Again::Picture(0)), Repeated::Posted(State::Done, 1), "the newest still has its picture");
    deliver_all(&store);
    let asked = request("j0", "");
    assert_eq!(admit_as(&store, &Admission { hash: [8; 32], ..admission(&asked, noon()) }), Accepted::Conflict);
    store.forget(after(3700), Duration::from_secs(3600)).unwrap();
    assert_eq!(listed(&store), [""; 0], "what is older than `keep` goes");
}

#[test]
fn ids_go_when_a_store_is_full_of_nothing_else() {
    let (_folder, store) = limited(Some(200_000));
    let asked = |job: u64| request(&format!("j{job}"), "");
    let come = |job: u64| admit_as(&store, &admission(&asked(job), after(job)));
    for job in 0..500 {
        assert_eq!(come(job), Accepted::New, "{job}");
        finish_with(&store, turn(&store, after(job)).key, &[], after(job));
        deliver_all(&store);
    }
    assert!(store.used_bytes().unwrap() <= 210_000);
}

#[test]
fn a_request_that_finds_no_room_costs_nobody_a_result() {
    let (_folder, store) = limited(Some(1_000_000));
    done(&store, "j1", 300_000, noon());
    deliver_all(&store);
    assert!(store.put_upload(&client("esp32"), "photo", &[1; 300_000], noon()).unwrap());
    done(&store, "j2", 200_000, after(1));
    assert!(!store.put_upload(&client("anna"), "huge", &[1; 900_000], noon()).unwrap());
    assert!(!store.put_upload(&client("esp32"), "photo", &[1; 900_000], noon()).unwrap());
    let photo = store.upload(&client("esp32"), "photo", noon()).unwrap();
    assert_eq!(photo.map(|photo| photo.len()), Some(300_000), "the upload of before is still there");
    let long = request("j3", &format!(r#","negative_prompt":"{}""#, "y".repeat(90)));
    let tight = Store { max_bytes: Some(400_000), ..store };
    assert_eq!(admit(&tight, &long), Accepted::StorageFull);
    assert_eq!(whole(&tight), ["j1", "j2"]);
}

#[test]
fn a_store_full_of_undelivered_results_takes_no_request_but_keeps_what_was_promised() {
    let (_folder, store) = limited(Some(1_000_000));
    come(&store, "esp32", "j2", "", noon());
    done(&store, "j1", 900_000, after(1));
    let asked = request("j3", "");
    assert_eq!(admit(&store, &asked), Accepted::StorageFull);
    assert!(!store.put_upload(&client("esp32"), "photo", &[1; 100], noon()).unwrap());
    let encoded = picture(900_000);
    finish_with(&store, turn(&store, noon()).key, &[delivery(&encoded, 0)], noon());
    assert_eq!(store.forget(after(9), Duration::ZERO).unwrap(), 0);
    let delivered = deliver_all(&store);
    assert!(delivered.contains(&"j1 picture 0".to_owned()) && delivered.contains(&"j2 picture 0".to_owned()));
    assert_eq!(admit(&store, &asked), Accepted::New);
}

#[test]
fn a_store_without_a_limit_is_never_full() {
    let (_folder, store) = store();
    done(&store, "j1", 3_000_000, noon());
    assert_eq!(admit(&store, &request("j2", "")), Accepted::New);
}

#[test]
fn uploads_are_kept_for_ten_minutes() {
    let (_folder, store) = store();
    let esp32 = client("esp32");
    assert!(store.put_upload(&esp32, "photo", b"old", noon()).unwrap());
    assert!(store.put_upload(&esp32, "photo", b"new", noon()).unwrap());
    assert_eq!(store.upload(&esp32, "photo", after(600)).unwrap().as_deref(), Some(&b"new"[..]));
    assert_eq!(store.upload(&client("mallory"), "photo", noon()).unwrap(), None);
    assert_eq!(store.upload(&esp32, "photo", after(601)).unwrap(), None);
    let count = |store: &Store| -> u64 {
        store.read(|open| Ok(open.query_row("SELECT count(*) FROM upload", [], |row| row.get(0))?)).unwrap()
    };
    store.forget(after(600), Duration::from_secs(3600)).unwrap();
    assert_eq!(count(&store), 1);
    store.forget(after(601), Duration::from_secs(3600)).unwrap();
    assert_eq!(count(&store), 0);
}

#[test]
fn a_client_has_four_uploads_and_the_oldest_goes() {
    let (_folder, store) = store();
    let put = |who: &str, name: &str, seconds| store.put_upload(&client(who), name, b"x", after(seconds)).unwrap();
    put("bert", "a", 0);
    for (seconds, name) in ["a", "b", "c", "d", "a", "e"].into_iter().enumerate() {
        put("anna", name, seconds as u64);
    }
    let kept = |who, name: &&&str| store.upload(&client(who), name, after(9)).unwrap().is_some();
    assert_eq!(
        ["a", "b", "c", "d", "e"].iter().filter(|name| kept("anna", name)).collect::<Vec<_>>(),
        [&"a", &"c", &"d", &"e"]
    );
    assert!(kept("bert", &&"a"));
}

#[test]
fn the_log_is_cut_after_much_was_written() {
    let (folder, store) = store();
    for job in 0..20 {
        done(&store, &format!("j{job}"), 3_000_000, after(job));
        deliver_all(&store);
        store.forget(after(job + 2), Duration::ZERO).unwrap();
    }
    let log = std::fs::metadata(folder.path().join("store.sqlite-wal")).unwrap().len();
    assert!(log < 12_000_000, "the log has {log} bytes");
    assert!(store.used_bytes().unwrap() < 4_000_000);
}
