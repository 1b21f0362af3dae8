//! Disks that fail.

use rusqlite::ffi;

use super::*;

fn sqlite(code: i32) -> StoreError {
    StoreError::Sqlite(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
}

/// Tries to admit; whether it was, or the error.
fn try_admit(store: &Store, job: &str) -> Result<Accepted, StoreError> {
    store.admit(&admission(&request(job, ""), noon()), |seq, _| format!(r#"{{"state":"accepted","seq":{seq}}}"#))
}

#[test]
fn faults_of_the_disk_may_pass_and_others_do_not() {
    let passing = [ffi::SQLITE_FULL, ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_WRITE, ffi::SQLITE_READONLY];
    for code in passing.into_iter().chain([ffi::SQLITE_CANTOPEN, ffi::SQLITE_BUSY, ffi::SQLITE_CORRUPT]) {
        assert!(sqlite(code).is_passing(), "{code}");
    }
    for code in [ffi::SQLITE_NOTADB, ffi::SQLITE_CONSTRAINT, ffi::SQLITE_ERROR] {
        assert!(!sqlite(code).is_passing(), "{code}");
    }
    let io = |number| StoreError::Io(std::io::Error::from_raw_os_error(number));
    let (eio, enospc, erofs, eacces) = (5, 28, 30, 13);
    assert!([eio, enospc, erofs].into_iter().all(|number| io(number).is_passing()));
    assert!(!io(eacces).is_passing());
    assert!(!StoreError::Damaged(String::new()).is_passing());
    assert!(StoreError::Closed.is_passing() && !StoreError::Newer { found: 3, known: 2, copy: None }.is_passing());
}

#[test]
fn what_a_full_disk_did_not_take_was_not_accepted_and_healing_goes_on() {
    let (_folder, store) = store();
    try_admit(&store, "a1").unwrap();
    let full = |open: &Connection| -> Result<(), StoreError> {
        let pages: i64 = open.pragma_query_value(None, "page_count", |row| row.get(0))?;
        Ok(open.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?)
    };
    store.read(full).unwrap();
    let faults = (0..500).filter_map(|job| try_admit(&store, &format!("b{job}")).err()).collect::<Vec<_>>();
    assert!(!faults.is_empty() && faults.iter().all(StoreError::is_passing), "{faults:?}");
    let before = store.open_jobs().unwrap();
    assert_eq!(before as usize, 1 + 500 - faults.len(), "as many as were accepted");
    store.heal().unwrap();
    assert_eq!(store.open_jobs().unwrap(), before);
    try_admit(&store, "c1").unwrap();
}

/// The file may have this many pages more than it has.
fn limit(store: &Store, more: i64) {
    store
        .read(|open| {
            let pages: i64 = open.pragma_query_value(None, "page_count", |row| row.get(0))?;
            Ok(open.query_row(&format!("PRAGMA max_page_count = {}", pages + more), [], |_| Ok(()))?)
        })
        .unwrap();
}

/// A store with three jobs that are done, two of them delivered, and one that waits for its turn.
fn worked() -> (TempDir, Store) {
    let (folder, store) = store();
    let encoded = picture(2_500_000);
    for (job, seconds) in [("a1", 1), ("a2", 2), ("a3", 3)] {
        come(&store, "esp32", job, "", after(seconds));
        finish_with(&store, turn(&store, after(seconds)).key, &[delivery(&encoded, 0)], after(seconds));
        if job != "a3" {
            deliver_all(&store);
        }
    }
    come(&store, "esp32", "a4", "", after(4));
    (folder, store)
}

fn images(store: &Store) -> Vec<u64> {
    store.jobs_of(&client("esp32"), None, 9).unwrap().unwrap().iter().map(|job| job.images).collect()
}

#[test]
fn a_result_that_finds_no_room_on_the_disk_costs_the_oldest_that_were_delivered() {
    let (_folder, store) = worked();
    limit(&store, 50);
    let (encoded, key) = (picture(2_500_000), turn(&store, after(5)).key);
    let finish = || {
        let pictures = [delivery(&encoded, 0)];
        store.finish(key, &Finished { state: State::Done, pictures: &pictures, time: after(5) }, status("done"))
    };
    let full = finish().unwrap_err();
    assert!(full.is_full() && full.is_passing(), "{full}");
    assert!(store.relieve().unwrap());
    finish().unwrap();
    assert_eq!(images(&store), [0, 0, 1, 1]);
    assert!(!store.relieve().unwrap(), "what waits in the outbox is never forgotten");
    let delivered = deliver_all(&store);
    assert!(delivered.contains(&"a3 picture 0".to_owned()) && delivered.contains(&"a4 picture 0".to_owned()));
}

#[test]
fn a_store_that_takes_only_small_things_is_not_called_well() {
    let (_folder, empty) = store();
    limit(&empty, 50);
    assert!(empty.count("small").is_ok());
    let full = empty.read(relief::prove).unwrap_err();
    assert!(full.is_full(), "{full}");
    let (_folder, worked) = worked();
    limit(&worked, 50);
    worked.read(relief::prove).unwrap();
    assert_eq!(images(&worked), [0, 0, 1, 0], "the oldest went for it");
    limit(&worked, 50);
    worked.read(relief::prove).unwrap();
    assert_eq!(images(&worked), [0, 0, 1, 0], "to deliver is what is left to make room");
    deliver_all(&worked);
    worked.read(relief::prove).unwrap_err();
}

#[test]
fn the_proof_of_room_leaves_nothing_behind() {
    let (folder, store) = worked();
    let before = (images(&store), store.used_bytes().unwrap());
    store.heal().unwrap();
    assert_eq!((images(&store), store.used_bytes().unwrap()), before);
    let size = |name: &str| std::fs::metadata(folder.path().join(name)).unwrap().len();
    assert!(size("store.sqlite") < 9_000_000, "the file did not grow");
    assert!(size("store.sqlite-wal") > 4_000_000, "the log keeps the room");
}

#[test]
fn a_disk_that_can_only_be_read_is_healed() {
    let (_folder, store) = store();
    store.read(|open| Ok(open.pragma_update(None, "query_only", true)?)).unwrap();
    assert!(try_admit(&store, "a1").unwrap_err().is_passing());
    store.heal().unwrap();
    assert_eq!(try_admit(&store, "a1").unwrap(), Accepted::New);
}

#[test]
fn a_store_that_cannot_be_opened_again_fails_until_it_can() {
    let (folder, store) = store();
    try_admit(&store, "a1").unwrap();
    let (file, away) = (folder.path().join("store.sqlite"), folder.path().join("away"));
    std::fs::rename(&file, &away).unwrap();
    std::fs::create_dir(&file).unwrap();
    let fault = store.heal().unwrap_err();
    assert!(fault.is_passing(), "{fault}");
    assert!(try_admit(&store, "a2").unwrap_err().is_passing());
    assert!(store.next_mail(&[]).unwrap_err().is_passing());
    assert!(store.heal().is_err());
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&away, &file).unwrap();
    store.heal().unwrap();
    assert_eq!(try_admit(&store, "a2").unwrap(), Accepted::New);
    assert_eq!(deliver_all(&store), ["a1 accepted", "a2 accepted"]);
}

#[test]
fn a_clean_end_that_could_not_give_the_job_back_is_no_death_of_it() {
    let (folder, store) = store();
    try_admit(&store, "a1").unwrap();
    let open = |store: Store| {
        drop(store);
        let store = Store::open(folder.path(), "boot-1", None).unwrap();
        store.recover().unwrap();
        let job = turn(&store, noon());
        begin(&store, job.key);
        (store, job.deaths)
    };
    let (store, deaths) = open(store);
    assert_eq!(deaths, 0);
    store.close();
    let (store, deaths) = open(store);
    assert_eq!(deaths, 0, "it was a clean end");
    let (store, deaths) = open(store);
    assert_eq!(deaths, 1, "it died");
    store.close();
    let (store, deaths) = open(store);
    assert_eq!(deaths, 1, "what was counted stays");
    drop(store);
    let other = Store::open(folder.path(), "boot-2", None).unwrap();
    other.recover().unwrap();
    assert_eq!(turn(&other, noon()).deaths, 0);
}

#[test]
fn a_start_that_fails_after_a_clean_end_counts_no_death_either() {
    let (folder, store) = store();
    try_admit(&store, "a1").unwrap();
    begin(&store, turn(&store, noon()).key);
    store.close();
    drop(store);
    let sick = Store::open(folder.path(), "boot-1", None).unwrap();
    sick.read(|open| Ok(open.pragma_update(None, "query_only", true)?)).unwrap();
    assert!(sick.recover().is_err());
    drop(sick);
    let store = Store::open(folder.path(), "boot-1", None).unwrap();
    store.recover().unwrap();
    assert_eq!(turn(&store, noon()).deaths, 0);
}

#[test]
fn other_users_of_the_machine_cannot_read_the_store() {
    use std::os::unix::fs::PermissionsExt;
    let around = tempfile::tempdir().unwrap();
    let folder = around.path().join("store");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let open = || Store::open(&folder, "boot-1", None).unwrap();
    let store = open();
    try_admit(&store, "a1").unwrap();
    let file = folder.join("store.sqlite");
    assert_eq!((mode(&folder), mode(&file), mode(&folder.join("store.sqlite-wal"))), (0o700, 0o600, 0o600));
    drop(store);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let store = open();
    assert_eq!(mode(&file), 0o600, "one of an older version");
    let pragma = store.read(|open| Ok(open.pragma_query_value(None, "secure_delete", |row| row.get::<_, i64>(0))?));
    assert_eq!(pragma.unwrap(), 2, "FAST");
}

#[test]
fn threads_that_wait_for_the_store_go_on_after_it_was_healed() {
    let (_folder, store) = store();
    std::thread::scope(|scope| {
        let busy = scope.spawn(|| (0..200).filter(|job| try_admit(&store, &format!("b{job}")).is_ok()).count());
        (0..20).for_each(|_| store.heal().unwrap());
        assert_eq!(busy.join().unwrap(), 200);
    });
    assert_eq!(store.open_jobs().unwrap(), 200);
}

#[test]
fn healing_leaves_no_log_behind_that_only_the_systems_memory_holds() {
    let (folder, store) = store();
    try_admit(&store, "a1").unwrap();
    store.heal().unwrap();
    // All that was accepted stands in the file itself: the log may go.
    let copy = folder.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    std::fs::copy(folder.path().join("store.sqlite"), copy.join("store.sqlite")).unwrap();
    let copy = Store::open(&copy, "boot-1", None).unwrap();
    assert_eq!(deliver_all(&copy), ["a1 accepted"]);
}

#[test]
fn a_transaction_that_was_left_open_by_a_failed_rollback_is_closed() {
    let (_folder, store) = store();
    store.read(|open| Ok(open.execute_batch("BEGIN; INSERT INTO fact VALUES ('half', 1)")?)).unwrap();
    try_admit(&store, "a1").unwrap();
    assert_eq!(store.counted("half").unwrap(), 0);
}

/// The store after a fault, once something was written over its file behind its back from this page on.
fn spoilt(page: usize) -> (TempDir, Store, StoreError) {
    let (folder, store) = store();
    for job in 0..200 {
        try_admit(&store, &format!("b{job}")).unwrap();
    }
    store.heal().unwrap();
    let file = folder.path().join("store.sqlite");
    let mut bytes = std::fs::read(&file).unwrap();
    let from = bytes.len().min(page * 4096);
    bytes[from..].fill(0x55);
    std::fs::write(&file, bytes).unwrap();
    let mut fault = None;
    for _ in 0..200 {
        let Some(mail) = store.next_mail(&[]).map_err(|error| fault = Some(error)).ok().flatten() else { break };
        fault = store.delivered(mail.key).err();
        if fault.is_some() {
            break;
        }
    }
    (folder, store, fault.expect("what was written over is noticed"))
}

#[test]
fn a_file_that_only_seemed_malformed_is_healed_and_one_that_is_stays_so() {
    let (_folder, store, fault) = spoilt(4);
    assert!(fault.is_passing() && fault.is_damage(), "{fault}");
    let fault = store.heal().unwrap_err();
    assert!(matches!(fault, StoreError::Damaged(_)) && !fault.is_passing(), "{fault}");
    assert!(matches!(store.next_mail(&[]), Err(StoreError::Closed)));
    let (_folder, store) = self::store();
    try_admit(&store, "a1").unwrap();
    store.suspect.store(true, std::sync::atomic::Ordering::Relaxed);
    store.heal().unwrap();
    assert_eq!(deliver_all(&store), ["a1 accepted"]);
}
