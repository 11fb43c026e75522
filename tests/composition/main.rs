//! Every order of layers in the guide, and its effects: one file for each section of the guide.

#[cfg(feature = "http")]
mod axum;
mod balance;
mod buffer;
#[cfg(feature = "grpc")]
mod ended;
#[cfg(feature = "http")]
mod given_up;
mod limits;
mod order;
mod support;
mod timeout;
#[cfg(feature = "grpc")]
mod tonic;
#[cfg(feature = "http")]
mod tower_http;
#[cfg(all(feature = "http", feature = "prometheus"))]
mod unread_status;
