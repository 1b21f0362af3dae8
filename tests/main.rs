//! The one integration binary.
//!
//! | module | what belongs there |
//! |---|---|
//! | `appliance` | units, packages, man pages: what a box gets beside the program |
//! | `architecture` | the floors of `src/` and the sizes of files |
//! | `documents` | links from page to page |
//! | `service` | the service in this process, with a fake generator, against a real mosquitto |
//! | `contract` | bad input, limits and the shapes of what goes out |
//! | `commands` | what clients and administrators order |
//! | `delivery` | ways for pictures to come in and to go out |
//! | `pools` | several nodes behind one shared subscription, on brokers of different make |
//! | `fleet` | pools of four nodes, some busy, paused, full, killed or stopped, on brokers of different make |
//! | `durability` | brokers and services that are stopped, killed and started again |
//! | `chaos` | kills at random, overload, poison, hangs, leaks: the service as a process of its own, and an oracle |
//! | `faults` | power cuts, crashes inside of the store's transitions, sick disks |
//! | `upgrades` | stores of older programs, opened and served by this one |
//! | `logs` | what the log says, and what of it the journal gets as fields |
//! | `links` | brokers that take little, slow and torn lines, refusals, names that are taken |
//! | `heat` | boards that become hot, slow or throttled: made-up sysfs trees |
//! | `http` | health, metrics and the page, asked with nothing but a socket |
//! | `batching` | several jobs at the same time |
//! | `memory` | many jobs with many sets of adapters, and what stays behind |
//! | `bench` | what `diffused bench` reports |
//! | `binary` | the built program: verbs, exit codes, signals, systemd |
//! | `generate` | files, standard output and exit codes of `diffused generate` |
//! | `formats` | output formats, read back by Pillow and by the C reader of `docs/panels.md` |
//! | `import` | checkpoints that become model folders again |
//! | `models` | what `diffused models list`, `show` and `verify` say of sound and of broken folders |
//! | `previews` | pictures so far, pictures beside and before a request, over MQTT |
//! | `properties` | the properties of `fuzz/` with its corpus and changes of it: a short run of the fuzzers |
//! | `picture` | the bundled model, end to end: what is in the picture |
//! | `modes` | image-to-image, inpainting, classifier guidance, variations: what must hold whatever the reference does |
//! | `golden` | agreement with the reference implementation |
//! | `accelerators` | graphs on something else than the CPU kernels of the usual library |
//! | `quantised` | the bundled model in 8 bits |
//! | `adapters` | the same for adapters, the prompt language and clip skip |
//! | `security` | transports, certificates, secrets, and the access rules for brokers |
//! | `requester` | our requester against nodes that do what a test tells them |
//! | `reuse` | U-Nets that were cut in two |
//! | `schema` | the JSON Schemas and the AsyncAPI document: current, and one with the parser and with what goes out |
//! | `home_assistant` | what Home Assistant is told, and what Home Assistant itself makes of it |
//! | `clients` | clients that we did not write, each a whole round trip |
//! | `contract_schema` | writes the contract down for machines |
//! | `support` | mosquitto and mqtt5, an independent listener, the fake generator |

// A test binary has no outside: `pub` here only says that a module offers something to the others.
#![allow(unreachable_pub)]
// A helper of a test fails its test by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// What a long test found is printed.
#![allow(clippy::print_stdout)]

mod contract_schema;
mod support;

mod accelerators;
mod adapters;
mod appliance;
mod architecture;
mod batching;
mod bench;
mod binary;
mod chaos;
mod clients;
mod commands;
mod contract;
mod delivery;
mod doctor;
mod documents;
mod durability;
mod faults;
mod fleet;
mod formats;
mod generate;
mod golden;
mod heat;
mod home_assistant;
mod http;
mod import;
mod links;
mod logs;
mod memory;
mod models;
mod modes;
mod picture;
mod pools;
mod previews;
mod properties;
mod quantised;
mod requester;
mod reuse;
mod schema;
mod security;
mod service;
mod upgrades;
