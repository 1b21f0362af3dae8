//! What an administrator may order.

use std::time::SystemTime;

use serde_json::json;

use super::ended::Ended;
use super::{Desk, Message};
use crate::job::command::Admin;
use crate::job::{Failure, Rejection, Request, Stop};
use crate::service::report::Answer;
use crate::service::store::State;
use crate::service::{Mode, Notice, StoreError};

/// Under this name the store keeps what an administrator wants.
const MODE: &str = "mode";

impl Desk {
    /// Carries out an administrator's order; returns the id to answer to and the answer.
    pub fn admin(&self, message: &Message) -> Result<(String, String), StoreError> {
        let limit = self.rules.now().limits.request_bytes;
        let order = match Admin::parse(&message.payload, message.retained, limit) {
            Ok(order) => order,
            Err(refused) => return Ok(self.refused(message, refused)),
        };
        let name = order.what.name();
        tracing::warn!(order = name, client = message.client.as_str(), "an administrator's order");
        let answer = self.obey(order.what)?;
        Ok(self.answer(name, order.id, Ok::<_, Rejection>(answer)))
    }

    /// The mode that was ordered before the last stop.
    pub fn remember_mode(&self) -> Result<(), StoreError> {
        let mode = self.store.setting(MODE)?.map_or(Mode::Open, |name| Mode::find(&name));
        self.activity.change(|now| now.mode = mode);
        Ok(())
    }

    fn obey(&self, order: Admin) -> Result<Answer, StoreError> {
        match order {
            Admin::Pause => self.switch(Mode::Paused)?,
            Admin::Resume => self.switch(Mode::Open)?,
            Admin::Drain => self.switch(Mode::Draining)?,
            Admin::Reload => (self.notify)(Notice::Reload),
            Admin::Announce => (self.notify)(Notice::Announce),
            Admin::Clear => return self.clear(),
        }
        Ok(Vec::new())
    }

    fn switch(&self, mode: Mode) -> Result<(), StoreError> {
        self.store.set(MODE, Some(mode.name()).filter(|_| mode != Mode::Open))?;
        self.activity.change(|now| now.mode = mode);
        self.bell.ring();
        (self.notify)(Notice::State);
        Ok(())
    }

    fn clear(&self) -> Result<Answer, StoreError> {
        let (failure, ended) = (Failure::stopped(Stop::Cancelled), Ended::default());
        let jobs = self.store.clear(SystemTime::now(), |id, request, seq| {
            ended.note(id);
            self.reporter.failed(State::Cancelled, id, seq, &failure, 0, &Request::tags_of(request))
        })?;
        self.activity.count(|figures| figures.ended(State::Cancelled, ended.count()));
        ended.log(&failure);
        self.count_open()?;
        Ok(vec![("jobs", json!(jobs))])
    }
}
