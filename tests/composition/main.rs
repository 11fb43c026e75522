//! Every order of layers that the composition guide names, and what follows from it: one file for each of its
//! sections.

#[cfg(feature = "http")]
mod axum;
mod balance;
mod buffer;
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
