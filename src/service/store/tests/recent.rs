//! The newest pictures.

use super::*;

/// A job of `who` that is done so many seconds after noon, with two pictures.
fn done(store: &Store, who: &str, id: &str, seconds: u64) {
    come(store, who, id, "", noon());
    let key = turn(store, noon()).key;
    let encoded = picture(10);
    finish_with(store, key, &[delivery(&encoded, 0), delivery(&encoded, 4)], after(seconds));
}

fn seen(store: &Store, most: usize) -> Vec<(SystemTime, u8, Option<String>)> {
    let recent = store.recent(most, true).unwrap();
    recent.into_iter().map(|picture| (picture.finished, picture.facts.k, picture.prompt)).collect()
}

#[test]
fn the_newest_pictures_of_all_clients_come_first_and_no_more_than_were_wanted() {
    let (_folder, store) = store();
    assert!(store.recent(8, true).unwrap().is_empty());
    done(&store, "esp32", "a1", 1);
    done(&store, "hall", "b1", 3);
    done(&store, "esp32", "a2", 2);
    let prompt = || Some("x".to_owned());
    let all = [(3, 0), (3, 1), (2, 0), (2, 1), (1, 0), (1, 1)].map(|(seconds, k)| (after(seconds), k, prompt()));
    assert_eq!(seen(&store, 8), all);
    assert_eq!(seen(&store, 3), all[..3]);
    assert!(store.recent(8, false).unwrap().iter().all(|picture| picture.prompt.is_none()));
}

#[test]
fn jobs_without_pictures_hide_none_and_what_was_forgotten_is_not_listed() {
    let (_folder, store) = store();
    done(&store, "esp32", "a1", 1);
    for n in 0..4 {
        come(&store, "esp32", &format!("f{n}"), "", noon());
        let end = Finished { state: State::Failed, pictures: &[], time: after(10) };
        store.finish(turn(&store, noon()).key, &end, status("failed")).unwrap();
    }
    assert_eq!(seen(&store, 2).len(), 2);
    let first = store.recent(1, false).unwrap().remove(0);
    let file = store.picture_file(first.job, first.facts.k).unwrap();
    assert_eq!(file, Some(("png".to_owned(), picture(10).bytes)));
    assert_eq!(store.picture_file(first.job, 9).unwrap(), None);
    deliver_all(&store);
    store.forget(after(1000), Duration::from_secs(60)).unwrap();
    assert_eq!((seen(&store, 2).len(), store.picture_file(first.job, 0).unwrap()), (0, None));
}
