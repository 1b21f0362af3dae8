//! Files of older versions.

use rusqlite::params;

use super::*;

/// A file as format 1 wrote it: a job that is done with its picture and status in the outbox, one that runs, and one
/// that waits and has a deadline.
fn old_file(folder: &std::path::Path) {
    let open = Connection::open(folder.join("store.sqlite")).unwrap();
    open.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
    open.pragma_update(None, "journal_mode", "WAL").unwrap();
    open.execute_batch(schema::STEPS[0]).unwrap();
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
