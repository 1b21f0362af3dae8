//! Pictures in parts.

use super::*;

/// A job of one client with one picture of 1000 bytes in parts of this size; the outbox holds nothing else but `done`.
fn job_in_parts(store: &Store, part_bytes: u32, push: bool) -> Encoded {
    admit(store, &request("a1", ""));
    deliver_all(store);
    let encoded = picture(1000);
    finish_with(store, turn(store, noon()).key, &[Delivery { push, ..delivery(&encoded, part_bytes) }], noon());
    encoded
}

fn in_parts(store: &Store, part_bytes: u32) -> Encoded {
    job_in_parts(store, part_bytes, true)
}

/// Takes messages out until `done`; manifests and the bytes of all parts.
fn join(store: &Store) -> (Vec<PictureFacts>, Vec<u8>) {
    let (mut manifests, mut joined) = (Vec::new(), Vec::new());
    while let Some(mail) = post_comes(store) {
        match mail.kind {
            MailKind::Manifest(facts) => manifests.push(facts),
            MailKind::Part { bytes, .. } => joined.extend(bytes),
            _ => {}
        }
    }
    (manifests, joined)
}

#[test]
fn parts_join_to_the_picture() {
    for part_bytes in [1, 7, 333, 500, 999, 1000, 1001] {
        let (_folder, store) = store();
        let encoded = in_parts(&store, part_bytes);
        let (manifests, joined) = join(&store);
        assert_eq!(joined, encoded.bytes, "in parts of {part_bytes}");
        let [facts] = &manifests[..] else { panic!("{} manifests", manifests.len()) };
        assert_eq!(facts.parts() as usize, 1000_usize.div_ceil(part_bytes as usize));
        assert_eq!((facts.bytes, facts.seed, facts.sha256.as_str(), &facts.format[..]), (1000, 7, "5a", "png"));
    }
}

#[test]
fn the_manifest_goes_first_and_the_parts_before_done() {
    let (_folder, store) = store();
    in_parts(&store, 400);
    assert_eq!(store.next_mail(&[]).unwrap().unwrap().seq, 2, "the number of `done`");
    assert_eq!(store.mail_waiting().unwrap(), 5);
    assert_eq!(deliver_all(&store), ["a1 manifest 0", "a1 part 0.0", "a1 part 0.1", "a1 part 0.2", "a1 done"]);
}

#[test]
fn parts_that_must_not_be_pushed_come_only_when_asked_for() {
    let (_folder, store) = store();
    job_in_parts(&store, 400, false);
    assert_eq!(deliver_all(&store), ["a1 manifest 0", "a1 done"]);
    let again = |what| store.again(&client("esp32"), &id("a1"), &what).unwrap();
    assert_eq!(again(Again::All), Repeated::Posted(State::Done, 2));
    assert_eq!(deliver_all(&store), ["a1 manifest 0", "a1 done"]);
    assert_eq!(again(Again::Parts(0, vec![(1, 2)])), Repeated::Posted(State::Done, 2));
    assert_eq!(deliver_all(&store), ["a1 part 0.1", "a1 part 0.2"]);
    assert_eq!(again(Again::Picture(0)), Repeated::Posted(State::Done, 4));
    assert_eq!(deliver_all(&store), ["a1 manifest 0", "a1 part 0.0", "a1 part 0.1", "a1 part 0.2"]);
}

#[test]
fn a_status_of_another_job_goes_between_two_parts() {
    let (_folder, store) = store();
    in_parts(&store, 500);
    assert_eq!(told(&post_comes(&store).unwrap()), "a1 manifest 0");
    admit(&store, &request("a2", ""));
    assert_eq!(deliver_all(&store), ["a2 accepted", "a1 part 0.0", "a1 part 0.1", "a1 done"]);
}

#[test]
fn who_asks_for_the_same_parts_again_and_again_gets_them_once() {
    let (_folder, store) = store();
    in_parts(&store, 100);
    deliver_all(&store);
    for _ in 0..5 {
        let parts = Again::Parts(0, vec![(3, 5), (9, 9)]);
        assert_eq!(store.again(&client("esp32"), &id("a1"), &parts).unwrap(), Repeated::Posted(State::Done, 4));
    }
    assert_eq!(deliver_all(&store), ["a1 part 0.3", "a1 part 0.4", "a1 part 0.5", "a1 part 0.9"]);
}

#[test]
fn a_whole_picture_that_proves_too_large_goes_in_parts_and_done_says_so() {
    let (_folder, store) = store();
    let encoded = in_parts(&store, 0);
    store.split(store.next_mail(&[]).unwrap().unwrap().key, 300).unwrap();
    let (first, body) = (store.next_mail(&[]).unwrap().unwrap(), last_body(&store));
    assert!(matches!(first.kind, MailKind::Manifest(facts) if facts.part_bytes == 300));
    assert!(body.contains(r#""part_bytes":300,"parts":4"#), "{body}");
    let (manifests, joined) = join(&store);
    assert_eq!((manifests.len(), joined), (1, encoded.bytes));
    assert_eq!(admit(&store, &request("a1", "")), Accepted::Again);
    assert!(last_body(&store).contains(r#""part_bytes":300,"parts":4"#), "the answer to a repetition");
}

fn last_body(store: &Store) -> String {
    let body = "SELECT body FROM mail WHERE body IS NOT NULL ORDER BY key DESC LIMIT 1";
    store.read(|open| Ok(open.query_row(body, [], |row| row.get(0))?)).unwrap()
}

#[test]
fn parts_that_prove_too_large_begin_again_smaller() {
    let (_folder, store) = store();
    let encoded = in_parts(&store, 400);
    post_comes(&store);
    post_comes(&store);
    store.again(&client("esp32"), &id("a1"), &Again::Parts(0, vec![(0, 0)])).unwrap();
    store.split(store.next_mail(&[]).unwrap().unwrap().key, 250).unwrap();
    let (manifests, joined) = join(&store);
    assert_eq!(manifests.iter().map(|facts| facts.part_bytes).collect::<Vec<_>>(), [250]);
    assert_eq!(joined, encoded.bytes);
}

#[test]
fn only_the_picture_that_is_too_large_is_split() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""));
    deliver_all(&store);
    finish(&store, turn(&store, noon()).key, &[0, 0]);
    post_comes(&store);
    store.split(store.next_mail(&[]).unwrap().unwrap().key, 5).unwrap();
    assert_eq!(deliver_all(&store), ["a1 manifest 1", "a1 part 1.0", "a1 part 1.1", "a1 done"]);
}

#[test]
fn a_part_of_a_large_picture_does_not_read_the_whole_of_it() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""));
    deliver_all(&store);
    let encoded = picture(16_000_000);
    finish_with(&store, turn(&store, noon()).key, &[delivery(&encoded, 100_000)], noon());
    store.read(|open| Ok(open.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)).unwrap();
    post_comes(&store);
    let before = bytes_read();
    let mail = post_comes(&store).unwrap();
    assert!(matches!(mail.kind, MailKind::Part { bytes, .. } if bytes == encoded.bytes[..100_000]));
    let read = bytes_read() - before;
    assert!((50_000..500_000).contains(&read), "{read} bytes were read");
    store.result(&client("esp32"), &id("a1"), 0).unwrap();
    assert!(bytes_read() - before > 15_000_000, "a picture that is read as a whole would not be noticed");
}

/// Bytes that this thread has read from files, as the kernel counts them.
fn bytes_read() -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    told.lines().find_map(|line| line.strip_prefix("rchar: ")).unwrap().parse().unwrap()
}
