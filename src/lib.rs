//! diffused turns a board into a picture-making appliance: prompts come in over MQTT, exported Stable Diffusion
//! graphs run through ONNX Runtime, and the pictures go back over MQTT.
//!
//! # One request, one way through
//!
//! ```text
//! MQTT bytes -> Request (cannot exist unless valid) -> Store (durable, then PUBACK) -> queue
//!   -> Pipeline: conditioning <- prompt | latents <- seed | sampler(denoiser) | VAE decode
//!   -> encoded picture -> Store (durable) -> MQTT publish -> PUBACK -> entry finished
//! ```
//!
//! The data moves forward only; the one path back is the acknowledgement.
//!
//! # Floors
//!
//! A file imports its own folder and anything on a lower floor, never upward; `tests/architecture.rs` keeps it so.
//!
//! | floor | module | what it is |
//! |---|---|---|
//! | 9 | [`cli`] | one file a verb |
//! | 8 | [`app`] | builds everything, supervises, drains |
//! | 7 | [`config`] | TOML to [`config::Config`], every fault reported together |
//! | 6 | [`mqtt`] | transport, link, topics, door, wire, courier, requester, embedded broker; the only user of `rumqttc` |
//! | 6 | [`http`] | health, metrics and the page for a browser; read-only, the only user of `httparse` |
//! | 5 | [`service`] | the running appliance: desk, worker, store, report, activity; knows no MQTT and no `ort` |
//! | 4 | [`pipeline`] | a recipe to pictures, by composing the floors below |
//! | 3 | [`model`] | exported graphs at work; the only user of `ort` |
//! | 2 | [`job`] | the vocabulary: units, request, rules, outcome and the one seam, `Generate` and `Watch` |
//! | 1 | [`prompt`] | the prompt language: text to weighted spans, edits, conditions and adapter references |
//! | 1 | [`diffusion`] | mathematics: noise, schedules, denoiser, samplers; knows only `ndarray` |
//! | 1 | [`onnx`] | graphs as data: what an ONNX file says of itself; knows no `ort` |
//! | 1 | [`weights`] | files of weights as data: safetensors, `.pt`, and what adapter files mean |
//! | 1 | [`picture`] | RGB pictures and their encoders |
//! | 1 | [`board`] | what the board tells of itself: heat, power, clocks, memory, identity |
//!
//! # Invariants
//!
//! - Floor 1 is functions of arguments: no clock, no thread, no log; files only in `board`.
//! - Only `model` names `ort`; only `mqtt` names `rumqttc`; only `app` brings the two together.
//! - A `Request` or `Config` that exists is valid.
//! - Nothing is acknowledged that is not on disk; nothing on disk is removed that is not acknowledged.
//! - Nobody holds the store or the outbox while waiting for the network or the accelerator.
//! - A configured accelerator that cannot be had is an error, never a silent fall-back to the CPU.
//! - No name from the network is ever joined to a path; names are looked up in a map.
//! - Prompts are not logged (unless the operator asks), and no secret is printed.

pub mod cli;

pub mod app;

pub mod config;

pub mod http;
pub mod mqtt;

pub mod service;

pub mod pipeline;

pub mod model;

pub mod job;

pub mod board;
pub mod diffusion;
pub mod onnx;
pub mod picture;
pub mod prompt;
pub mod weights;
