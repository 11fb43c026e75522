//! One name per service, one file of settings, one `start()`.

pub mod config;
