//! Who is next.

use super::*;

/// Serves the next job at that time from its beginning to its end; its id.
fn serve(store: &Store, now: SystemTime) -> String {
    let job = turn(store, now);
    store.begin(job.key, now, status("started")).unwrap().unwrap();
    finish_with(store, job.key, &[], now);
    job.address.id.as_str().to_owned()
}

fn serve_all(store: &Store, now: SystemTime) -> Vec<String> {
    std::iter::from_fn(|| store.next_job(now).unwrap().map(|_| serve(store, now))).collect()
}

fn priority(level: u8) -> String {
    format!(r#","priority":{level}"#)
}

#[test]
fn the_highest_priority_goes_first_and_then_the_oldest() {
    let (_folder, store) = store();
    for (id, level) in [("low", 1), ("high1", 8), ("high2", 8), ("middle", 5)] {
        come(&store, "anna", id, &priority(level), noon());
    }
    assert_eq!(serve_all(&store, noon()), ["high1", "high2", "middle", "low"]);
}

#[test]
fn each_whole_minute_of_waiting_counts_as_a_step_of_priority() {
    let (_folder, store) = store();
    come(&store, "bert", "first", "", noon());
    assert_eq!(serve(&store, noon()), "first");
    come(&store, "anna", "old", &priority(3), noon());
    come(&store, "bert", "new", &priority(5), after(61));
    assert_eq!(turn(&store, after(119)).address.id, id("new"), "4 is less than 5");
    assert_eq!(turn(&store, after(120)).address.id, id("old"), "5 is as much, and bert was served last");
}

#[test]
fn of_the_jobs_of_one_client_two_minutes_count_as_much_as_two_steps() {
    let (_folder, store) = store();
    come(&store, "anna", "old", &priority(3), noon());
    come(&store, "anna", "before", &priority(5), after(119));
    come(&store, "anna", "behind", &priority(5), after(121));
    assert_eq!(serve_all(&store, after(130)), ["before", "old", "behind"]);
}

#[test]
fn clients_take_turns_however_many_jobs_one_of_them_has() {
    let (_folder, store) = store();
    for job in ["a1", "a2", "a3", "a4"] {
        come(&store, "anna", job, "", noon());
    }
    assert_eq!(serve(&store, noon()), "a1");
    come(&store, "bert", "b1", "", after(1));
    come(&store, "bert", "b2", "", after(1));
    assert_eq!(serve_all(&store, after(1)), ["b1", "a2", "b2", "a3", "a4"]);
}

#[test]
fn a_higher_priority_goes_before_taking_turns() {
    let (_folder, store) = store();
    come(&store, "anna", "a1", &priority(6), noon());
    come(&store, "anna", "a2", &priority(6), noon());
    come(&store, "bert", "b1", "", noon());
    assert_eq!(serve_all(&store, noon()), ["a1", "a2", "b1"]);
}

#[test]
fn a_job_that_was_given_back_waits_for_its_clients_next_turn() {
    let (_folder, store) = store();
    come(&store, "anna", "a1", "", noon());
    come(&store, "bert", "b1", "", noon());
    let first = turn(&store, noon());
    begin(&store, first.key);
    store.give_back(first.key).unwrap();
    assert_eq!(serve_all(&store, noon()), ["b1", "a1"]);
}

#[test]
fn a_clock_that_was_set_back_stops_nobody() {
    let (_folder, store) = store();
    come(&store, "anna", "a1", &priority(0), noon());
    come(&store, "bert", "b1", &priority(0), after(30));
    let before = noon() - Duration::from_secs(86_400 * 365);
    assert_eq!(serve_all(&store, before), ["a1", "b1"]);
}

/// Half a minute a job; two new clients and one that always has more ask for the highest priority all the time. How many
/// jobs begin before both patient ones of a client that was served before have begun, and how many clients wait when
/// the second of them has the highest level.
fn patience(store: &Store) -> (usize, usize) {
    come(store, "patient", "p0", "", noon());
    assert_eq!(serve(store, noon()), "p0");
    come(store, "patient", "p1", &priority(0), noon());
    come(store, "patient", "p2", &priority(0), noon());
    let (mut begun, mut waiting, mut left) = (0, 0, 2);
    for step in 0..150 {
        let now = after(step * 30);
        come(store, &format!("new-{step}"), "n1", &priority(9), now);
        come(store, &format!("another-{step}"), "n1", &priority(9), now);
        come(store, "greedy", &format!("g{step}"), &priority(9), now);
        if step == 18 {
            let count = "SELECT count(*) FROM client WHERE head IS NOT NULL";
            waiting = store.read(|open| Ok(open.query_row(count, [], |row| row.get(0))?)).unwrap();
        }
        left -= usize::from(serve(store, now).starts_with('p'));
        begun += usize::from(step >= 18);
        if left == 0 {
            return (begun, waiting);
        }
    }
    (usize::MAX, waiting)
}

#[test]
fn nobody_starves_however_many_new_clients_ask_for_the_highest_priority() {
    let (_folder, store) = store();
    let (begun, waiting) = patience(&store);
    assert!(begun <= 2 * waiting, "{begun} jobs began before the second of one client, {waiting} clients waited");
}

#[test]
fn clients_starve_where_those_never_served_go_before_all_others() {
    let (_folder, store) = store();
    let planted = "DROP TRIGGER job_came; CREATE TRIGGER job_came AFTER INSERT ON job BEGIN
        INSERT OR IGNORE INTO client (name, turn, open) VALUES (new.client, -1, 0);
        UPDATE client SET open = open + 1, head = min(coalesce(head, new.due), new.due) WHERE name = new.client;
        UPDATE fact SET value = value + 1 WHERE name = 'open'; END;";
    store.write(|open| Ok(open.execute_batch(planted)?)).unwrap();
    assert_eq!(patience(&store).0, usize::MAX, "the test of the bound would not notice");
}

/// What the order of work is, told once more without any index: level, client's turn, level to the millisecond, age.
#[derive(Default)]
struct Oracle {
    waiting: Vec<(String, usize, i64)>,
    turns: std::collections::HashMap<usize, i64>,
    clock: i64,
}

impl Oracle {
    fn come(&mut self, id: &str, who: usize, due: i64) {
        self.turns.entry(who).or_insert(self.clock - 1);
        self.waiting.push((id.to_owned(), who, due));
    }

    fn next(&self, now: i64) -> Option<String> {
        let level = |due: i64| (now - due).div_euclid(60_000).min(9);
        // A client's own jobs stand in the order of `due`; among clients with the same turn the least `due` decides.
        let order = |(_, who, due): &&(String, usize, i64)| (-level(*due), self.turns[who], *due);
        self.waiting.iter().min_by_key(order).map(|(id, ..)| id.clone())
    }

    fn begin(&mut self, id: &str) {
        let at = self.waiting.iter().position(|(waiting, ..)| waiting == id).unwrap();
        let (_, who, _) = self.waiting.remove(at);
        self.clock += 2;
        self.turns.insert(who, self.clock);
    }
}

#[test]
fn the_index_gives_the_order_that_was_promised() {
    let (mut draw, mut oracle) = (random(11), Oracle::default());
    let (_folder, store) = store();
    let mut now = noon();
    for step in 0..600 {
        // Every job has its own millisecond, so that the order is never a matter of taste.
        now += Duration::from_millis(1 + draw(20_000));
        if draw(10) < 5 {
            let (who, level, id) = (draw(7) as usize, draw(10) as u8, format!("j{step}"));
            come(&store, &format!("client-{who}"), &id, &priority(level), now);
            oracle.come(&id, who, super::turn::due(now, level));
            continue;
        }
        let found = store.next_job(now).unwrap();
        let name = found.as_ref().map(|job| job.address.id.as_str().to_owned());
        assert_eq!(name, oracle.next(address::to_millis(now)), "step {step}");
        let Some(job) = found else { continue };
        match draw(4) {
            0 => {
                let who = job.address.client.clone();
                store.cancel(&who, Some(&job.address.id), now, status_of("cancelled")).unwrap();
                oracle.waiting.retain(|(id, ..)| *id != job.address.id.as_str());
            }
            _ => assert_eq!(
                Some({
                    let id = serve(&store, now);
                    oracle.begin(&id);
                    id
                }),
                name
            ),
        }
    }
    let kept = "SELECT (SELECT value FROM fact WHERE name = 'open'), (SELECT sum(open) FROM client),
        (SELECT count(*) FROM job WHERE state IN ('queued', 'running'))";
    let kept: [usize; 3] =
        store.read(|open| Ok(open.query_row(kept, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?)).unwrap();
    assert_eq!(kept, [oracle.waiting.len(); 3]);
}
