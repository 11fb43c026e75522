//! The layers around `reqwest::Client`, against real servers on loopback.

#![allow(clippy::disallowed_types)] // Tests may use them.

mod bodies;
mod callers;
mod cost;
mod errors;
mod letters;
mod middleware;
mod redirects;
mod sent_again;
mod statuses;
mod support;
