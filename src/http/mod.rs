//! What a person with a browser, a health check and Prometheus see: `/`, `/livez`, `/readyz` and `/metrics`.
//!
//! Read-only, and off unless configured. Nothing here decides anything: pages are written from what the service knows
//! of itself. The server has its own threads, few of them, and none of the service's ever waits for one.
//!
//! - [`Listen`] says where; [`Server`] owns the port;
//! - `connection` reads one request and writes one answer, each within its time, and hangs up;
//! - [`Site`] knows the paths; `health`, `metrics` and `page` write what stands there;
//! - [`probe()`] looks from outside whether a node answers.

mod connection;
mod exposition;
mod health;
mod listen;
mod metrics;
mod page;
mod probe;
mod request;
mod response;
mod server;
mod site;

pub use listen::{Listen, ListenError, is_loopback};
pub use probe::{Found, probe};
pub use server::{ServeError, Server};
pub use site::Site;
