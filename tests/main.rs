//! The one integration binary.
//!
//! | module | what belongs there |
//! |---|---|
//! | `architecture` | the floors of `src/` and the sizes of its files |
//! | `service` | the service in this process, with a fake generator, against a real mosquitto |
//! | `contract` | bad input, limits and the shapes of what goes out |
//! | `durability` | brokers and services that are stopped, killed and started again |
//! | `binary` | the built program: verbs, exit codes, signals, systemd |
//! | `generate` | files, standard output and exit codes of `diffused generate` |
//! | `import` | checkpoints that become model folders again |
//! | `picture` | the bundled model, end to end: what is in the picture |
//! | `modes` | image-to-image, inpainting, classifier guidance, variations: what must hold whatever the reference does |
//! | `golden` | agreement with the reference implementation |
//! | `adapters` | the same for adapters, the prompt language and clip skip |
//! | `support` | mosquitto, an independent listener, the fake generator |

// A test binary has no outside: `pub` here only says that a module offers something to the others.
#![allow(unreachable_pub)]
// A helper of a test fails its test by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod adapters;
mod architecture;
mod binary;
mod contract;
mod durability;
mod generate;
mod golden;
mod import;
mod modes;
mod picture;
mod service;
