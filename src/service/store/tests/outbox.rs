//! Which message goes first.

use super::*;

/// The order of format 1, which sorts the whole outbox: slow, but it says what is meant.
const MEANT: &str = "SELECT key FROM mail
    ORDER BY k IS NOT NULL OR EXISTS (
        SELECT 1 FROM mail AS before WHERE before.job = mail.job AND before.key < mail.key AND before.k IS NOT NULL
    ), key
    LIMIT 1";

fn meant(store: &Store) -> Option<i64> {
    use rusqlite::OptionalExtension;
    let meant = if store.is_oldests_turn() { "SELECT min(key) FROM mail HAVING count(*) > 0" } else { MEANT };
    store.read(|open| Ok(open.query_row(meant, [], |row| row.get(0)).optional()?)).unwrap()
}

#[test]
fn statuses_overtake_pictures_of_other_jobs_but_never_of_their_own() {
    let (_folder, store) = store();
    admit(&store, &request("a1", ""));
    let first = turn(&store, noon()).key;
    begin(&store, first);
    finish(&store, first, &[0]);
    admit(&store, &request("a2", ""));
    assert_eq!(deliver_all(&store), ["a1 accepted", "a1 started", "a2 accepted", "a1 picture 0", "a1 done"]);
}

#[test]
fn statuses_that_never_end_do_not_keep_the_pictures_waiting() {
    let (_folder, store) = store();
    let asked = |job: u64| request(&format!("r{job}"), "");
    for job in 0..4 {
        admit(&store, &asked(job));
        finish_with(&store, turn(&store, noon()).key, &[], noon());
    }
    come(&store, "anna", "a1", "", noon());
    deliver_all(&store);
    finish(&store, turn(&store, noon()).key, &[0, 4]);
    let mut last = Vec::new();
    for step in 0..60 {
        admit(&store, &asked(step % 4));
        let told = told(&post_comes(&store).unwrap());
        if told.starts_with("a1") {
            last.push((step, told));
        }
    }
    let steps: Vec<u64> = last.iter().map(|(step, _)| *step).collect();
    let told: Vec<&str> = last.iter().map(|(_, told)| told.as_str()).collect();
    assert_eq!(told, ["a1 picture 0", "a1 manifest 1", "a1 part 1.0", "a1 part 1.1", "a1 part 1.2", "a1 done"]);
    assert!(steps.windows(2).all(|pair| pair[1] - pair[0] <= 9) && steps[0] <= 9, "{steps:?}");
}

#[test]
fn the_outbox_keeps_its_order_whatever_happens_to_it() {
    let mut draw = random(5);
    let (_folder, store) = store();
    for step in 0..400 {
        let who = id(&format!("j{}", draw(1 + step / 8)));
        match draw(8) {
            0 | 1 => come(&store, "esp32", &format!("j{step}"), "", noon()),
            2 => {
                if let Some(job) = store.next_job(noon()).unwrap() {
                    begin(&store, job.key);
                    finish(&store, job.key, &[0, 4, 3][..draw(4) as usize]);
                }
            }
            3 => drop(store.again(&client("esp32"), &who, &Again::All).unwrap()),
            4 => drop(store.again(&client("esp32"), &who, &Again::Parts(1, vec![(0, 1), (2, 2)])).unwrap()),
            5 => {
                if let Some(mail) = store.next_mail(&[]).unwrap().filter(|_| draw(3) == 0) {
                    store.split(mail.key, 1 + draw(9) as u32).unwrap();
                }
            }
            _ => drop(post_comes(&store)),
        }
        assert_eq!(store.next_mail(&[]).unwrap().map(|mail| mail.key), meant(&store), "step {step}");
    }
    while post_comes(&store).is_some() {
        assert_eq!(store.next_mail(&[]).unwrap().map(|mail| mail.key), meant(&store));
    }
    assert_eq!(store.mail_waiting().unwrap(), 0);
}

#[test]
fn what_is_on_its_way_holds_up_the_rest_of_its_job_and_no_other() {
    let (_folder, store) = store();
    for id in ["a1", "b2"] {
        come(&store, "esp32", id, "", noon());
        let key = turn(&store, noon()).key;
        finish(&store, key, &[0]);
    }
    let next = |busy: &[JobKey]| store.next_mail(busy).unwrap();
    let (first, second) = (next(&[]).unwrap(), next(&[next(&[]).unwrap().job]).unwrap());
    assert_eq!([told(&first), told(&second)], ["a1 accepted", "b2 accepted"]);
    assert_eq!(next(&[first.job, second.job]), None);
    store.delivered(second.key).unwrap();
    assert_eq!(told(&next(&[first.job]).unwrap()), "b2 picture 0");
}

#[test]
fn answers_go_where_the_request_asked_for_and_where_its_repetition_asks_for() {
    let (_folder, store) = store();
    let asked = request("a1", "");
    let wish = |reply, correlation| Admission { reply, correlation, ..admission(&asked, noon()) };
    admit_as(&store, &wish(Some("panel/7"), Some(&b"first"[..])));
    let mail = post_comes(&store).unwrap();
    assert_eq!((mail.address.reply.as_deref(), mail.seq), (Some("panel/7"), 1));
    assert_eq!(turn(&store, noon()).address.reply.as_deref(), Some("panel/7"));
    admit_as(&store, &wish(None, Some(&b"second"[..])));
    let mail = post_comes(&store).unwrap();
    assert_eq!((mail.address.reply, mail.address.correlation.as_deref()), (None, Some(&b"second"[..])));
}
