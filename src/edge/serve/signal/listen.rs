//! Waits for signals on a thread of its own, so that a blocked runtime does not hide the second one.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::{fmt, io, process, thread};

use tokio::runtime;
use tokio::sync::watch;

use super::Signals;
use crate::base::panics::catch;
use crate::base::sync::Mutex;
use crate::edge::serve::stop::Stop;

/// Whether a signal was received; `None` until the first call of [`shutdown_signal`].
static RECEIVED: Mutex<Option<watch::Receiver<bool>>> = Mutex::new(None);

/// A future that ends at the first signal that asks this process to end; returned by [`shutdown_signal`].
#[must_use = "a future does nothing until it is awaited"]
pub struct ShutdownSignal(Stop);

/// Returns a future that ends at SIGTERM, which Kubernetes and systemd send, or at SIGINT (Ctrl-C). On Windows: at Ctrl-C,
/// Ctrl-Break, the close of the console, or the shutdown of the system.
///
/// The signals are caught from this call on, and for as long as the process runs. The first is logged with its name. A second
/// one ends the process at once with the exit code 128 + its number, as a shell reports it: 143 for SIGTERM, 130 for SIGINT
/// (Windows: 0xC000013A). All futures of a process end at the same signal; one that is made after it ends at once.
///
/// [`Shutdown`](crate::serve::Shutdown) waits for it by default, and does all that a shutdown needs. It needs no runtime: a
/// thread of its own waits for the signals.
///
/// # Errors
/// When the system refuses a handler or the thread.
///
/// # Example
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// let app: axum::Router = axum::Router::new();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// axum::serve(listener, app).with_graceful_shutdown(campanile::shutdown_signal()?).await?;
/// # Ok(())
/// # }
/// ```
pub fn shutdown_signal() -> io::Result<ShutdownSignal> {
    let mut known = RECEIVED.lock();
    let received = match &*known {
        Some(received) => received.clone(),
        None => known.insert(listen()?).clone(),
    };
    Ok(ShutdownSignal(Stop::new(received)))
}

fn listen() -> io::Result<watch::Receiver<bool>> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::install()?
    };
    let (sender, received) = watch::channel(false);
    thread::Builder::new().name("campanile-signals".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let (signal, _) = signals.next().await;
            sender.send_replace(true);
            // On a thread of its own, because the log may block or panic, and the second signal must not wait for it.
            let log = move || {
                let hint = "a second signal ends the process at once";
                tracing::info!(signal, hint, "the process was asked to end");
            };
            let logged =
                thread::Builder::new().name("campanile-signals".to_owned()).spawn(move || drop(catch(log)));
            let (_, code) = signals.next().await;
            drop((logged, sender));
            process::exit(code);
        });
    })?;
    Ok(received)
}

impl Future for ShutdownSignal {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl fmt::Debug for ShutdownSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ShutdownSignal").field(&self.0).finish()
    }
}
