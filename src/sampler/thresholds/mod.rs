//! What figures of the machine say about its health.
//!
//! A figure is judged where it is read, at each reading, and not where it is asked for: how often a probe asks must
//! not decide how fast a warning comes. A limit that was reached is left only well below it, and after as many
//! readings as it took, so that a figure that moves about its limit does not come and go.

mod level;
mod settings;
mod watch;

pub use settings::{Threshold, Thresholds};
pub(super) use watch::Watch;
