//! Files of older versions, and of newer ones.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::params;

use super::*;
use crate::service::store::schema::STEPS;
use crate::service::store::upgrade::{convert, upgrade};

/// A file as format 1 wrote it: a job that is done with its picture and status in the outbox, one that runs, and one
/// that waits and has a deadline.
fn old_file(folder: &Path) {
    let open = raw(folder, "store.sqlite");
    open.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
    open.pragma_update(None, "journal_mode", "WAL").unwrap();
    open.execute_batch(STEPS[0]).unwrap();
    open.pragma_update(None, "user_version", 1).unwrap();
    let done = json!({"state": "done", "images": [
        {"k": 0, "seed": 7, "format": "png", "width": 8, "height": 16, "bytes": 3, "sha256": "5a"},
    ]});
    for (job, state, more) in [("a1", "done", ""), ("a2", "running", ""), ("a3", "queued", r#","deadline_ms":5000"#)] {
        let request = request(job, more).to_json();
        let answer = if state == "done" { done.to_string() } else { r#"{"state":"accepted"}"#.to_owned() };
        open.execute(
            "INSERT INTO job (client, id, origin, correlation, hash, request, accepted, priority, state, seq, answer)
             VALUES ('esp32', ?, 'request', x'01', ?, ?, ?, 5, ?, 1, ?)",
            params![job, [9_u8; 32], request, address::to_millis(noon()), state, answer],
        )
        .unwrap();
    }
    open.execute_batch(
        "INSERT INTO picture (job, k, format, bytes) VALUES (1, 0, 'png', x'010203');
         INSERT INTO mail (job, k) VALUES (1, 0);
         INSERT INTO mail (job, body) VALUES (1, (SELECT answer FROM job WHERE key = 1));
         INSERT INTO mail (job, body) VALUES (2, '{\"state\":\"started\"}');
         INSERT INTO fact (name, value) VALUES ('boot', 3);",
    )
    .unwrap();
}

#[test]
fn a_file_of_format_1_opens_and_delivers() {
    let folder = tempfile::tempdir().unwrap();
    old_file(folder.path());
    let store = Store::open(folder.path(), "boot-1", None).unwrap();
    assert_eq!((store.recover().unwrap(), store.counted("boot").unwrap()), (1, 3));
    assert_eq!(told(&post_comes(&store).unwrap()), "a2 started", "a status goes before a picture of another job");
    let mail = post_comes(&store).unwrap();
    assert_eq!(mail.address.correlation.as_deref(), Some(&[1][..]));
    assert_eq!(mail.kind, MailKind::Picture { k: 0, format: "png".to_owned(), bytes: vec![1, 2, 3] });
    assert_eq!(deliver_all(&store), ["a1 done"]);
    let stored = store.read(|open| Ok(pictures::picture(open, JobKey(1), 0)?.facts)).unwrap();
    let facts = (stored.width, stored.height, stored.bytes, stored.seed, stored.part_bytes, &stored.sha256[..]);
    assert_eq!(facts, (8, 16, 3, 7, 0, "5a"));
}

#[test]
fn jobs_of_format_1_are_worked_on_and_expire() {
    let folder = tempfile::tempdir().unwrap();
    old_file(folder.path());
    let store = Store::open(folder.path(), "boot-1", None).unwrap();
    store.recover().unwrap();
    let job = turn(&store, noon());
    assert_eq!((job.address.id.as_str(), &job.request), ("a2", &request("a2", "").to_json()));
    assert_eq!(store.expire(after(4), status_of("expired")).unwrap(), 0);
    assert_eq!(store.expire(after(6), status_of("expired")).unwrap(), 1);
    assert_eq!(admit(&store, &request("a1", "")), Accepted::Again);
    assert_eq!(admit(&store, &request("a4", "")), Accepted::New);
}

#[test]
fn a_file_of_format_1_stays_beside_the_new_one_and_is_read_by_who_knows_no_other() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    old_file(folder.path());
    let before = jobs(folder.path(), "store.sqlite");
    // Half a copy, of a start that came to no end.
    std::fs::write(folder.path().join("store.format1.sqlite"), "half a copy").unwrap();
    std::fs::write(folder.path().join("store.format1.sqlite-journal"), "its journal").unwrap();
    drop(Store::open(folder.path(), "boot-1", None).unwrap());
    let copy = folder.path().join("store.format1.sqlite");
    assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::copy(copy, there.path().join("store.sqlite")).unwrap();
    assert_eq!(jobs(there.path(), "store.sqlite"), before);
    let mut open = raw(there.path(), "store.sqlite");
    upgrade(&mut open, there.path(), &STEPS[..1]).unwrap();
    assert_eq!(format(&open), 1);
    assert!(!names(there.path()).iter().any(|name| name.contains("format")), "who knows the format makes no copy");
}

#[test]
fn a_newer_file_is_refused_by_both_numbers_and_nothing_of_it_is_touched() {
    let (folder, store) = store();
    try_admit_all(&store, 3);
    drop(store);
    let open = raw(folder.path(), "store.sqlite");
    open.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
    open.pragma_update(None, "user_version", FORMAT + 4).unwrap();
    drop(open);
    let before = bytes(folder.path());
    assert!(!before["store.sqlite-wal"].is_empty(), "what is newest lies in the log");
    let said = |folder: &Path| Store::open(folder, "boot-1", None).err().unwrap().to_string();
    let told = said(folder.path());
    assert!(told.contains("format 7") && told.contains("up to 3") && told.contains("an empty store"), "{told}");
    assert_eq!(bytes(folder.path()), before);
    for copy in ["store.format3.sqlite", "store.format2.sqlite", "store.format5.sqlite", "store.formatx.sqlite"] {
        std::fs::write(folder.path().join(copy), "").unwrap();
    }
    assert!(said(folder.path()).contains("its copy") && said(folder.path()).contains("store.format3.sqlite"));
    assert!(inspect(folder.path()).unwrap_err().to_string().contains("format 7"));
    raw(folder.path(), "store.sqlite").pragma_update(None, "user_version", FORMAT).unwrap();
    assert_eq!(Store::open(folder.path(), "boot-1", None).unwrap().open_jobs().unwrap(), 3);
}

#[test]
fn a_file_of_another_program_is_refused_and_not_touched() {
    let folder = tempfile::tempdir().unwrap();
    raw(folder.path(), "store.sqlite").execute_batch("CREATE TABLE recipe (name TEXT)").unwrap();
    let before = bytes(folder.path())["store.sqlite"].clone();
    let error = Store::open(folder.path(), "boot-1", None).err().unwrap();
    assert!(matches!(error, StoreError::Unmarked) && inspect(folder.path()).is_err(), "{error}");
    assert_eq!(bytes(folder.path())["store.sqlite"], before);
}

#[test]
fn a_step_that_loses_a_row_or_its_owner_is_noticed_and_undone() {
    let known = FORMAT + 1;
    let told = |step: &str| {
        let folder = tempfile::tempdir().unwrap();
        old_file(folder.path());
        drop(Store::open(folder.path(), "boot-1", None).unwrap());
        let before = jobs(folder.path(), "store.sqlite");
        let steps = [&STEPS[..], &[step]].concat();
        let outcome = upgrade(&mut raw(folder.path(), "store.sqlite"), folder.path(), &steps);
        let stays = outcome.is_err();
        assert_eq!(format(&raw(folder.path(), "store.sqlite")), if stays { FORMAT } else { known });
        if stays {
            assert_eq!(jobs(folder.path(), "store.sqlite"), before);
            assert_eq!(Store::open(folder.path(), "boot-1", None).unwrap().open_jobs().unwrap(), 2);
        }
        outcome.map_err(|error| error.to_string())
    };
    let told_wrong = |step: &str| told(step).unwrap_err();
    let stays = "the store cannot be brought from format 3 to format 4, and stays as it was: ";
    assert_eq!(
        told_wrong("DELETE FROM mail WHERE key = 1"),
        format!("{stays}a step is wrong: 2 of 3 rows of mail would be left")
    );
    let rebuilt = |from: &str| {
        format!("CREATE TABLE new AS SELECT * FROM job {from}; DROP TABLE job; ALTER TABLE new RENAME TO job")
    };
    assert!(told_wrong(&rebuilt("WHERE key > 1")).contains("2 of 3 rows of job"));
    assert!(told_wrong("INSERT INTO mail (job, rank) VALUES (99, 0)").contains("belong to others that are gone"));
    let wrong = told_wrong("ALTER TABLE nowhere ADD COLUMN colour TEXT");
    assert!(wrong.contains("no such table"), "{wrong}");
    // The same without the fault.
    assert_eq!(told("ALTER TABLE job ADD COLUMN colour TEXT"), Ok(()));
    assert_eq!(told("INSERT INTO mail (job, rank) VALUES (1, 0)"), Ok(()));
    assert_eq!(told("DROP TABLE upload"), Ok(()), "what is dropped as a whole is meant to go");
}

#[test]
fn without_room_or_without_a_copy_the_old_file_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    old_file(folder.path());
    let before = jobs(folder.path(), "store.sqlite");
    let needs = inspect(folder.path()).unwrap().unwrap().needs;
    let mut open = raw(folder.path(), "store.sqlite");
    let cramped = convert(&mut open, folder.path(), 1, &STEPS[1..], needs - 1).unwrap_err();
    assert!(
        matches!(cramped, StoreError::Cramped { needed, free } if needed == needs && free == needs - 1),
        "{cramped}"
    );
    assert!(!names(folder.path()).iter().any(|name| name.contains("format")), "it is asked before");
    let in_the_way = folder.path().join("store.format1.sqlite");
    std::fs::create_dir(&in_the_way).unwrap();
    drop(open);
    let error = Store::open(folder.path(), "boot-1", None).err().unwrap();
    assert!(matches!(error, StoreError::Upgrade { found: 1, known: FORMAT, .. }), "{error}");
    assert_eq!((jobs(folder.path(), "store.sqlite"), format(&raw(folder.path(), "store.sqlite"))), (before, 1));
    std::fs::remove_dir(in_the_way).unwrap();
    assert_eq!(Store::open(folder.path(), "boot-1", None).unwrap().open_jobs().unwrap(), 2);
    assert!(inspect(folder.path()).unwrap().is_some_and(|now| now == Condition { format: FORMAT, needs: 0 }));
}

#[test]
fn a_copy_goes_after_a_week_also_where_the_clock_was_not_set_when_it_was_made() {
    let day = Duration::from_secs(24 * 3600);
    let (now, unset) = (SystemTime::now(), SystemTime::UNIX_EPOCH + day);
    for made in [now, unset] {
        let folder = tempfile::tempdir().unwrap();
        old_file(folder.path());
        let store = Store::open(folder.path(), "boot-1", None).unwrap();
        let copy = folder.path().join("store.format1.sqlite");
        std::fs::File::options().write(true).open(&copy).unwrap().set_modified(made).unwrap();
        let is_there = |time| {
            store.forget(time, 1000 * day).unwrap();
            copy.exists()
        };
        assert!(is_there(now) && is_there(now + 6 * day) && !is_there(now + 8 * day), "made at {made:?}");
    }
}

#[test]
fn on_a_full_disk_the_copy_goes_before_any_result() {
    let folder = tempfile::tempdir().unwrap();
    old_file(folder.path());
    let store = Store::open(folder.path(), "boot-1", None).unwrap();
    deliver_all(&store);
    store.read(|open| Ok(open.execute("UPDATE job SET finished = 1 WHERE key = 1", [])?)).unwrap();
    let pictures = || store.read(|open| Ok(open.query_row("SELECT count(*) FROM picture", [], |row| row.get(0))?));
    assert!(store.relieve().unwrap());
    assert_eq!((folder.path().join("store.format1.sqlite").exists(), pictures().unwrap()), (false, 1));
    assert!(store.relieve().unwrap());
    assert_eq!(pictures().unwrap(), 0_i64);
}

fn raw(folder: &Path, name: &str) -> Connection {
    Connection::open(folder.join(name)).unwrap()
}

fn format(open: &Connection) -> i64 {
    open.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
}

/// What every format has of a job.
fn jobs(folder: &Path, name: &str) -> Vec<(i64, String, String, String)> {
    let open = raw(folder, name);
    let mut jobs = open.prepare("SELECT key, id, state, answer FROM job ORDER BY key").unwrap();
    let jobs = jobs.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap();
    jobs.collect::<Result<_, _>>().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    bytes(folder).into_keys().collect()
}

/// Every file, but for the memory that SQLite shares and the lock.
fn bytes(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.path().is_file());
    let named = files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()));
    named.filter(|(name, _)| !name.ends_with("-shm") && !name.ends_with(".lock")).collect()
}

fn try_admit_all(store: &Store, count: u32) {
    (0..count).for_each(|job| assert_eq!(admit(store, &request(&format!("n{job}"), "")), Accepted::New));
}
