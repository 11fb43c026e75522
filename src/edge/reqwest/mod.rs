//! The layers around `reqwest::Client`.
