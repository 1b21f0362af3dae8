//! A disk that falls sick before each call: the call fails, and works when it is made again.

use std::path::Path;

use diffused::service::store::{Accepted, MailKind, State, Store, StoreError};

use super::calls::{BEGIN, admit, finish, flat_rules, request, status, time};
use super::dice::Dice;

/// Takes one job a sick disk's letter through a store, with a disk that falls sick before each call and is well again
/// only after the call and the first attempt to heal failed. Every call must work when it is made again, and each job
/// must come to its end once.
pub fn suffer(folder: &Path, control: &Path, letters: &[&str]) {
    let store = Store::open(folder, "boot-1", None).unwrap();
    for (number, letter) in (0..).zip(letters) {
        let request = request(&flat_rules(), number, 1, time(BEGIN));
        let sick = Sick { store: &store, control, letter };
        let admitted = sick.insist("admit", |store| admit(store, &request, 1, time(BEGIN)));
        assert!(matches!(admitted, Accepted::New | Accepted::Again), "{letter}: {admitted:?}");
        if *letter == "A" {
            // A new connection has read nothing yet. What SQLite then says is that the file is malformed.
            store.heal().unwrap();
            sick.insist("next_mail", |store| store.next_mail(&[]));
            store.heal().unwrap();
            sick.insist("next_job", |store| store.next_job(time(BEGIN)));
        }
        let job = store.next_job(time(BEGIN)).unwrap().expect("the job waits");
        let begun = sick.insist("begin", |store| store.begin(job.key, time(BEGIN), |seq| status("started", seq)));
        assert!(begun.is_some(), "{letter}: after the disk was well again the job could not begin, it would never end");
        sick.insist("finish", |store| finish(store, job.key, State::Done, 2, time(BEGIN), &mut Dice::new(1)));
        let mut outcomes = 0;
        while let Some(mail) = store.next_mail(&[]).unwrap() {
            outcomes += u32::from(matches!(&mail.kind, MailKind::Status(body) if body.contains("done")));
            store.delivered(mail.key).unwrap();
        }
        assert_eq!(outcomes, 1, "{letter}");
    }
}

struct Sick<'a> {
    store: &'a Store,
    control: &'a Path,
    letter: &'a str,
}

impl Sick<'_> {
    fn insist<T: std::fmt::Debug>(&self, name: &str, call: impl Fn(&Store) -> Result<T, StoreError>) -> T {
        std::fs::write(self.control, self.letter).unwrap();
        let fault = call(self.store).expect_err("on a sick disk it must not say that it is written");
        assert!(fault.is_passing(), "{name}, {}: {fault}", self.letter);
        assert!(self.store.heal().is_err(), "{name}, {}: it cannot be healed yet", self.letter);
        std::fs::write(self.control, "").unwrap();
        self.store.heal().unwrap();
        call(self.store).unwrap()
    }
}
