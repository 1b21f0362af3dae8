//! What is asked for: the method, the path and the host. Nothing else of a request matters here.

use httparse::{EMPTY_HEADER, Error, Header, Status};

/// Bytes that the head of a request may have.
pub(super) const LARGEST: usize = 8 * 1024;
/// Headers that it may have.
const HEADERS: usize = 64;

/// A request that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Whether only the head of the answer is wanted.
    pub(super) is_head: bool,
    /// Without what stands behind a `?`.
    pub(super) path: String,
    /// Whom the requester thinks to talk to; HTTP 1.0 need not say.
    pub(super) host: Option<String>,
}

/// Why a request is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no HTTP 1.
    Malformed,
    /// Neither GET nor HEAD.
    Method,
    /// It has a body, which nothing here reads.
    Body,
    /// Its head has no end.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// It is meant for somebody else.
    Host,
}

impl Request {
    /// Reads the head of a request; nothing while it is not whole.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, Refusal> {
        let mut headers = [EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(bytes) {
            Ok(Status::Partial) if bytes.len() >= LARGEST => return Err(Refusal::TooLarge),
            Ok(Status::Partial) => return Ok(None),
            Ok(Status::Complete(length)) if length > LARGEST => return Err(Refusal::TooLarge),
            Ok(Status::Complete(_)) => {}
            Err(Error::TooManyHeaders) => return Err(Refusal::TooLarge),
            Err(_) => return Err(Refusal::Malformed),
        }
        let is_head = match request.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Err(Refusal::Method),
        };
        if has_body(request.headers) {
            return Err(Refusal::Body);
        }
        let host = host(request.headers, request.version == Some(1))?;
        let target = request.path.filter(|target| target.starts_with('/')).ok_or(Refusal::Malformed)?;
        let path = target.split('?').next().unwrap_or_default().to_owned();
        Ok(Some(Self { is_head, path, host }))
    }
}

fn has_body(headers: &[Header<'_>]) -> bool {
    let is_body = |header: &Header<'_>| {
        header.name.eq_ignore_ascii_case("transfer-encoding")
            || header.name.eq_ignore_ascii_case("content-length") && header.value.trim_ascii() != b"0"
    };
    headers.iter().any(is_body)
}

/// The one header `Host`, which HTTP 1.1 cannot do without.
fn host(headers: &[Header<'_>], is_needed: bool) -> Result<Option<String>, Refusal> {
    let mut hosts = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            let text = std::str::from_utf8(host.value).map_err(|_| Refusal::Malformed)?;
            Ok(Some(text.to_owned()))
        }
        (None, _) if !is_needed => Ok(None),
        _ => Err(Refusal::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::changes::{Dice, change};

    #[test]
    fn of_a_request_only_method_path_and_host_are_read() {
        let whole = b"GET /readyz?pretty=1 HTTP/1.1\r\nHost: localhost:9464\r\nAccept: */*\r\n\r\n";
        let asked = Request { is_head: false, path: "/readyz".to_owned(), host: Some("localhost:9464".to_owned()) };
        assert_eq!(Request::parse(whole), Ok(Some(asked)));
        for end in 0..whole.len() {
            assert_eq!(Request::parse(&whole[..end]), Ok(None), "{end} bytes");
        }
        let old = Request::parse(b"HEAD / HTTP/1.0\r\n\r\n").unwrap().unwrap();
        assert_eq!((old.is_head, old.host), (true, None));
    }

    #[test]
    fn what_is_not_answered_is_refused_for_its_own_reason() {
        let refusal = |text: &str| Request::parse(text.as_bytes()).unwrap_err();
        for (text, reason) in [
            ("\u{16}\u{3}\u{1}\u{2}", Refusal::Malformed),
            ("GET / HTTP/2.0\r\n\r\n", Refusal::Malformed),
            ("GET / HTTP/1.1\r\n\r\n", Refusal::Malformed),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Refusal::Malformed),
            ("GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n", Refusal::Malformed),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refusal::Malformed),
            ("POST / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal::Method),
            ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", Refusal::Body),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::Body),
        ] {
            assert_eq!(refusal(text), reason, "{text:?}");
        }
        let endless = format!("GET / HTTP/1.1\r\nHost: {}", "a".repeat(LARGEST));
        assert_eq!(refusal(&endless), Refusal::TooLarge);
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(HEADERS));
        assert_eq!(refusal(&many), Refusal::TooLarge);
        assert!(Request::parse(b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").is_ok());
    }

    #[test]
    fn a_changed_request_never_panics_and_what_is_read_of_it_is_a_path() {
        const TELLING: [u8; 10] = *b"\r\n /:?\0\xff1a";
        let whole = b"GET /picture/12/0?x HTTP/1.1\r\nHost: localhost:9464\r\nContent-Length: 0\r\n\r\n";
        let (mut dice, mut read) = (Dice(0x9e37_79b9_7f4a_7c15), 0);
        for _ in 0..20_000 {
            if let Ok(Some(request)) = Request::parse(&change(whole, &TELLING, &mut dice)) {
                assert!(request.path.starts_with('/') && !request.path.contains(['\r', '\n', ' ', '?']));
                read += 1;
            }
        }
        assert!((1..20_000).contains(&read), "{read} were read");
    }
}
