//! A store that an older program left, and the upgrade of it: what is cut and killed like all other transitions.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use diffused::service::Store;
use diffused::service::store::FORMAT;
use rusqlite::{Connection, params};
use serde_json::json;

use super::calls::{BEGIN, bytes, sha256};
use super::dice::Dice;
use super::dump::dump;

/// Jobs of the old store, in all states.
const JOBS: i64 = 12;
const FILE: &str = "store.sqlite";
/// The copy that the upgrade leaves.
const COPY: &str = "store.format1.sqlite";

/// Puts a store of format 1 into `folder`, then opens it, which upgrades it; with the marks of the other drill.
pub fn drive(folder: &Path, marks: &Path) {
    let mut marks = File::create(marks).unwrap();
    let mut mark = |line: String| marks.write_all(line.as_bytes()).unwrap();
    mark("BEGIN 0 old \n".to_owned());
    fs::create_dir(folder).unwrap();
    write(folder);
    let upgraded = tempfile::tempdir().unwrap();
    write(upgraded.path());
    drop(Store::open(upgraded.path(), "boot-1", None).unwrap());
    // Whatever is cut from here on, the next start has this.
    mark(format!("ACK 0 old {}\n", dump(&upgraded.path().join(FILE)).unwrap()));
    mark("BEGIN 1 upgrade \n".to_owned());
    let _store = Store::open(folder, "boot-1", None).unwrap();
    mark(format!("ACK 1 upgrade {}\n", dump(&folder.join(FILE)).unwrap()));
}

/// Once the file has the new format, the copy of what it was is whole.
pub fn has_its_copy(folder: &Path) -> Result<(), String> {
    // Elsewhere: to look changes what is looked at.
    let place = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.unwrap().path();
        fs::copy(&path, place.path().join(path.file_name().unwrap())).unwrap();
    }
    let open = Connection::open(place.path().join(FILE)).unwrap();
    let format: i64 =
        open.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(|error| error.to_string())?;
    if format < FORMAT {
        return Ok(());
    }
    let copy = place.path().join(COPY);
    let found = dump(&copy).map_err(|error| format!("the copy cannot be read: {error}"))?;
    if found == *before() { Ok(()) } else { Err(format!("the copy has {found} instead of {}", before())) }
}

/// What is in the old store.
fn before() -> &'static String {
    static BEFORE: OnceLock<String> = OnceLock::new();
    BEFORE.get_or_init(|| {
        let place = tempfile::tempdir().unwrap();
        write(place.path());
        dump(&place.path().join(FILE)).unwrap()
    })
}

/// The same each time, and on the disk when this returns.
fn write(folder: &Path) {
    let open = Connection::open(folder.join(FILE)).unwrap();
    open.pragma_update(None, "auto_vacuum", "INCREMENTAL").unwrap();
    open.pragma_update(None, "journal_mode", "WAL").unwrap();
    open.execute_batch(&format!(
        "BEGIN; {} PRAGMA user_version = 1;",
        include_str!("../../src/service/store/format1.sql")
    ))
    .unwrap();
    let mut dice = Dice::new(3);
    (1..=JOBS).for_each(|job| add(&open, job, &mut dice));
    open.execute_batch("INSERT INTO fact VALUES ('boot', 3); COMMIT").unwrap();
    drop(open);
    for folder in [folder, folder.parent().unwrap()] {
        File::open(folder).unwrap().sync_all().unwrap();
    }
}

/// A job; one that is done has two pictures, of which every other job has told nothing yet.
fn add(open: &Connection, job: i64, dice: &mut Dice) {
    let (state, seq) = [("queued", 1), ("running", 2), ("done", 3), ("done", 3), ("failed", 3)][(job % 5) as usize];
    let files: Vec<Vec<u8>> = (0..if state == "done" { 2 } else { 0 }).map(|_| bytes(dice, 9000)).collect();
    let image = |(k, file): (usize, &Vec<u8>)| json!({"k": k, "seed": 7, "width": 64, "height": 64, "bytes": file.len(), "sha256": sha256(file)});
    let images: Vec<_> = files.iter().enumerate().map(image).collect();
    let answer = json!({"state": if seq == 1 { "accepted" } else { state }, "seq": seq, "images": images}).to_string();
    let time = (BEGIN as i64 + job) * 1000;
    open.execute(
        "INSERT INTO job (key, client, id, origin, hash, request, accepted, finished, priority, state, seq, answer)
         VALUES (?, ?, ?, 'request', ?, '{}', ?, ?, 5, ?, ?, ?)",
        params![
            job,
            format!("client{}", job % 3),
            format!("job{job}"),
            [job as u8; 32],
            time,
            (seq == 3).then_some(time),
            state,
            seq,
            answer
        ],
    )
    .unwrap();
    for (k, file) in files.iter().enumerate() {
        open.execute("INSERT INTO picture VALUES (?, ?, 'png', ?)", params![job, k, file]).unwrap();
        if job % 2 == 0 {
            open.execute("INSERT INTO mail (job, k) VALUES (?, ?)", params![job, k]).unwrap();
        }
    }
    open.execute("INSERT INTO mail (job, body) VALUES (?, ?)", params![job, answer]).unwrap();
}
