//! What stands at which path.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::health;
use super::listen::Listen;
use super::metrics::{self, Stored};
use super::page::{ICON, Inline, Page};
use super::request::{Refusal, Request};
use super::response::{Response, Status};
use crate::picture::Format;
use crate::service::store::{JobKey, Recent};
use crate::service::{Activity, Pulse, Store, StoreError};

/// Pictures that the page shows.
const PICTURES: usize = 12;

/// Everything that the pages are written from.
pub struct Site {
    /// Who may ask.
    pub listen: Listen,
    /// The node's name.
    pub node: String,
    /// The configured accelerator.
    pub accelerator: &'static str,
    /// The board, as it names itself.
    pub device: Option<String>,
    /// What goes on.
    pub activity: Arc<Activity>,
    /// Whether it moves.
    pub pulse: Arc<Pulse>,
    /// The newest pictures. Of many who ask only one at a time stands in the service's way.
    pub store: Mutex<Arc<Store>>,
    /// Bytes that the store may have.
    pub store_bytes: Option<u64>,
    /// Whether the operator allows prompts to be written down.
    pub prompts: bool,
    /// When the process began.
    pub begun: Instant,
}

impl Site {
    pub(super) fn answer(&self, request: &Request) -> Response {
        if request.host.as_ref().is_some_and(|host| !self.listen.answers_to(host)) {
            return Refusal::Host.into();
        }
        match request.path.as_str() {
            "/" => self.page(),
            "/icon.svg" => Response::file("image/svg+xml", ICON.as_bytes().to_vec()),
            "/livez" => health::live(&self.pulse),
            "/readyz" => health::ready(&self.activity.snapshot()),
            "/metrics" => Response::file(metrics::CONTENT_TYPE, self.metrics().into_bytes()),
            path => picture_of(path).and_then(|(job, k)| self.picture(job, k)).unwrap_or_else(missing),
        }
    }

    fn page(&self) -> Response {
        let now = self.activity.snapshot();
        let recent = self.look(|store| store.recent(PICTURES, self.prompts)).unwrap_or_default();
        let page = Page { node: &self.node, device: self.device.as_deref(), now: &now, recent: &recent };
        let answer = Response::file("text/html; charset=utf-8", page.html().into_bytes());
        Response { inline: Some(Inline::new().sources()), ..answer }
    }

    fn metrics(&self) -> String {
        let stored = self.look(|store| Ok(Stored { bytes: store.used_bytes()?, mail: store.mail_waiting()? }));
        metrics::write(&metrics::Facts {
            accelerator: self.accelerator,
            up: self.begun.elapsed(),
            now: &self.activity.snapshot(),
            figures: &self.activity.figures(),
            stored,
            store_bytes: self.store_bytes,
        })
    }

    fn picture(&self, job: JobKey, k: u8) -> Option<Response> {
        let (format, bytes) = self.look(|store| store.picture_file(job, k))??;
        Some(Response::file(Format::find(&format).filter(|format| is_shown(*format))?.content_type(), bytes))
    }

    /// What the store says; nothing while it cannot be read.
    fn look<T>(&self, ask: impl FnOnce(&Store) -> Result<T, StoreError>) -> Option<T> {
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        ask(&store).inspect_err(|error| tracing::debug!(%error, "the store cannot be read for a page")).ok()
    }
}

/// Where a picture lies.
pub(super) fn path_of(picture: &Recent) -> String {
    format!("/picture/{}/{}", picture.job.0, picture.facts.k)
}

/// The picture that lies there.
fn picture_of(path: &str) -> Option<(JobKey, u8)> {
    let (job, k) = path.strip_prefix("/picture/")?.split_once('/')?;
    Some((JobKey(job.parse().ok()?), k.parse().ok()?))
}

/// Whether browsers know a format.
pub(super) fn is_shown(format: Format) -> bool {
    matches!(format, Format::Png | Format::Jpeg | Format::Webp | Format::Bmp)
}

fn missing() -> Response {
    Response::text(Status::NotFound, "there are /, /livez, /readyz and /metrics here")
}
