//! A store's life: every transition that there is, the same each time, with a word before and after each call.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use diffused::job::Rules;
use diffused::job::units::JobId;
use diffused::service::store::{Accepted, Again, MailKind, Queued, State, Store};

use super::calls::{BEGIN, admit, bytes, cancel, client, finish, flat_rules, request, status, time};
use super::dice::Dice;
use super::dump::dump;

/// Calls of `forget` keep what ended within this time; the trace's clock moves by a second a call.
const KEEP: Duration = Duration::from_secs(240);
/// At the end jobs are forgotten in steps of so many seconds, in which no more end than one portion.
const FORGET_STEP: usize = 60;

/// Takes a store in `folder` through so many jobs and writes what it does to `marks`: `BEGIN n kind` before a call,
/// `ACK n kind dump` once it returned, where the dump says what was in the store then.
pub fn drive(folder: &Path, marks: &Path, jobs: u64) {
    begin(folder, marks, jobs).finish_all(jobs);
}

/// The same, without what comes after the last admission.
pub fn drive_some(folder: &Path, marks: &Path, jobs: u64) {
    drop(begin(folder, marks, jobs));
}

fn begin(folder: &Path, marks: &Path, jobs: u64) -> Drill {
    let mut drill = Drill {
        folder: folder.to_owned(),
        store: None,
        marks: File::create(marks).unwrap(),
        rules: flat_rules(),
        dice: Dice::new(7),
        seconds: BEGIN,
        calls: 0,
    };
    drill.open();
    for number in 0..jobs {
        drill.admissions(number);
        if drill.dice.below(4) > 0 {
            drill.work(number);
        }
        drill.deliver(3);
        drill.now_and_then(number);
    }
    drill
}

struct Drill {
    folder: PathBuf,
    store: Option<Store>,
    marks: File,
    rules: Rules,
    dice: Dice,
    seconds: u64,
    calls: u64,
}

impl Drill {
    /// One call, with its marks; a second passes.
    fn call<T>(&mut self, kind: &str, work: impl FnOnce(&Store, SystemTime, &mut Dice) -> T) -> T {
        self.seconds += 1;
        self.mark("BEGIN", kind, "");
        let store = self.store.as_ref().unwrap();
        let result = work(store, time(self.seconds), &mut self.dice);
        self.acknowledge(kind);
        result
    }

    fn acknowledge(&mut self, kind: &str) {
        let dump = dump(&self.folder.join("store.sqlite")).unwrap();
        self.mark("ACK", kind, &dump);
        self.calls += 1;
    }

    fn mark(&mut self, word: &str, kind: &str, dump: &str) {
        let line = format!("{word} {} {kind} {dump}\n", self.calls);
        self.marks.write_all(line.as_bytes()).unwrap();
    }

    fn open(&mut self) {
        self.store = None;
        self.mark("BEGIN", "open", "");
        self.store = Some(Store::open(&self.folder, "boot-1", None).unwrap());
        self.acknowledge("open");
    }

    /// A request; now and then the same again, or another under its id, or one that finds no room.
    fn admissions(&mut self, number: u64) {
        let request = request(&self.rules, number, 1 + self.dice.below(3), time(self.seconds));
        let admitted = self.call("admit", |store, time, _| admit(store, &request, 1, time).unwrap());
        assert_eq!(admitted, Accepted::New);
        match self.dice.below(6) {
            0 => {
                let again = self.call("repeat", |store, time, _| admit(store, &request, 1, time).unwrap());
                assert_eq!(again, Accepted::Again);
            }
            1 => {
                let conflict = self.call("conflict", |store, time, _| admit(store, &request, 2, time).unwrap());
                assert_eq!(conflict, Accepted::Conflict);
            }
            2 => {
                let id = request.id.clone();
                self.call("cancel", |store, time, _| cancel(store, &request.client, Some(&id), time));
            }
            _ => {}
        }
    }

    /// The next job to one of its ends.
    fn work(&mut self, number: u64) {
        let job = self.call("next_job", |store, time, _| store.next_job(time).unwrap());
        let Some(job) = job else { return };
        let begun =
            self.call("begin", |store, time, _| store.begin(job.key, time, |seq| status("started", seq)).unwrap());
        assert!(begun.is_some());
        match number % 12 {
            3 => self.end("fail", &job, State::Failed, 0),
            5 => self.call("give_back", |store, _, _| store.give_back(job.key).unwrap()),
            7 => assert!(self.call("recover", |store, _, _| store.recover().unwrap()) > 0),
            9 => {
                let (client, id) = (job.address.client.clone(), job.address.id.clone());
                self.call("cancel_running", |store, time, _| cancel(store, &client, Some(&id), time));
                self.end("cancelled", &job, State::Cancelled, 0);
            }
            _ => {
                let count = 1 + self.dice.below(3);
                self.end("finish", &job, State::Done, count);
                self.call("count", |store, _, _| store.count("jobs_done").unwrap());
            }
        }
    }

    fn end(&mut self, kind: &str, job: &Queued, state: State, count: u64) {
        self.call(kind, |store, time, dice| {
            finish(store, job.key, state, count, time, dice).unwrap();
        });
    }

    /// Some of what waits in the outbox; now and then a picture that the broker would not take, or not as a whole.
    fn deliver(&mut self, most: u64) {
        for _ in 0..self.dice.below(most + 1) {
            let mail = self.call("next_mail", |store, _, _| store.next_mail(&[]).unwrap());
            let Some(mail) = mail else { return };
            let is_status = matches!(mail.kind, MailKind::Status(_));
            match self.dice.below(20) {
                0 if !is_status => self.call("give_up", |store, _, _| {
                    store.replace_pictures(mail.key, |_, _, seq| status("failed", seq)).unwrap();
                }),
                1 | 2 if !is_status => self.call("split", |store, _, _| store.split(mail.key, 3000).unwrap()),
                _ => self.call("delivered", |store, _, _| store.delivered(mail.key).unwrap()),
            }
        }
    }

    fn now_and_then(&mut self, number: u64) {
        let client = client(number);
        match number % 10 {
            1 => drop(self.call("upload", |store, time, dice| {
                let bytes = bytes(dice, 9000);
                store.put_upload(&client, &format!("sketch{}", number % 3), &bytes, time).unwrap()
            })),
            2 => self.call("set", |store, _, _| store.set("paused", Some(&number.to_string())).unwrap()),
            3 => self.call("unset", |store, _, _| store.set("paused", None).unwrap()),
            4 => drop(
                self.call("expire", |store, time, _| store.expire(time, |_, _, seq| status("expired", seq)).unwrap()),
            ),
            5 => {
                let id = JobId::try_from(format!("job{}", number - 5).as_str()).unwrap();
                self.call("again", |store, _, _| store.again(&client, &id, &Again::All).unwrap());
            }
            6 => self.call("heal", |store, _, _| store.heal().unwrap()),
            7 => drop(self.call("forget", |store, time, _| store.forget(time, KEEP).unwrap())),
            8 => drop(self.call("renew_shortcut", |store, _, _| store.renew_shortcut().unwrap())),
            _ => {}
        }
        if number % 40 == 10 {
            self.call("cancel_all", |store, time, _| cancel(store, &client, None, time));
        }
        if number % 40 == 30 {
            self.call("clear", |store, time, _| store.clear(time, |_, _, seq| status("cancelled", seq)).unwrap());
        }
        if number % 60 == 9 {
            self.open();
        }
    }

    fn finish_all(&mut self, jobs: u64) {
        for number in jobs..3 * jobs {
            self.work(number);
            self.deliver(12);
        }
        // One call forgets in portions, each a transaction. Here each has one portion, so that what it may leave is known.
        for seconds in (BEGIN..self.seconds).step_by(FORGET_STEP) {
            self.call("forget", |store, _, _| store.forget(time(seconds), Duration::ZERO).unwrap());
        }
        self.call("forget", |store, time, _| store.forget(time + KEEP, Duration::ZERO).unwrap());
    }
}
