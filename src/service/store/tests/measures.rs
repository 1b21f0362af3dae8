//! How fast the store is. Run with `--release -- --ignored --nocapture measures`.

#![allow(clippy::print_stdout, reason = "figures are for people who look")]

use std::time::Instant;

use super::*;

fn told(what: &str, times: u32, begun: Instant) {
    println!("{what}: {:?}", begun.elapsed() / times);
}

/// Fills the queue; `clients` have the jobs in turns.
fn fill(store: &Store, jobs: usize, clients: usize) {
    store.read(|open| Ok(open.pragma_update(None, "synchronous", "OFF")?)).unwrap();
    let request = request("a1", "").to_json();
    store
        .write(|open| {
            for job in 0..jobs {
                let who = format!("client-{}", job % clients);
                let at = address::to_millis(noon()) + job as i64;
                open.execute(
                    "INSERT INTO job (client, id, origin, hash, accepted, priority, due, state, seq, answer)
                     VALUES (?1, ?2, 'request', x'00', ?3, 5, ?3 - 300000, 'queued', 1, '')",
                    rusqlite::params![who, format!("j{job}"), at],
                )?;
                open.execute("INSERT INTO request VALUES (last_insert_rowid(), ?)", [&request])?;
            }
            Ok(())
        })
        .unwrap();
}

#[test]
#[ignore = "measures"]
fn measures_of_a_long_queue() {
    for clients in [1, 100, 25_000, 100_000] {
        let (_folder, store) = store();
        fill(&store, 100_000, clients);
        for seconds in [100, 200, 5000] {
            let begun = Instant::now();
            (0..50).for_each(|_| drop(turn(&store, after(seconds))));
            told(&format!("next_job of 100,000 by {clients} clients after {seconds} s"), 50, begun);
        }
        let begun = Instant::now();
        (0..50).for_each(|_| assert!(store.open_jobs().unwrap() >= 100_000));
        told("open_jobs", 50, begun);
        // The worst case for the walk: all of low level and early turn but one client.
        come(&store, "late", "first", "", noon());
        begin(&store, store.next_job(noon()).unwrap().unwrap().key);
        store.write(|open| Ok(open.execute("UPDATE client SET turn = 1000000 WHERE name = 'late'", [])?)).unwrap();
        come(&store, "late", "second", r#","priority":9"#, noon());
        assert_eq!(turn(&store, noon()).address.client, client("late"));
        let begun = Instant::now();
        (0..50).for_each(|_| drop(turn(&store, noon())));
        told("next_job where the last of all has the highest level", 50, begun);
        let begun = Instant::now();
        for job in 0..50 {
            come(&store, "late", &format!("l{job}"), "", noon());
        }
        told("admit", 50, begun);
        let begun = Instant::now();
        let cleared = store.clear(noon(), status_of("cancelled")).unwrap();
        println!("clear of {cleared} jobs: {:?}", begun.elapsed());
    }
}

#[test]
#[ignore = "measures"]
fn measures_of_a_full_outbox() {
    let (_folder, store) = store();
    for job in 0..3334 {
        come(&store, "esp32", &format!("j{job}"), "", noon());
        finish(&store, turn(&store, noon()).key, &[0]);
    }
    println!("{} messages wait", store.mail_waiting().unwrap());
    let mut mails = 0;
    let begun = Instant::now();
    while post_comes(&store).is_some() {
        mails += 1;
    }
    told("next_mail and delivered", mails, begun);
}

/// Jobs a second: admitted, begun, finished with a picture of 400 kB, four messages delivered.
#[test]
#[ignore = "measures"]
fn measures_of_whole_jobs() {
    let folder = std::env::var("STORE_FOLDER")
        .map_or_else(|_| tempfile::tempdir().unwrap(), |folder| tempfile::tempdir_in(folder).unwrap());
    let store = Store::open(folder.path(), "boot-1", None).unwrap();
    for bytes in [10_000, 400_000] {
        let encoded = picture(bytes);
        let begun = Instant::now();
        let jobs = 100;
        for job in 0..jobs {
            come(&store, "esp32", &format!("j{bytes}-{job}"), "", noon());
            let key = turn(&store, noon()).key;
            begin(&store, key);
            finish_with(&store, key, &[delivery(&encoded, 0)], noon());
            assert_eq!(deliver_all(&store).len(), 4);
        }
        println!("{bytes} bytes: {:.0} jobs a second", f64::from(jobs) / begun.elapsed().as_secs_f64());
    }
}

#[test]
#[ignore = "measures"]
fn measures_of_20000_jobs() {
    let (folder, store) = limited(Some(20_000_000));
    let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
    let encoded = picture(4000);
    let (begun, mut longest) = (Instant::now(), 0);
    for job in 0..20_000 {
        let now = after(job / 10);
        come(&store, &format!("client-{}", job % 50), &format!("j{job}"), "", now);
        let key = turn(&store, now).key;
        begin(&store, key);
        finish_with(&store, key, &[delivery(&encoded, 0)], now);
        deliver_all(&store);
        if job % 600 == 0 {
            store.forget(now, Duration::from_secs(100_000)).unwrap();
        }
        longest = longest.max(size("store.sqlite-wal"));
    }
    told("a job", 20_000, begun);
    let (log, file, used) = (size("store.sqlite-wal"), size("store.sqlite"), store.used_bytes().unwrap());
    println!("log {log} bytes at the end, {longest} at most; file {file}, used {used}");
}

#[test]
#[ignore = "measures"]
fn measures_of_parts() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""));
    let encoded = picture(16_000_000);
    finish_with(&store, turn(&store, noon()).key, &[delivery(&encoded, 4000)], noon());
    let (mut mails, begun) = (0, Instant::now());
    while post_comes(&store).is_some() {
        mails += 1;
    }
    told("a part of 4,000 bytes of 16,000,000", mails, begun);
}
