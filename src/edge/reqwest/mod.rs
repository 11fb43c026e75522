//! All layers around a [`reqwest::Client`](::reqwest::Client), in one line.
//!
//! To read the code, start with `client.rs`, then `edge/stack`, which puts the layers around a client. `send.rs` sends
//! one attempt through reqwest.
//!
//! # Why
//! A layer for any service cannot read a [`reqwest::Response`](::reqwest::Response): twenty 503s in a row are twenty
//! successes to it. An [`HttpClient`] understands HTTP statuses, replays bodies, and knows the errors of reqwest.
//!
//! # Example
//! ```
//! use campanile::reqwest::HttpClient;
//! use campanile::{CircuitBreaker, DeadLetterQueue, Retry, Timing};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let server = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = format!("http://{}/orders", server.local_addr()?);
//! # let app = axum::Router::new().route("/orders", axum::routing::post(|| async { "order 7" }));
//! # tokio::spawn(async move { axum::serve(server, app).await });
//! let queue = DeadLetterQueue::in_memory(1_000);
//! let retry = Retry::builder().name("payments").max_attempts(3).build()?;
//! let breaker = CircuitBreaker::builder("payments").build()?;
//! let timing = Timing::new("payments");
//!
//! let http = reqwest::Client::new();
//! let payments = HttpClient::builder("payments", http.clone())
//!     .letters(&queue)
//!     .retry(&retry)
//!     .breaker(&breaker)
//!     .timing(&timing)
//!     .build();
//! let response = payments.send(http.post(url).body("two cups")).await?;
//! assert_eq!(response.text().await?, "order 7");
//! assert_eq!((timing.snapshot().calls, timing.snapshot().failed), (1, 0));
//! # Ok(())
//! # }
//! ```
//!
//! [`HttpClient::new`] has a retry, a circuit breaker and a timing with their defaults, and no queue.
//!
//! # What each layer sees
//! From the outside in: dead letters, retry, circuit breaker, timing, and a client span around each attempt, as far as there
//! is a [`Telemetry`](crate::Telemetry): the one that was set, otherwise the installed one. A layer that is not set costs nothing.
//!
//! - **Statuses** are classified by [`ByHttpStatus`](crate::outcome::ByHttpStatus). A 404 is no failure. `Retry-After` of a
//!   429 or 503 is honoured.
//! - **A request is sent again** if its method is idempotent, if it has an `Idempotency-Key`, or if it cannot have reached a
//!   server: the name was not found, the connection was refused, or the TLS handshake failed. A `POST` that a server had
//!   redirected by 301, 302 or 303 before such an error has reached one.
//! - **Bodies.** A body in memory is sent again whatever its size, and never copied. A stream is kept while it is sent, up to
//!   [`RetryBuilder::body_cap`](crate::retry::RetryBuilder::body_cap), and can be sent again until then. A longer stream is
//!   sent once, as it is.
//! - **Redirects** are followed by reqwest, inside an attempt, by the policy of the client. [`Response::url`] is that of the
//!   last request. Too many redirects and requests that cannot be sent are permanent: they are not sent again, and do not
//!   count for the circuit.
//! - **Timeouts** of the client and of the request limit one attempt. They are timeouts in all layers. For the time of a call
//!   with all attempts, set [`RetryBuilder::deadline`](crate::retry::RetryBuilder::deadline).
//! - **The end of a response** is the end of its body: breaker and timing count a body that breaks off as a failure. A caller
//!   who drops it unread is ignored: see [streams](crate::outcome#streams).
//!
//! # Errors
//! A call ends with [`CallError`](crate::CallError): [`Rejected`](crate::CallError::Rejected) by the circuit, with the time
//! to wait; [`TimedOut`](crate::CallError::TimedOut) by a limit of the retry; or [`Inner`](crate::CallError::Inner), the
//! error of reqwest. The URL in an error of reqwest has no user, password, query and fragment.
//!
//! # Dead letters
//! [`HttpClient::http_service`] is what a redrive needs: `queue.redrive_http(payments.http_service(), Redrive::all())`.
//!
//! [`Response::url`]: ::reqwest::Response::url

mod body;
mod builder;
mod client;
mod convert;
mod ending;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
mod send;
mod service;

pub use builder::HttpClientBuilder;
pub use client::{HttpClient, HttpClientFuture};
pub use service::{HttpService, HttpServiceFuture};
