//! What a client may ask besides pictures.

use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::ended::Ended;
use super::{Desk, Message, SOON, fresh_id, fresh_seed, hash};
use crate::job::command::{Asked, Command, Listing};
use crate::job::request::{Arrival, Refused};
use crate::job::units::{Client, JobId};
use crate::job::{AdapterFacts, Code, Failure, ModelFacts, Origin, Rejection, Request, Rules, Stop};
use crate::service::report::{Answer, unreadable_id};
use crate::service::store::{Again, JobKey, Listed, Repeated, State};
use crate::service::{Notice, Phase, StoreError};

impl Desk {
    /// Carries out a command; returns the id to answer to and the answer.
    pub fn command(&self, message: &Message) -> Result<(String, String), StoreError> {
        let limit = self.rules.now().limits.request_bytes;
        let order = match Command::parse(&message.payload, message.retained, limit) {
            Ok(order) => order,
            Err(refused) => return Ok(self.refused(message, refused)),
        };
        let client = &message.client;
        if let (Command::Get { .. } | Command::Repeat, Err(rejection)) = (&order.what, self.metered(client)) {
            return Ok(self.answer(order.what.name(), order.id, Err(rejection)));
        }
        let name = order.what.name();
        let done = match order.what {
            Command::Cancel { job } => self.cancelled(client, job.as_ref())?,
            Command::Get { job, what } => self.sent_again(client, &job, &what)?,
            Command::List { what, after, limit } => self.list(client, what, after.as_deref(), limit)?,
            Command::Repeat => self.repeated(message)?,
        };
        Ok(self.answer(name, order.id, done))
    }

    /// The answer to an order, and the id that it goes to.
    pub(super) fn answer(&self, name: &str, id: Option<String>, done: Result<Answer, Rejection>) -> (String, String) {
        let body = match done {
            Ok(answer) => self.reporter.answer(name, id.as_deref(), &answer),
            Err(rejection) => self.reporter.refused(name, id.as_deref(), &rejection),
        };
        (id.unwrap_or_else(|| "command".to_owned()), body)
    }

    pub(super) fn refused(&self, message: &Message, refused: crate::job::command::RefusedCommand) -> (String, String) {
        let id = refused.id.unwrap_or_else(|| unreadable_id(&hash(message)));
        let body = self.reporter.refused(refused.command, Some(&id), &refused.rejection);
        (id, body)
    }

    /// Ends one job of a client, or all of them.
    fn cancelled(&self, client: &Client, job: Option<&JobId>) -> Result<Result<Answer, Rejection>, StoreError> {
        let (failure, ended) = (Failure::stopped(Stop::Cancelled), Ended::default());
        let (jobs, running) = self.store.cancel(client, job, SystemTime::now(), |id, request, seq| {
            ended.note(id);
            self.reporter.failed(State::Cancelled, id, seq, &failure, 0, &Request::tags_of(request))
        })?;
        // Those at work are counted by the worker.
        self.activity.count(|figures| figures.ended(State::Cancelled, ended.count()));
        ended.log(&failure);
        running.into_iter().for_each(|key: JobKey| self.bell.cancel(key));
        self.count_open()?;
        if jobs == 0 && job.is_some() {
            return Ok(Err(Rejection::of_field(Code::NotFound, "job", "there is no open job of this id")));
        }
        Ok(Ok(vec![("jobs", json!(jobs))]))
    }

    /// Ends the waiting jobs whose deadline has passed.
    pub fn sweep(&self) -> Result<(), StoreError> {
        self.store.follow_clock()?;
        let (failure, ended) = (Failure::stopped(Stop::Expired), Ended::default());
        let jobs = self.store.expire(SystemTime::now(), |id, request, seq| {
            ended.note(id);
            self.reporter.failed(State::Expired, id, seq, &failure, 0, &Request::tags_of(request))
        })?;
        self.activity.count(|figures| figures.ended(State::Expired, ended.count()));
        ended.log(&failure);
        if jobs > 0 { self.count_open() } else { Ok(()) }
    }

    fn sent_again(&self, client: &Client, job: &JobId, what: &Asked) -> Result<Result<Answer, Rejection>, StoreError> {
        let what = match what {
            Asked::All => Again::All,
            Asked::Picture(k) => Again::Picture(*k),
            Asked::Parts(k, ranges) => Again::Parts(*k, ranges.ranges().to_vec()),
        };
        let missing = |field, what: &str| Ok(Err(Rejection::of_field(Code::NotFound, field, what)));
        let (state, sent) = match self.store.again(client, job, &what)? {
            Repeated::Posted(state, sent) => (state, sent),
            Repeated::NoJob => return missing("job", "there is no job of this id"),
            Repeated::NoPicture => return missing("k", "the job has no such picture"),
            Repeated::NoParts(0) => return missing("parts", "the picture goes as a whole, it has no parts"),
            Repeated::TooMany => {
                let rejection = Rejection::new(Code::RateLimited, "more of this job waits to be sent than it has");
                return Ok(Err(rejection.retry_after(SOON)));
            }
            Repeated::NoParts(parts) => return missing("parts", &format!("the picture has {parts} parts, from 0 on")),
        };
        (self.notify)(Notice::Mail);
        Ok(Ok(vec![("job", json!(job.as_str())), ("state", json!(state.name())), ("sent", json!(sent))]))
    }

    fn list(
        &self,
        client: &Client,
        what: Listing,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Result<Answer, Rejection>, StoreError> {
        let rules = self.rules.now();
        let entries = match what {
            Listing::Jobs => {
                let place = after.map(JobId::try_from).transpose();
                let jobs = place.map(|after| self.store.jobs_of(client, after.as_ref(), limit + 1));
                let Some(jobs) = jobs.unwrap_or(Ok(None))? else {
                    return Ok(Err(Rejection::of_field(Code::NotFound, "after", "there is no job of this id")));
                };
                let told =
                    |job: &Listed| json!({"id": job.id.as_str(), "state": job.state.name(), "images": job.images});
                jobs.iter().map(told).collect()
            }
            Listing::Models => page(models(&rules), after, limit + 1),
            Listing::Adapters => page(adapters(&rules), after, limit + 1),
        };
        Ok(Ok(self.reporter.list(what.name(), entries, limit)))
    }

    /// The newest job of a client again, under a new id and with a new seed.
    fn repeated(&self, message: &Message) -> Result<Result<Answer, Rejection>, StoreError> {
        let nothing = || Err(Rejection::new(Code::NotFound, "there is no earlier job of this client"));
        let own = match message.client == Client::shortcut() {
            true => None,
            false => self.store.newest(&message.client)?,
        };
        let (client, origin, stored) = match own {
            Some(stored) => (message.client.clone(), Origin::Request, stored),
            // Who has asked for nothing under its own name, such as a button, means the picture everybody sees.
            None => match self.store.newest(&Client::shortcut())? {
                Some(stored) => (Client::shortcut(), Origin::Shortcut, stored),
                None => return Ok(nothing()),
            },
        };
        let id = fresh_id();
        let mut fields: Map<String, Value> = serde_json::from_str(&stored).unwrap_or_default();
        ["id", "seed", "not_after"].into_iter().for_each(|key| drop(fields.remove(key)));
        let payload = Value::Object(fields).to_string().into_bytes();
        if self.activity.snapshot().phase != Phase::Working {
            let rejection = Rejection::new(Code::NotReady, "the models are being loaded");
            return Ok(Err(rejection.retry_after(SOON)));
        }
        // Each repetition is a new job, also where it says the same as the one before.
        let again = Message {
            redelivered: false,
            client,
            origin,
            payload,
            attachment: None,
            reply: None,
            hops: None,
            ..message.clone()
        };
        let arrival = Arrival {
            client: again.client.clone(),
            origin,
            payload: &again.payload,
            attachment: None,
            find: &|_| None,
            time: SystemTime::now(),
            correlation: None,
            expiry: None,
            fresh_id: id.clone(),
            fresh_seed: fresh_seed(),
        };
        let request = match Request::parse(&arrival, &Arc::new(self.rules.now().for_stored())) {
            Ok(request) => request,
            Err(Refused { rejection, .. }) => return Ok(Err(rejection)),
        };
        let admitted = self.admit(&again, &request, hash(&again), false)?;
        Ok(admitted.map(|()| vec![("job", json!(id.as_str())), ("seed", json!(request.recipe.seed.get()))]))
    }
}

fn models(rules: &Rules) -> Vec<(String, Value)> {
    let told = |(index, model): (usize, &ModelFacts)| {
        (model.name.clone(), json!({"name": model.name, "family": model.family, "default": index == 0}))
    };
    rules.models.iter().enumerate().map(told).collect()
}

fn adapters(rules: &Rules) -> Vec<(String, Value)> {
    let all = rules.models.first().map_or(&[][..], |model| &model.adapters);
    let told =
        |adapter: &AdapterFacts| (adapter.name.clone(), json!({"name": adapter.name, "kind": adapter.kind.name()}));
    all.iter().map(told).collect()
}

/// So many entries after the one of that name.
fn page(all: Vec<(String, Value)>, after: Option<&str>, limit: usize) -> Vec<Value> {
    let from = after.map_or(0, |after| all.iter().position(|(name, _)| name == after).map_or(all.len(), |at| at + 1));
    all.into_iter().skip(from).take(limit).map(|(_, value)| value).collect()
}
