//! Rate, errors and duration of spans, whether sampled or not.
//!
//! Series are looked up by callsite; a name, component or label from a field is looked up by its text. The second span of a
//! series finds bound instruments.
//!
//! Start with `red_metrics.rs`.

mod callsite;
mod event_counts;
mod labels;
mod red_metrics;
mod rows;
mod series;

pub(super) use self::callsite::{Callsite, SeriesId};
pub(super) use self::labels::{Labels, Values};
pub(super) use self::red_metrics::RedMetrics;
