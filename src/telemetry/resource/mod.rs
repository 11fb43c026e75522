//! The resource: attributes of the service that sends the telemetry. Start with `assemble.rs`.
//!
//! Attributes are detected without a network, from files of the system and from variables that platforms set. The command
//! line and other variables are not read, because they may hold secrets. Each file holds the attributes of one kind.
//!
//! `opentelemetry-resource-detectors` (0.13) is not used: it reports Rust's names for architectures and systems, runs the
//! command `hostname`, reports the command line, takes every `HOSTNAME` for a pod, and does not know ECS on Fargate.

mod assemble;
mod cloud;
mod container;
mod environment;
mod host;
mod kubernetes;

pub(super) use assemble::{identity, resource};
