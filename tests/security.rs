//! What is refused, what is kept secret, and who may do what.

mod access;
mod line;
mod link;
mod matrix;
pub mod people;
mod pki;
mod secrets;
mod tls;
mod trap;
