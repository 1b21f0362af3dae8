//! An answer, and the headers that keep it where it belongs.

use serde_json::Value;

use super::request::Refusal;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    Method,
    Timeout,
    Misdirected,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::Method => "405 Method Not Allowed",
            Self::Timeout => "408 Request Timeout",
            Self::Misdirected => "421 Misdirected Request",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::Unavailable => "503 Service Unavailable",
        }
    }
}

/// An answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Response {
    pub(super) status: Status,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    /// What a page's own style and script are known by; other answers have none.
    pub(super) inline: Option<String>,
}

impl Response {
    /// Plain text for people.
    pub(super) fn text(status: Status, text: &str) -> Self {
        let body = format!("{text}\n").into_bytes();
        Self { status, content_type: "text/plain; charset=utf-8", body, inline: None }
    }

    /// One line of JSON.
    pub(super) fn json(status: Status, value: &Value) -> Self {
        let body = format!("{value}\n").into_bytes();
        Self { status, content_type: "application/json", body, inline: None }
    }

    /// A file.
    pub(super) fn file(content_type: &'static str, body: Vec<u8>) -> Self {
        Self { status: Status::Ok, content_type, body, inline: None }
    }

    /// The answer as it goes over the line; a HEAD gets everything but the body.
    pub(super) fn bytes(&self, is_head: bool) -> Vec<u8> {
        let allow = if self.status == Status::Method { "Allow: GET, HEAD\r\n" } else { "" };
        let inline = self.inline.as_deref().unwrap_or_default();
        let head = format!(
            "HTTP/1.1 {}\r\nServer: diffused\r\nContent-Type: {}\r\nContent-Length: {}\r\n{allow}\
             Content-Security-Policy: default-src 'none'; img-src 'self'; connect-src 'self'; {inline}base-uri 'none'; \
             form-action 'none'; frame-ancestors 'none'\r\n\
             X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nCross-Origin-Opener-Policy: same-origin\r\n\
             Connection: close\r\n\r\n",
            self.status.line(),
            self.content_type,
            self.body.len(),
        );
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        let (status, text) = match refusal {
            Refusal::Malformed => (Status::BadRequest, "this is no request of HTTP 1"),
            Refusal::Body => (Status::BadRequest, "requests here have no body"),
            Refusal::Method => (Status::Method, "only GET and HEAD are known here"),
            Refusal::TooLarge => (Status::HeadTooLarge, "the head of the request is too large"),
            Refusal::TooSlow => (Status::Timeout, "the request did not come in time"),
            Refusal::Host => (Status::Misdirected, "this address is answered under the names of this machine alone"),
        };
        Self::text(status, text)
    }
}
