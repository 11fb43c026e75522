use std::borrow::Cow;

use crate::signal::Kind;

/// One value of a metric of the program, as a collector returns it: see
/// [`SamplerBuilder::collector`](super::SamplerBuilder::collector).
///
/// The name begins with a letter and has at most 255 letters, digits, `_`, `.`, `-` and `/`, as OpenTelemetry wants it. It
/// is none of the names of this crate and does not begin with `campanile.`. A metric keeps its kind and unit.
///
/// # Example
/// ```
/// use campanile::sampler::Measurement;
///
/// let waiting = Measurement::gauge("shop.queue.depth", 17.0)
///     .unit("{job}")
///     .attribute("queue", "mail")
///     .limits(1_000.0, 5_000.0); // degraded from 1,000 jobs, unhealthy from 5,000
/// let sent = Measurement::counter("shop.mails.sent", 123_456.0).unit("{mail}");
/// # drop((waiting, sent));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Measurement {
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    pub(super) unit: Cow<'static, str>,
    pub(super) description: Cow<'static, str>,
    pub(super) value: f64,
    pub(super) attributes: Vec<(Cow<'static, str>, String)>,
    pub(super) limits: Option<(f64, f64)>,
    pub(super) component: Option<Cow<'static, str>>,
}

impl Measurement {
    /// The current value of something: any finite number.
    pub fn gauge(name: impl Into<Cow<'static, str>>, value: f64) -> Self {
        Self::new(name.into(), Kind::Gauge, value)
    }

    /// The total of something that only grows, since its start: a finite number from 0. A total that restarts at zero
    /// continues from its old value.
    pub fn counter(name: impl Into<Cow<'static, str>>, total: f64) -> Self {
        Self::new(name.into(), Kind::Counter, total)
    }

    fn new(name: Cow<'static, str>, kind: Kind, value: f64) -> Self {
        Self {
            name,
            kind,
            unit: Cow::Borrowed(""),
            description: Cow::Borrowed(""),
            value,
            attributes: Vec::new(),
            limits: None,
            component: None,
        }
    }

    setters! {
        /// Sets the unit of the metric in UCUM, such as `s`, `By` or `{job}`: at most 63 ASCII characters. Default: none.
        pub fn unit(unit: impl Into<Cow<'static, str>>) { unit = unit.into(); }
        /// Sets the description of the metric: at most 255 bytes. That of the first measurement counts. Default: none.
        pub fn description(text: impl Into<Cow<'static, str>>) { description = text.into(); }
        /// Makes the value count for health: from `warn` on its component is degraded, from `critical` on unhealthy, until
        /// the value is 5 % below the limit. Both are more than 0, and `critical` is at least `warn`.
        pub fn limits(warn: f64, critical: f64) { limits = Some((warn, critical)); }
        /// Sets the component whose health the [limits](Self::limits) change. Default: the name of the collector.
        pub fn component(name: impl Into<Cow<'static, str>>) { component = Some(name.into()); }
    }

    /// Adds an attribute. A measurement has at most 6, each with another key.
    pub fn attribute(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<String>) -> Self {
        self.attributes.push((key.into(), value.into()));
        self
    }

    /// The bytes of its attributes.
    pub(super) fn bytes(&self) -> usize {
        self.attributes.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}
